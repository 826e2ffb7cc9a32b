// Wire messages of the core group beside pods.
// Field numbers are those of Kubernetes' API; `optional` marks fields whose zero means something. Read by ../schema.ts.

export const CORE_MESSAGES = `
message Namespace { ObjectMeta metadata = 1; NamespaceSpec spec = 2; Opaque status = 3; }
message NamespaceSpec { repeated string finalizers = 1; }
message ServiceAccount {
  ObjectMeta metadata = 1; repeated ObjectReference secrets = 2; repeated LocalObjectReference imagePullSecrets = 3;
  optional bool automountServiceAccountToken = 4;
}
message Service { ObjectMeta metadata = 1; ServiceSpec spec = 2; Opaque status = 3; }
message ServiceSpec {
  repeated ServicePort ports = 1; map<string, string> selector = 2; string clusterIP = 3;
  repeated string clusterIPs = 18; string type = 4; repeated string externalIPs = 5; string sessionAffinity = 7;
  string loadBalancerIP = 8; repeated string loadBalancerSourceRanges = 9; string externalName = 10;
  string externalTrafficPolicy = 11; int32 healthCheckNodePort = 12; bool publishNotReadyAddresses = 13;
  SessionAffinityConfig sessionAffinityConfig = 14; repeated string ipFamilies = 19;
  optional string ipFamilyPolicy = 17; optional bool allocateLoadBalancerNodePorts = 20;
  optional string loadBalancerClass = 21; optional string internalTrafficPolicy = 22;
  optional string trafficDistribution = 23;
}
message ServicePort {
  string name = 1; string protocol = 2; optional string appProtocol = 6; int32 port = 3; IntOrString targetPort = 4;
  int32 nodePort = 5;
}
message SessionAffinityConfig { ClientIPConfig clientIP = 1; }
message ClientIPConfig { optional int32 timeoutSeconds = 1; }
message ResourceQuota { ObjectMeta metadata = 1; ResourceQuotaSpec spec = 2; Opaque status = 3; }
message ResourceQuotaSpec {
  map<string, Quantity> hard = 1; repeated string scopes = 2; ScopeSelector scopeSelector = 3;
}
message ScopeSelector { repeated ScopedResourceSelectorRequirement matchExpressions = 1; }
message ScopedResourceSelectorRequirement { string scopeName = 1; string operator = 2; repeated string values = 3; }
message Pod { ObjectMeta metadata = 1; PodSpec spec = 2; Opaque status = 3; }
message Secret {
  ObjectMeta metadata = 1; optional bool immutable = 5; map<string, bytes> data = 2;
  map<string, string> stringData = 4; string type = 3;
}
message SecretList { ListMeta metadata = 1; repeated Secret items = 2; }
message ConfigMap {
  ObjectMeta metadata = 1; optional bool immutable = 4; map<string, string> data = 2;
  map<string, bytes> binaryData = 3;
}
message ConfigMapList { ListMeta metadata = 1; repeated ConfigMap items = 2; }
message Binding { ObjectMeta metadata = 1; ObjectReference target = 2; }
message Eviction { ObjectMeta metadata = 1; DeleteOptions deleteOptions = 2; }
`;
