// Wire messages that all others use: the envelope, object and list metadata, selectors, and values with a form of their
// own in JSON (times, quantities, ports by number or name). Read by ../schema.ts.

export const META_MESSAGES = `
message Unknown { TypeMeta typeMeta = 1; bytes raw = 2; string contentEncoding = 3; string contentType = 4; }
message TypeMeta { string apiVersion = 1; string kind = 2; }
message Opaque {}
message Time { int64 seconds = 1; int32 nanos = 2; }
message MicroTime { int64 seconds = 1; int32 nanos = 2; }
message Quantity { string string = 1; }
message IntOrString { int64 type = 1; int32 intVal = 2; string strVal = 3; }
message FieldsV1 { bytes Raw = 1; }
message RawExtension { bytes raw = 1; }
message ListMeta {
  string selfLink = 1; string resourceVersion = 2; string continue = 3; optional int64 remainingItemCount = 4;
}
message OwnerReference {
  string kind = 1; string name = 3; string uid = 4; string apiVersion = 5; optional bool controller = 6;
  optional bool blockOwnerDeletion = 7;
}
message ManagedFieldsEntry {
  string manager = 1; string operation = 2; string apiVersion = 3; Time time = 4; string fieldsType = 6;
  FieldsV1 fieldsV1 = 7; string subresource = 8;
}
message ObjectMeta {
  string name = 1; string generateName = 2; string namespace = 3; string selfLink = 4; string uid = 5;
  string resourceVersion = 6; int64 generation = 7; Time creationTimestamp = 8; Time deletionTimestamp = 9;
  optional int64 deletionGracePeriodSeconds = 10; map<string, string> labels = 11;
  map<string, string> annotations = 12; repeated OwnerReference ownerReferences = 13;
  repeated string finalizers = 14; repeated ManagedFieldsEntry managedFields = 17;
}
message LabelSelector { map<string, string> matchLabels = 1; repeated LabelSelectorRequirement matchExpressions = 2; }
message LabelSelectorRequirement { string key = 1; string operator = 2; repeated string values = 3; }
message FieldSelectorRequirement { string key = 1; string operator = 2; repeated string values = 3; }
message Condition {
  string type = 1; string status = 2; int64 observedGeneration = 3; Time lastTransitionTime = 4; string reason = 5;
  string message = 6;
}
message Preconditions { optional string uid = 1; optional string resourceVersion = 2; }
message DeleteOptions {
  optional int64 gracePeriodSeconds = 1; Preconditions preconditions = 2; optional bool orphanDependents = 3;
  optional string propagationPolicy = 4; repeated string dryRun = 5;
}
`;
