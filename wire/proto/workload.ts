// The messages of Istio's workload API (package istio.workload), field numbers as every ambient proxy knows them.
// Kept as text so that the numbers can be read side by side with the original; parsed once by discovery.ts.

export const WORKLOAD_PROTO = `
syntax = "proto3";
package istio.workload;

message Address {
  oneof type {
    Workload workload = 1;
    Service service = 2;
  }
}

message Service {
  string name = 1;
  string namespace = 2;
  string hostname = 3;
  repeated NetworkAddress addresses = 4;
  repeated Port ports = 5;
  repeated string subject_alt_names = 6;
  GatewayAddress waypoint = 7;
  LoadBalancing load_balancing = 8;
  IPFamilies ip_families = 9;
  bool canonical = 11;
  bool ingress_use_waypoint = 12;
  repeated WeightedWaypoint weighted_waypoints = 13;
  Visibility visibility = 14;
  // our own, with numbers far from the original's, so that foreign readers pass them over
  uint32 session_affinity_seconds = 1001;
  Balancing balancing = 1002;
}

enum Balancing {
  LEAST_REQUEST = 0;
  RANDOM = 1;
}

enum Visibility {
  PUBLIC = 0;
  NAMESPACE = 1;
}

message WeightedWaypoint {
  GatewayAddress destination = 1;
  uint32 weight = 2;
}

enum IPFamilies {
  AUTOMATIC = 0;
  IPV4_ONLY = 1;
  IPV6_ONLY = 2;
  DUAL = 3;
}

message LoadBalancing {
  enum Scope {
    UNSPECIFIED_SCOPE = 0;
    REGION = 1;
    ZONE = 2;
    SUBZONE = 3;
    NODE = 4;
    CLUSTER = 5;
    NETWORK = 6;
  }
  enum Mode {
    UNSPECIFIED_MODE = 0;
    STRICT = 1;
    FAILOVER = 2;
    PASSTHROUGH = 3;
  }
  enum HealthPolicy {
    ONLY_HEALTHY = 0;
    ALLOW_ALL = 1;
  }
  repeated Scope routing_preference = 1;
  Mode mode = 2;
  HealthPolicy health_policy = 3;
}

message Workload {
  string name = 1;
  string namespace = 2;
  repeated bytes addresses = 3;
  string network = 4;
  TunnelProtocol tunnel_protocol = 5;
  string trust_domain = 6;
  string service_account = 7;
  GatewayAddress waypoint = 8;
  string node = 9;
  string canonical_name = 10;
  string canonical_revision = 11;
  WorkloadType workload_type = 12;
  string workload_name = 13;
  bool native_tunnel = 14;
  repeated string authorization_policies = 16;
  WorkloadStatus status = 17;
  string cluster_id = 18;
  GatewayAddress network_gateway = 19;
  string uid = 20;
  string hostname = 21;
  map<string, PortList> services = 22;
  Locality locality = 24;
  ApplicationTunnel application_tunnel = 23;
  NetworkMode network_mode = 25;
  UInt32Value capacity = 27;
  // our own, with numbers far from the original's, so that foreign readers pass them over
  OutboundPolicy outbound_policy = 1001;
  bool draining = 1002;
}

enum OutboundPolicy {
  ALLOW_ANY = 0;
  REGISTRY_ONLY = 1;
}

message ApplicationTunnel {
  enum Protocol {
    NONE = 0;
    PROXY = 1;
  }
  Protocol protocol = 1;
  uint32 port = 2;
}

enum WorkloadType {
  DEPLOYMENT = 0;
  CRONJOB = 1;
  POD = 2;
  JOB = 3;
}

enum WorkloadStatus {
  HEALTHY = 0;
  UNHEALTHY = 1;
}

enum TunnelProtocol {
  NONE = 0;
  HBONE = 1;
  LEGACY_ISTIO_MTLS = 2;
}

enum NetworkMode {
  STANDARD = 0;
  HOST_NETWORK = 1;
}

message Locality {
  string region = 1;
  string zone = 2;
  string subzone = 3;
}

message PortList {
  repeated Port ports = 1;
}

message Port {
  uint32 service_port = 1;
  uint32 target_port = 2;
  AppProtocol app_protocol = 3;
}

enum AppProtocol {
  UNKNOWN = 0;
  HTTP11 = 1;
  HTTP2 = 2;
  GRPC = 3;
  TCP = 4;
  TLS = 5;
}

message GatewayAddress {
  oneof destination {
    NamespacedHostname hostname = 1;
    NetworkAddress address = 2;
  }
  uint32 hbone_mtls_port = 3;
}

message NetworkAddress {
  string network = 1;
  bytes address = 2;
  optional uint32 length = 3;
}

message NamespacedHostname {
  string namespace = 1;
  string hostname = 2;
}

message UInt32Value {
  uint32 value = 1;
}
`;
