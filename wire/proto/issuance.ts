// Istio's certificate service (package istio.v1.auth), field numbers as every client of it knows them, and the part of
// google.protobuf.Struct it uses. Parsed once by issuance.ts.

export const ISSUANCE_PROTO = `
syntax = "proto3";
package istio.v1.auth;

message IstioCertificateRequest {
  string csr = 1;
  int64 validity_duration = 3;
  Struct metadata = 4;
}

message IstioCertificateResponse {
  repeated string cert_chain = 1;
}

message Struct {
  map<string, Value> fields = 1;
}

message Value {
  oneof kind {
    int32 null_value = 1;
    double number_value = 2;
    string string_value = 3;
    bool bool_value = 4;
    Struct struct_value = 5;
  }
}
`;
