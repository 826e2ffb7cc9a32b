// Wire messages of pods, their containers and volumes.
// Field numbers are those of Kubernetes' API; `optional` marks fields whose zero means something. Read by ../schema.ts.

export const POD_MESSAGES = `
message PodSpec {
  repeated Volume volumes = 1; repeated Container initContainers = 20; repeated Container containers = 2;
  repeated EphemeralContainer ephemeralContainers = 34; string restartPolicy = 3;
  optional int64 terminationGracePeriodSeconds = 4; optional int64 activeDeadlineSeconds = 5; string dnsPolicy = 6;
  map<string, string> nodeSelector = 7; string serviceAccountName = 8; string serviceAccount = 9;
  optional bool automountServiceAccountToken = 21; string nodeName = 10; bool hostNetwork = 11; bool hostPID = 12;
  bool hostIPC = 13; optional bool shareProcessNamespace = 27; PodSecurityContext securityContext = 14;
  repeated LocalObjectReference imagePullSecrets = 15; string hostname = 16; string subdomain = 17;
  Affinity affinity = 18; string schedulerName = 19; repeated Toleration tolerations = 22;
  repeated HostAlias hostAliases = 23; string priorityClassName = 24; optional int32 priority = 25;
  PodDNSConfig dnsConfig = 26; repeated PodReadinessGate readinessGates = 28; optional string runtimeClassName = 29;
  optional bool enableServiceLinks = 30; optional string preemptionPolicy = 31; map<string, Quantity> overhead = 32;
  repeated TopologySpreadConstraint topologySpreadConstraints = 33; optional bool setHostnameAsFQDN = 35;
  PodOS os = 36; optional bool hostUsers = 37; repeated PodSchedulingGate schedulingGates = 38;
  repeated PodResourceClaim resourceClaims = 39; ResourceRequirements resources = 40;
  optional string hostnameOverride = 41; PodSchedulingGroup schedulingGroup = 43;
  repeated EvictionResponder evictionResponders = 44;
}
message Volume { string name = 1; VolumeSource volumeSource = 2; }
message VolumeSource {
  HostPathVolumeSource hostPath = 1; EmptyDirVolumeSource emptyDir = 2; SecretVolumeSource secret = 6;
  PersistentVolumeClaimVolumeSource persistentVolumeClaim = 10; DownwardAPIVolumeSource downwardAPI = 16;
  ConfigMapVolumeSource configMap = 19; ProjectedVolumeSource projected = 26; CSIVolumeSource csi = 28;
  EphemeralVolumeSource ephemeral = 29; ImageVolumeSource image = 30;
}
message HostPathVolumeSource { string path = 1; optional string type = 2; }
message EmptyDirVolumeSource { string medium = 1; Quantity sizeLimit = 2; optional int32 mode = 3; }
message SecretVolumeSource {
  string secretName = 1; repeated KeyToPath items = 2; optional int32 defaultMode = 3; optional bool optional = 4;
  optional int64 defaultUser = 5;
}
message KeyToPath { string key = 1; string path = 2; optional int32 mode = 3; optional int64 user = 4; }
message PersistentVolumeClaimVolumeSource { string claimName = 1; bool readOnly = 2; }
message DownwardAPIVolumeSource {
  repeated DownwardAPIVolumeFile items = 1; optional int32 defaultMode = 2; optional int64 defaultUser = 3;
}
message DownwardAPIVolumeFile {
  string path = 1; ObjectFieldSelector fieldRef = 2; ResourceFieldSelector resourceFieldRef = 3;
  optional int32 mode = 4; optional int64 user = 5;
}
message ObjectFieldSelector { string apiVersion = 1; string fieldPath = 2; }
message ResourceFieldSelector { string containerName = 1; string resource = 2; Quantity divisor = 3; }
message ConfigMapVolumeSource {
  LocalObjectReference localObjectReference = 1; repeated KeyToPath items = 2; optional int32 defaultMode = 3;
  optional bool optional = 4; optional int64 defaultUser = 5;
}
message LocalObjectReference { string name = 1; }
message ProjectedVolumeSource {
  repeated VolumeProjection sources = 1; optional int32 defaultMode = 2; optional int64 defaultUser = 3;
}
message VolumeProjection {
  SecretProjection secret = 1; DownwardAPIProjection downwardAPI = 2; ConfigMapProjection configMap = 3;
  ServiceAccountTokenProjection serviceAccountToken = 4; ClusterTrustBundleProjection clusterTrustBundle = 5;
  PodCertificateProjection podCertificate = 6;
}
message SecretProjection {
  LocalObjectReference localObjectReference = 1; repeated KeyToPath items = 2; optional bool optional = 4;
}
message DownwardAPIProjection { repeated DownwardAPIVolumeFile items = 1; }
message ConfigMapProjection {
  LocalObjectReference localObjectReference = 1; repeated KeyToPath items = 2; optional bool optional = 4;
}
message ServiceAccountTokenProjection {
  string audience = 1; optional int64 expirationSeconds = 2; string path = 3; optional int64 user = 4;
}
message ClusterTrustBundleProjection {
  optional string name = 1; optional string signerName = 2; LabelSelector labelSelector = 3;
  optional bool optional = 5; string path = 4; optional int64 user = 6;
}
message PodCertificateProjection {
  string signerName = 1; string keyType = 2; optional int32 maxExpirationSeconds = 3;
  string credentialBundlePath = 4; string keyPath = 5; string certificateChainPath = 6;
  map<string, string> userAnnotations = 7; optional int64 user = 8;
}
message CSIVolumeSource {
  string driver = 1; optional bool readOnly = 2; optional string fsType = 3;
  map<string, string> volumeAttributes = 4; LocalObjectReference nodePublishSecretRef = 5;
}
message EphemeralVolumeSource { PersistentVolumeClaimTemplate volumeClaimTemplate = 1; }
message PersistentVolumeClaimTemplate { ObjectMeta metadata = 1; PersistentVolumeClaimSpec spec = 2; }
message PersistentVolumeClaimSpec {
  repeated string accessModes = 1; LabelSelector selector = 4; VolumeResourceRequirements resources = 2;
  string volumeName = 3; optional string storageClassName = 5; optional string volumeMode = 6;
  TypedLocalObjectReference dataSource = 7; TypedObjectReference dataSourceRef = 8;
  optional string volumeAttributesClassName = 9;
}
message VolumeResourceRequirements { map<string, Quantity> limits = 1; map<string, Quantity> requests = 2; }
message TypedLocalObjectReference { optional string apiGroup = 1; string kind = 2; string name = 3; }
message TypedObjectReference {
  optional string apiGroup = 1; string kind = 2; string name = 3; optional string namespace = 4;
}
message ImageVolumeSource { string reference = 1; string pullPolicy = 2; }
message Container {
  string name = 1; string image = 2; repeated string command = 3; repeated string args = 4; string workingDir = 5;
  repeated ContainerPort ports = 6; repeated EnvFromSource envFrom = 19; repeated EnvVar env = 7;
  ResourceRequirements resources = 8; repeated ContainerResizePolicy resizePolicy = 23;
  optional string restartPolicy = 24; repeated ContainerRestartRule restartPolicyRules = 25;
  repeated VolumeMount volumeMounts = 9; repeated VolumeDevice volumeDevices = 21; Probe livenessProbe = 10;
  Probe readinessProbe = 11; Probe startupProbe = 22; Lifecycle lifecycle = 12; string terminationMessagePath = 13;
  string terminationMessagePolicy = 20; string imagePullPolicy = 14; SecurityContext securityContext = 15;
  bool stdin = 16; bool stdinOnce = 17; bool tty = 18;
}
message ContainerPort {
  string name = 1; int32 hostPort = 2; int32 containerPort = 3; string protocol = 4; string hostIP = 5;
}
message EnvFromSource { string prefix = 1; ConfigMapEnvSource configMapRef = 2; SecretEnvSource secretRef = 3; }
message ConfigMapEnvSource { LocalObjectReference localObjectReference = 1; optional bool optional = 2; }
message SecretEnvSource { LocalObjectReference localObjectReference = 1; optional bool optional = 2; }
message EnvVar { string name = 1; string value = 2; EnvVarSource valueFrom = 3; }
message EnvVarSource {
  ObjectFieldSelector fieldRef = 1; ResourceFieldSelector resourceFieldRef = 2;
  ConfigMapKeySelector configMapKeyRef = 3; SecretKeySelector secretKeyRef = 4; FileKeySelector fileKeyRef = 5;
}
message ConfigMapKeySelector {
  LocalObjectReference localObjectReference = 1; string key = 2; optional bool optional = 3;
}
message SecretKeySelector {
  LocalObjectReference localObjectReference = 1; string key = 2; optional bool optional = 3;
}
message FileKeySelector { string volumeName = 1; string path = 2; string key = 3; optional bool optional = 4; }
message ResourceRequirements {
  map<string, Quantity> limits = 1; map<string, Quantity> requests = 2; repeated ResourceClaim claims = 3;
}
message ResourceClaim { string name = 1; string request = 2; }
message ContainerResizePolicy { string resourceName = 1; string restartPolicy = 2; }
message ContainerRestartRule { string action = 1; ContainerRestartRuleOnExitCodes exitCodes = 2; }
message ContainerRestartRuleOnExitCodes { string operator = 1; repeated int32 values = 2; }
message VolumeMount {
  string name = 1; bool readOnly = 2; optional string recursiveReadOnly = 7; string mountPath = 3;
  string subPath = 4; optional string mountPropagation = 5; string subPathExpr = 6;
  repeated string bindMountOptions = 8;
}
message VolumeDevice { string name = 1; string devicePath = 2; }
message Probe {
  ProbeHandler handler = 1; int32 initialDelaySeconds = 2; int32 timeoutSeconds = 3; int32 periodSeconds = 4;
  int32 successThreshold = 5; int32 failureThreshold = 6; optional int64 terminationGracePeriodSeconds = 7;
}
message ProbeHandler {
  ExecAction exec = 1; HTTPGetAction httpGet = 2; TCPSocketAction tcpSocket = 3; GRPCAction grpc = 4;
}
message ExecAction { repeated string command = 1; }
message HTTPGetAction {
  string path = 1; IntOrString port = 2; string host = 3; string scheme = 4; repeated HTTPHeader httpHeaders = 5;
  optional string protocol = 6;
}
message HTTPHeader { string name = 1; string value = 2; }
message TCPSocketAction { IntOrString port = 1; string host = 2; }
message GRPCAction { int32 port = 1; optional string service = 2; optional string mode = 3; }
message Lifecycle { LifecycleHandler postStart = 1; LifecycleHandler preStop = 2; optional string stopSignal = 3; }
message LifecycleHandler {
  ExecAction exec = 1; HTTPGetAction httpGet = 2; TCPSocketAction tcpSocket = 3; SleepAction sleep = 4;
}
message SleepAction { int64 seconds = 1; }
message SecurityContext {
  Capabilities capabilities = 1; optional bool privileged = 2; SELinuxOptions seLinuxOptions = 3;
  optional int64 runAsUser = 4; optional int64 runAsGroup = 8; optional bool runAsNonRoot = 5;
  optional bool readOnlyRootFilesystem = 6; optional bool allowPrivilegeEscalation = 7;
  optional string procMount = 9; SeccompProfile seccompProfile = 11; AppArmorProfile appArmorProfile = 12;
}
message Capabilities { repeated string add = 1; repeated string drop = 2; }
message SELinuxOptions { string user = 1; string role = 2; string type = 3; string level = 4; }
message SeccompProfile { string type = 1; optional string localhostProfile = 2; }
message AppArmorProfile { string type = 1; optional string localhostProfile = 2; }
message EphemeralContainer { EphemeralContainerCommon ephemeralContainerCommon = 1; string targetContainerName = 2; }
message EphemeralContainerCommon {
  string name = 1; string image = 2; repeated string command = 3; repeated string args = 4; string workingDir = 5;
  repeated ContainerPort ports = 6; repeated EnvFromSource envFrom = 19; repeated EnvVar env = 7;
  ResourceRequirements resources = 8; repeated ContainerResizePolicy resizePolicy = 23;
  optional string restartPolicy = 24; repeated ContainerRestartRule restartPolicyRules = 25;
  repeated VolumeMount volumeMounts = 9; repeated VolumeDevice volumeDevices = 21; Probe livenessProbe = 10;
  Probe readinessProbe = 11; Probe startupProbe = 22; Lifecycle lifecycle = 12; string terminationMessagePath = 13;
  string terminationMessagePolicy = 20; string imagePullPolicy = 14; SecurityContext securityContext = 15;
  bool stdin = 16; bool stdinOnce = 17; bool tty = 18;
}
message PodSecurityContext {
  SELinuxOptions seLinuxOptions = 1; optional int64 runAsUser = 2; optional int64 runAsGroup = 6;
  optional bool runAsNonRoot = 3; repeated int64 supplementalGroups = 4;
  optional string supplementalGroupsPolicy = 12; optional int64 fsGroup = 5; repeated Sysctl sysctls = 7;
  optional string fsGroupChangePolicy = 9; SeccompProfile seccompProfile = 10; AppArmorProfile appArmorProfile = 11;
  optional string seLinuxChangePolicy = 13;
}
message Sysctl { string name = 1; string value = 2; }
message Affinity { NodeAffinity nodeAffinity = 1; PodAffinity podAffinity = 2; PodAntiAffinity podAntiAffinity = 3; }
message NodeAffinity {
  NodeSelector requiredDuringSchedulingIgnoredDuringExecution = 1;
  repeated PreferredSchedulingTerm preferredDuringSchedulingIgnoredDuringExecution = 2;
}
message NodeSelector { repeated NodeSelectorTerm nodeSelectorTerms = 1; }
message NodeSelectorTerm {
  repeated NodeSelectorRequirement matchExpressions = 1; repeated NodeSelectorRequirement matchFields = 2;
}
message NodeSelectorRequirement { string key = 1; string operator = 2; repeated string values = 3; }
message PreferredSchedulingTerm { int32 weight = 1; NodeSelectorTerm preference = 2; }
message PodAffinity {
  repeated PodAffinityTerm requiredDuringSchedulingIgnoredDuringExecution = 1;
  repeated WeightedPodAffinityTerm preferredDuringSchedulingIgnoredDuringExecution = 2;
}
message PodAffinityTerm {
  LabelSelector labelSelector = 1; repeated string namespaces = 2; string topologyKey = 3;
  LabelSelector namespaceSelector = 4; repeated string matchLabelKeys = 5; repeated string mismatchLabelKeys = 6;
}
message WeightedPodAffinityTerm { int32 weight = 1; PodAffinityTerm podAffinityTerm = 2; }
message PodAntiAffinity {
  repeated PodAffinityTerm requiredDuringSchedulingIgnoredDuringExecution = 1;
  repeated WeightedPodAffinityTerm preferredDuringSchedulingIgnoredDuringExecution = 2;
}
message Toleration {
  string key = 1; string operator = 2; string value = 3; string effect = 4; optional int64 tolerationSeconds = 5;
}
message HostAlias { string ip = 1; repeated string hostnames = 2; }
message PodDNSConfig {
  repeated string nameservers = 1; repeated string searches = 2; repeated PodDNSConfigOption options = 3;
}
message PodDNSConfigOption { string name = 1; optional string value = 2; }
message PodReadinessGate { string conditionType = 1; }
message TopologySpreadConstraint {
  int32 maxSkew = 1; string topologyKey = 2; string whenUnsatisfiable = 3; LabelSelector labelSelector = 4;
  optional int32 minDomains = 5; optional string nodeAffinityPolicy = 6; optional string nodeTaintsPolicy = 7;
  repeated string matchLabelKeys = 8;
}
message PodOS { string name = 1; }
message PodSchedulingGate { string name = 1; }
message PodResourceClaim {
  string name = 1; optional string resourceClaimName = 3; optional string resourceClaimTemplateName = 4;
}
message PodSchedulingGroup { optional string podGroupName = 1; }
message EvictionResponder { string name = 1; optional int32 priority = 2; }
message PodTemplateSpec { ObjectMeta metadata = 1; PodSpec spec = 2; }
`;
