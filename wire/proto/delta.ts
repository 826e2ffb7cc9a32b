// Delta discovery as Envoy's xDS defines it (DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource), the enrolment
// messages that are ours, and the frames that carry both over one WebSocket. Parsed once by discovery.ts.

export const DELTA_PROTO = `
syntax = "proto3";
package ambit.discovery;

message ClientFrame {
  oneof frame {
    DeltaDiscoveryRequest discovery = 1;
    EnrolmentReport enrolment_report = 2;
    bytes trust_report = 3;
  }
}

message ServerFrame {
  oneof frame {
    DeltaDiscoveryResponse discovery = 1;
  }
}

message DeltaDiscoveryRequest {
  Node node = 1;
  string type_url = 2;
  repeated string resource_names_subscribe = 3;
  repeated string resource_names_unsubscribe = 4;
  map<string, string> initial_resource_versions = 5;
  string response_nonce = 6;
  Status error_detail = 7;
}

message DeltaDiscoveryResponse {
  string system_version_info = 1;
  repeated Resource resources = 2;
  string type_url = 4;
  string nonce = 5;
  repeated string removed_resources = 6;
}

message Resource {
  string version = 1;
  Any resource = 2;
  string name = 3;
  repeated string aliases = 4;
}

message Any {
  string type_url = 1;
  bytes value = 2;
}

message Node {
  string id = 1;
  string cluster = 2;
}

message Status {
  int32 code = 1;
  string message = 2;
}

message PodEnrolment {
  string pod_uid = 1;
  string workload_uid = 2;
  string name = 3;
  string namespace = 4;
  string trust_domain = 5;
  string service_account = 6;
  repeated bytes addresses = 7;
  CaptureOptions capture = 8;
  PodDns dns = 9;
}

message PodDns {
  repeated bytes servers = 1;
  bool instead = 2;
  repeated string search = 3;
}

message CaptureOptions {
  enum Dns {
    DEFAULT = 0;
    ON = 1;
    OFF = 2;
  }
  message PortRange {
    uint32 first = 1;
    uint32 last = 2;
  }
  message Cidr {
    bytes address = 1;
    uint32 prefix_length = 2;
  }
  repeated PortRange exclude_inbound_ports = 1;
  repeated PortRange exclude_outbound_ports = 2;
  repeated Cidr exclude_inbound_cidrs = 3;
  repeated Cidr exclude_outbound_cidrs = 4;
  Dns dns = 5;
  bool bypass_inbound = 6;
}

message Namespace {
  enum Mode {
    UNSET = 0;
    AMBIENT = 1;
    NONE = 2;
  }
  string name = 1;
  Mode mode = 2;
}

message EnrolmentReport {
  enum State {
    UNKNOWN = 0;
    ENABLED = 1;
    REMOVED = 2;
    FAILED = 3;
  }
  string pod_uid = 1;
  string name = 2;
  string namespace = 3;
  State state = 4;
  string reason = 5;
  string message = 6;
}
`;
