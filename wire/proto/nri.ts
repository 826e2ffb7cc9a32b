// The messages of ttrpc (containerd's small RPC) and of the Node Resource Interface, v1alpha1, as far as a plugin that
// cares for pods' networks needs them: what is left out here is skipped in what arrives. Parsed once by ttrpc.ts and nri.ts.

export const TTRPC_PROTO = `
syntax = "proto3";
package ambit.ttrpc;

message Request {
  string service = 1;
  string method = 2;
  bytes payload = 3;
  int64 timeout_nano = 4;
}

message Response {
  Status status = 1;
  bytes payload = 2;
}

message Status {
  int32 code = 1;
  string message = 2;
}
`;

export const NRI_PROTO = `
syntax = "proto3";
package ambit.nri;

message Registration {
  string name = 1;
  string index = 2;
  string version = 3;
}

message Configuration {
  string config = 1;
  string runtime_name = 2;
  string runtime_version = 3;
  int64 registration_timeout = 4;
  int64 request_timeout = 5;
  string version = 6;
}

message Subscription {
  int32 events = 2;
}

message Sandboxes {
  repeated PodSandbox pods = 1;
  bool more = 3;
}

message SandboxesTaken {
  bool more = 2;
}

message PodEvent {
  PodSandbox pod = 1;
}


message PodSandbox {
  string id = 1;
  string name = 2;
  string uid = 3;
  string namespace = 4;
  map<string, string> labels = 5;
  map<string, string> annotations = 6;
  Linux linux = 8;
  uint32 pid = 9;
  repeated string ips = 10;
}

message Linux {
  repeated Namespace namespaces = 5;
}

message Namespace {
  string type = 1;
  string path = 2;
}
`;
