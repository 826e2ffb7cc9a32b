// Trust bundles and the agents' reports on them: messages of ours. Parsed once by trust-resource.ts and discovery.ts.

export const TRUST_PROTO = `
syntax = "proto3";
package ambit.trust;

message Bundle {
  string trust_domain = 1;
  repeated string roots = 2;
  repeated string aliases = 3;
  repeated string retiring = 4;
  uint32 renew_within_ms = 5;
  repeated string crls = 6;
}

message Report {
  string bundle = 1;
  repeated string roots_in_use = 2;
  double earliest_end = 3;
  uint32 failing = 4;
  string error = 5;
  repeated string retiring = 6;
}
`;
