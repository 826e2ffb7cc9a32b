// Wire messages of workloads and what limits them: apps, batch, autoscaling, policy, scheduling, networking.
// Field numbers are those of Kubernetes' API; `optional` marks fields whose zero means something. Read by ../schema.ts.

export const WORKLOAD_MESSAGES = `
message Deployment { ObjectMeta metadata = 1; DeploymentSpec spec = 2; Opaque status = 3; }
message DeploymentSpec {
  optional int32 replicas = 1; LabelSelector selector = 2; PodTemplateSpec template = 3;
  DeploymentStrategy strategy = 4; int32 minReadySeconds = 5; optional int32 revisionHistoryLimit = 6;
  bool paused = 7; optional int32 progressDeadlineSeconds = 9;
}
message DeploymentStrategy { string type = 1; RollingUpdateDeployment rollingUpdate = 2; }
message RollingUpdateDeployment { IntOrString maxUnavailable = 1; IntOrString maxSurge = 2; }
message ReplicaSet { ObjectMeta metadata = 1; ReplicaSetSpec spec = 2; Opaque status = 3; }
message ReplicaSetSpec {
  optional int32 replicas = 1; int32 minReadySeconds = 4; LabelSelector selector = 2; PodTemplateSpec template = 3;
}
message DaemonSet { ObjectMeta metadata = 1; DaemonSetSpec spec = 2; Opaque status = 3; }
message DaemonSetSpec {
  LabelSelector selector = 1; PodTemplateSpec template = 2; DaemonSetUpdateStrategy updateStrategy = 3;
  int32 minReadySeconds = 4; optional int32 revisionHistoryLimit = 6;
}
message DaemonSetUpdateStrategy { string type = 1; RollingUpdateDaemonSet rollingUpdate = 2; }
message RollingUpdateDaemonSet { IntOrString maxUnavailable = 1; IntOrString maxSurge = 2; }
message StatefulSet { ObjectMeta metadata = 1; StatefulSetSpec spec = 2; Opaque status = 3; }
message StatefulSetSpec {
  optional int32 replicas = 1; LabelSelector selector = 2; PodTemplateSpec template = 3;
  repeated PersistentVolumeClaim volumeClaimTemplates = 4; string serviceName = 5; string podManagementPolicy = 6;
  StatefulSetUpdateStrategy updateStrategy = 7; optional int32 revisionHistoryLimit = 8; int32 minReadySeconds = 9;
  StatefulSetPersistentVolumeClaimRetentionPolicy persistentVolumeClaimRetentionPolicy = 10;
  StatefulSetOrdinals ordinals = 11;
}
message PersistentVolumeClaim { ObjectMeta metadata = 1; PersistentVolumeClaimSpec spec = 2; Opaque status = 3; }
message StatefulSetUpdateStrategy { string type = 1; RollingUpdateStatefulSetStrategy rollingUpdate = 2; }
message RollingUpdateStatefulSetStrategy { optional int32 partition = 1; IntOrString maxUnavailable = 2; }
message StatefulSetPersistentVolumeClaimRetentionPolicy { string whenDeleted = 1; string whenScaled = 2; }
message StatefulSetOrdinals { int32 start = 1; }
message Job { ObjectMeta metadata = 1; JobSpec spec = 2; Opaque status = 3; }
message JobSpec {
  optional int32 parallelism = 1; optional int32 completions = 2; optional int64 activeDeadlineSeconds = 3;
  PodFailurePolicy podFailurePolicy = 11; SuccessPolicy successPolicy = 16; optional int32 backoffLimit = 7;
  optional int32 backoffLimitPerIndex = 12; optional int32 maxFailedIndexes = 13; LabelSelector selector = 4;
  optional bool manualSelector = 5; PodTemplateSpec template = 6; optional int32 ttlSecondsAfterFinished = 8;
  optional string completionMode = 9; optional bool suspend = 10; optional string podReplacementPolicy = 14;
  optional string managedBy = 15; JobSchedulingConfiguration scheduling = 17;
}
message PodFailurePolicy { repeated PodFailurePolicyRule rules = 1; }
message PodFailurePolicyRule {
  string action = 1; PodFailurePolicyOnExitCodesRequirement onExitCodes = 2;
  repeated PodFailurePolicyOnPodConditionsPattern onPodConditions = 3;
}
message PodFailurePolicyOnExitCodesRequirement {
  optional string containerName = 1; string operator = 2; repeated int32 values = 3;
}
message PodFailurePolicyOnPodConditionsPattern { string type = 1; string status = 2; }
message SuccessPolicy { repeated SuccessPolicyRule rules = 1; }
message SuccessPolicyRule { optional string succeededIndexes = 1; optional int32 succeededCount = 2; }
message JobSchedulingConfiguration {  }
message CronJob { ObjectMeta metadata = 1; CronJobSpec spec = 2; Opaque status = 3; }
message CronJobSpec {
  string schedule = 1; optional string timeZone = 8; optional int64 startingDeadlineSeconds = 2;
  string concurrencyPolicy = 3; optional bool suspend = 4; JobTemplateSpec jobTemplate = 5;
  optional int32 successfulJobsHistoryLimit = 6; optional int32 failedJobsHistoryLimit = 7;
}
message JobTemplateSpec { ObjectMeta metadata = 1; JobSpec spec = 2; }
message HorizontalPodAutoscaler { ObjectMeta metadata = 1; HorizontalPodAutoscalerSpec spec = 2; Opaque status = 3; }
message HorizontalPodAutoscalerSpec {
  CrossVersionObjectReference scaleTargetRef = 1; optional int32 minReplicas = 2; int32 maxReplicas = 3;
  repeated MetricSpec metrics = 4; HorizontalPodAutoscalerBehavior behavior = 5;
}
message CrossVersionObjectReference { string kind = 1; string name = 2; string apiVersion = 3; }
message MetricSpec {
  string type = 1; ObjectMetricSource object = 2; PodsMetricSource pods = 3; ResourceMetricSource resource = 4;
  ContainerResourceMetricSource containerResource = 7; ExternalMetricSource external = 5;
}
message ObjectMetricSource {
  CrossVersionObjectReference describedObject = 1; MetricTarget target = 2; MetricIdentifier metric = 3;
}
message MetricTarget {
  string type = 1; Quantity value = 2; Quantity averageValue = 3; optional int32 averageUtilization = 4;
}
message MetricIdentifier { string name = 1; LabelSelector selector = 2; }
message PodsMetricSource { MetricIdentifier metric = 1; MetricTarget target = 2; }
message ResourceMetricSource { string name = 1; MetricTarget target = 2; }
message ContainerResourceMetricSource { string name = 1; MetricTarget target = 2; string container = 3; }
message ExternalMetricSource { MetricIdentifier metric = 1; MetricTarget target = 2; }
message HorizontalPodAutoscalerBehavior { HPAScalingRules scaleUp = 1; HPAScalingRules scaleDown = 2; }
message HPAScalingRules {
  optional int32 stabilizationWindowSeconds = 3; optional string selectPolicy = 1;
  repeated HPAScalingPolicy policies = 2; Quantity tolerance = 4;
}
message HPAScalingPolicy { string type = 1; int32 value = 2; int32 periodSeconds = 3; }
message Scale { ObjectMeta metadata = 1; ScaleSpec spec = 2; ScaleStatus status = 3; }
message ScaleSpec { int32 replicas = 1; }
message ScaleStatus { int32 replicas = 1; string selector = 2; }
message PodDisruptionBudget { ObjectMeta metadata = 1; PodDisruptionBudgetSpec spec = 2; Opaque status = 3; }
message PodDisruptionBudgetSpec {
  IntOrString minAvailable = 1; LabelSelector selector = 2; IntOrString maxUnavailable = 3;
  optional string unhealthyPodEvictionPolicy = 4;
}
message PriorityClass {
  ObjectMeta metadata = 1; int32 value = 2; bool globalDefault = 3; string description = 4;
  optional string preemptionPolicy = 5;
}
message Ingress { ObjectMeta metadata = 1; IngressSpec spec = 2; Opaque status = 3; }
message IngressSpec {
  optional string ingressClassName = 4; IngressBackend defaultBackend = 1; repeated IngressTLS tls = 2;
  repeated IngressRule rules = 3;
}
message IngressBackend { IngressServiceBackend service = 4; TypedLocalObjectReference resource = 3; }
message IngressServiceBackend { string name = 1; ServiceBackendPort port = 2; }
message ServiceBackendPort { string name = 1; int32 number = 2; }
message IngressTLS { repeated string hosts = 1; string secretName = 2; }
message IngressRule { string host = 1; IngressRuleValue ingressRuleValue = 2; }
message IngressRuleValue { HTTPIngressRuleValue http = 1; }
message HTTPIngressRuleValue { repeated HTTPIngressPath paths = 1; }
message HTTPIngressPath { string path = 1; optional string pathType = 3; IngressBackend backend = 2; }
`;
