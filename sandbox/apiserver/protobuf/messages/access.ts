// Wire messages of access: RBAC, tokens, reviews, leases, and events.
// Field numbers are those of Kubernetes' API; `optional` marks fields whose zero means something. Read by ../schema.ts.

export const ACCESS_MESSAGES = `
message Role { ObjectMeta metadata = 1; repeated PolicyRule rules = 2; }
message PolicyRule {
  repeated string verbs = 1; repeated string apiGroups = 2; repeated string resources = 3;
  repeated string resourceNames = 4; repeated string nonResourceURLs = 5;
}
message RoleBinding { ObjectMeta metadata = 1; repeated Subject subjects = 2; RoleRef roleRef = 3; }
message Subject { string kind = 1; string apiGroup = 2; string name = 3; string namespace = 4; }
message RoleRef { string apiGroup = 1; string kind = 2; string name = 3; }
message ClusterRole { ObjectMeta metadata = 1; repeated PolicyRule rules = 2; AggregationRule aggregationRule = 3; }
message AggregationRule { repeated LabelSelector clusterRoleSelectors = 1; }
message ClusterRoleBinding { ObjectMeta metadata = 1; repeated Subject subjects = 2; RoleRef roleRef = 3; }
message TokenRequest { ObjectMeta metadata = 1; TokenRequestSpec spec = 2; TokenRequestStatus status = 3; }
message TokenRequestSpec {
  repeated string audiences = 1; optional int64 expirationSeconds = 4; BoundObjectReference boundObjectRef = 3;
  map<string, AttestationValue> attestations = 5;
}
message BoundObjectReference { string kind = 1; string apiVersion = 2; string name = 3; string uID = 4; }
message AttestationValue { repeated string items = 1; }
message TokenRequestStatus { string token = 1; Time expirationTimestamp = 2; }
message TokenReview { ObjectMeta metadata = 1; TokenReviewSpec spec = 2; TokenReviewStatus status = 3; }
message TokenReviewSpec { string token = 1; repeated string audiences = 2; }
message TokenReviewStatus {
  bool authenticated = 1; UserInfo user = 2; repeated string audiences = 4; string error = 3;
}
message UserInfo {
  string username = 1; string uid = 2; repeated string groups = 3; map<string, ExtraValue> extra = 4;
}
message ExtraValue { repeated string items = 1; }
message SelfSubjectAccessReview {
  ObjectMeta metadata = 1; SelfSubjectAccessReviewSpec spec = 2; SubjectAccessReviewStatus status = 3;
}
message SelfSubjectAccessReviewSpec {
  ResourceAttributes resourceAttributes = 1; NonResourceAttributes nonResourceAttributes = 2;
}
message ResourceAttributes {
  string namespace = 1; string verb = 2; string group = 3; string version = 4; string resource = 5;
  string subresource = 6; string name = 7; FieldSelectorAttributes fieldSelector = 8;
  LabelSelectorAttributes labelSelector = 9;
}
message FieldSelectorAttributes { string rawSelector = 1; repeated FieldSelectorRequirement requirements = 2; }
message LabelSelectorAttributes { string rawSelector = 1; repeated LabelSelectorRequirement requirements = 2; }
message NonResourceAttributes { string path = 1; string verb = 2; }
message SubjectAccessReviewStatus {
  bool allowed = 1; bool denied = 4; string reason = 2; string evaluationError = 3;
}
message SubjectAccessReview {
  ObjectMeta metadata = 1; SubjectAccessReviewSpec spec = 2; SubjectAccessReviewStatus status = 3;
}
message SubjectAccessReviewSpec {
  ResourceAttributes resourceAttributes = 1; NonResourceAttributes nonResourceAttributes = 2; string user = 3;
  repeated string groups = 4; map<string, ExtraValue> extra = 5; string uid = 6;
}
message SelfSubjectRulesReview {
  ObjectMeta metadata = 1; SelfSubjectRulesReviewSpec spec = 2; SubjectRulesReviewStatus status = 3;
}
message SelfSubjectRulesReviewSpec { string namespace = 1; }
message SubjectRulesReviewStatus {
  repeated ResourceRule resourceRules = 1; repeated NonResourceRule nonResourceRules = 2; bool incomplete = 3;
  string evaluationError = 4;
}
message ResourceRule {
  repeated string verbs = 1; repeated string apiGroups = 2; repeated string resources = 3;
  repeated string resourceNames = 4;
}
message NonResourceRule { repeated string verbs = 1; repeated string nonResourceURLs = 2; }
message Lease { ObjectMeta metadata = 1; LeaseSpec spec = 2; }
message LeaseSpec {
  optional string holderIdentity = 1; optional int32 leaseDurationSeconds = 2; MicroTime acquireTime = 3;
  MicroTime renewTime = 4; optional int32 leaseTransitions = 5; optional string strategy = 6;
  optional string preferredHolder = 7;
}
message Event {
  ObjectMeta metadata = 1; ObjectReference involvedObject = 2; string reason = 3; string message = 4;
  EventSource source = 5; Time firstTimestamp = 6; Time lastTimestamp = 7; int32 count = 8; string type = 9;
  MicroTime eventTime = 10; EventSeries series = 11; string action = 12; ObjectReference related = 13;
  string reportingComponent = 14; string reportingInstance = 15;
}
message ObjectReference {
  string kind = 1; string namespace = 2; string name = 3; string uid = 4; string apiVersion = 5;
  string resourceVersion = 6; string fieldPath = 7;
}
message EventSource { string component = 1; string host = 2; }
message EventSeries { int32 count = 1; MicroTime lastObservedTime = 2; }
`;
