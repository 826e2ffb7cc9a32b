// Envoy's authorization service (package envoy.service.auth.v3), the part of it that is sent and read here, field numbers
// as every server of it knows them. Parsed once by external-authorization.ts.

export const EXTERNAL_AUTHORIZATION_PROTO = `
syntax = "proto3";
package envoy.service.auth.v3;

message CheckRequest {
  AttributeContext attributes = 1;
}

message AttributeContext {
  Peer source = 1;
  Peer destination = 2;
  Request request = 4;
  map<string, string> context_extensions = 10;
  TLSSession tls_session = 12;
}

message Peer {
  Address address = 1;
  string service = 2;
  string principal = 4;
}

message Address {
  SocketAddress socket_address = 1;
}

message SocketAddress {
  int32 protocol = 1;
  string address = 2;
  uint32 port_value = 3;
}

message Request {
  Timestamp time = 1;
  HttpRequest http = 2;
}

message Timestamp {
  int64 seconds = 1;
  int32 nanos = 2;
}

message HttpRequest {
  string id = 1;
  string method = 2;
  map<string, string> headers = 3;
  string path = 4;
  string host = 5;
  string scheme = 6;
  int64 size = 9;
  string protocol = 10;
  string body = 11;
  bytes raw_body = 12;
}

message TLSSession {
  string sni = 1;
}

message CheckResponse {
  Status status = 1;
  oneof http_response {
    DeniedHttpResponse denied_response = 2;
    OkHttpResponse ok_response = 3;
    DeniedHttpResponse error_response = 5;
  }
}

message Status {
  int32 code = 1;
  string message = 2;
}

message DeniedHttpResponse {
  HttpStatus status = 1;
  repeated HeaderValueOption headers = 2;
  string body = 3;
}

message OkHttpResponse {
  repeated HeaderValueOption headers = 2;
  repeated string headers_to_remove = 5;
  repeated HeaderValueOption response_headers_to_add = 6;
  repeated QueryParameter query_parameters_to_set = 7;
  repeated string query_parameters_to_remove = 8;
}

message HttpStatus {
  int32 code = 1;
}

message HeaderValueOption {
  HeaderValue header = 1;
  BoolValue append = 2;
  int32 append_action = 3;
}

message BoolValue {
  bool value = 1;
}

message HeaderValue {
  string key = 1;
  string value = 2;
  bytes raw_value = 3;
}

message QueryParameter {
  string key = 1;
  string value = 2;
}
`;
