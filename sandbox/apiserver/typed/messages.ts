// Wire layout of the built-in kinds: for each message its fields as `name number type`, text when no type is said.
// `*` a list, `{}` a map, `?` a number or flag whose zero means something, `~` a message whose fields belong to the parent.
export const MESSAGES: Readonly<Record<string, string>> = {
  Namespace: 'metadata 1 ObjectMeta, spec 2 NamespaceSpec',
  Pod: 'metadata 1 ObjectMeta, spec 2 PodSpec',
  Service: 'metadata 1 ObjectMeta, spec 2 ServiceSpec',
  ServiceAccount:
    'metadata 1 ObjectMeta, secrets 2 *ObjectReference, imagePullSecrets 3 *LocalObjectReference, automountServiceAccountToken 4 ?flag',
  ResourceQuota: 'metadata 1 ObjectMeta, spec 2 ResourceQuotaSpec',
  Binding: 'metadata 1 ObjectMeta, target 2 ObjectReference',
  Event:
    'metadata 1 ObjectMeta, involvedObject 2 ObjectReference, reason 3, message 4, source 5 EventSource, firstTimestamp 6 time, lastTimestamp 7 time, count 8 int, type 9, eventTime 10 micro, series 11 EventSeries, action 12, related 13 ObjectReference, reportingComponent 14, reportingInstance 15',
  Deployment: 'metadata 1 ObjectMeta, spec 2 DeploymentSpec',
  ReplicaSet: 'metadata 1 ObjectMeta, spec 2 ReplicaSetSpec',
  DaemonSet: 'metadata 1 ObjectMeta, spec 2 DaemonSetSpec',
  StatefulSet: 'metadata 1 ObjectMeta, spec 2 StatefulSetSpec',
  Job: 'metadata 1 ObjectMeta, spec 2 JobSpec',
  CronJob: 'metadata 1 ObjectMeta, spec 2 CronJobSpec',
  Role: 'metadata 1 ObjectMeta, rules 2 *PolicyRule',
  RoleBinding: 'metadata 1 ObjectMeta, subjects 2 *Subject, roleRef 3 RoleRef',
  ClusterRole: 'metadata 1 ObjectMeta, rules 2 *PolicyRule, aggregationRule 3 AggregationRule',
  ClusterRoleBinding: 'metadata 1 ObjectMeta, subjects 2 *Subject, roleRef 3 RoleRef',
  TokenRequest: 'metadata 1 ObjectMeta, spec 2 TokenRequestSpec, status 3 TokenRequestStatus',
  TokenReview: 'metadata 1 ObjectMeta, spec 2 TokenReviewSpec, status 3 TokenReviewStatus',
  SelfSubjectReview: 'metadata 1 ObjectMeta, status 2 SelfSubjectReviewStatus',
  SelfSubjectAccessReview:
    'metadata 1 ObjectMeta, spec 2 SelfSubjectAccessReviewSpec, status 3 SubjectAccessReviewStatus',
  SubjectAccessReview:
    'metadata 1 ObjectMeta, spec 2 SubjectAccessReviewSpec, status 3 SubjectAccessReviewStatus',
  LocalSubjectAccessReview:
    'metadata 1 ObjectMeta, spec 2 SubjectAccessReviewSpec, status 3 SubjectAccessReviewStatus',
  SelfSubjectRulesReview:
    'metadata 1 ObjectMeta, spec 2 SelfSubjectRulesReviewSpec, status 3 SubjectRulesReviewStatus',
  PodDisruptionBudget: 'metadata 1 ObjectMeta, spec 2 PodDisruptionBudgetSpec',
  Eviction: 'metadata 1 ObjectMeta, deleteOptions 2 DeleteOptions',
  PriorityClass:
    'metadata 1 ObjectMeta, value 2 int, globalDefault 3 flag, description 4, preemptionPolicy 5',
  Ingress: 'metadata 1 ObjectMeta, spec 2 IngressSpec',
  NetworkPolicy: 'metadata 1 ObjectMeta, spec 2 NetworkPolicySpec',
  Lease: 'metadata 1 ObjectMeta, spec 2 LeaseSpec',
  EndpointSlice:
    'metadata 1 ObjectMeta, addressType 4, endpoints 2 *Endpoint, ports 3 *EndpointPort',
  'Event.events':
    'metadata 1 ObjectMeta, eventTime 2 micro, series 3 EventSeries.events, reportingController 4, reportingInstance 5, action 6, reason 7, regarding 8 ObjectReference, related 9 ObjectReference, note 10, type 11, deprecatedSource 12 EventSource, deprecatedFirstTimestamp 13 time, deprecatedLastTimestamp 14 time, deprecatedCount 15 int',
  DeleteOptions:
    'gracePeriodSeconds 1 ?int, preconditions 2 Preconditions, orphanDependents 3 ?flag, propagationPolicy 4, dryRun 5 *text, ignoreStoreReadErrorWithClusterBreakingPotential 6 ?flag',
  ObjectMeta:
    'name 1, generateName 2, namespace 3, selfLink 4, uid 5, resourceVersion 6, generation 7 int, creationTimestamp 8 time, deletionTimestamp 9 time, deletionGracePeriodSeconds 10 ?int, labels 11 {text}, annotations 12 {text}, ownerReferences 13 *OwnerReference, finalizers 14 *text',
  NamespaceSpec: 'finalizers 1 *text',
  PodSpec:
    'volumes 1 *Volume, initContainers 20 *Container, containers 2 *Container, restartPolicy 3, terminationGracePeriodSeconds 4 ?int, activeDeadlineSeconds 5 ?int, dnsPolicy 6, nodeSelector 7 {text}, serviceAccountName 8, serviceAccount 9, automountServiceAccountToken 21 ?flag, nodeName 10, hostNetwork 11 flag, hostPID 12 flag, hostIPC 13 flag, shareProcessNamespace 27 ?flag, securityContext 14 PodSecurityContext, imagePullSecrets 15 *LocalObjectReference, hostname 16, subdomain 17, affinity 18 Affinity, schedulerName 19, tolerations 22 *Toleration, hostAliases 23 *HostAlias, priorityClassName 24, priority 25 ?int, dnsConfig 26 PodDNSConfig, readinessGates 28 *PodReadinessGate, runtimeClassName 29, enableServiceLinks 30 ?flag, preemptionPolicy 31, overhead 32 {quantity}, topologySpreadConstraints 33 *TopologySpreadConstraint, setHostnameAsFQDN 35 ?flag, os 36 PodOS, hostUsers 37 ?flag, schedulingGates 38 *PodSchedulingGate, resources 40 ResourceRequirements, hostnameOverride 41, evictionResponders 44 *EvictionResponder',
  ServiceSpec:
    'ports 1 *ServicePort, selector 2 {text}, clusterIP 3, clusterIPs 18 *text, type 4, externalIPs 5 *text, sessionAffinity 7, loadBalancerIP 8, loadBalancerSourceRanges 9 *text, externalName 10, externalTrafficPolicy 11, healthCheckNodePort 12 int, publishNotReadyAddresses 13 flag, sessionAffinityConfig 14 SessionAffinityConfig, ipFamilies 19 *text, ipFamilyPolicy 17, allocateLoadBalancerNodePorts 20 ?flag, loadBalancerClass 21, internalTrafficPolicy 22, trafficDistribution 23',
  ObjectReference:
    'kind 1, namespace 2, name 3, uid 4, apiVersion 5, resourceVersion 6, fieldPath 7',
  LocalObjectReference: 'name 1',
  ResourceQuotaSpec: 'hard 1 {quantity}, scopes 2 *text',
  EventSource: 'component 1, host 2',
  EventSeries: 'count 1 int, lastObservedTime 2 micro',
  DeploymentSpec:
    'replicas 1 ?int, selector 2 LabelSelector, template 3 PodTemplateSpec, strategy 4 DeploymentStrategy, minReadySeconds 5 int, revisionHistoryLimit 6 ?int, paused 7 flag, progressDeadlineSeconds 9 ?int',
  ReplicaSetSpec:
    'replicas 1 ?int, minReadySeconds 4 int, selector 2 LabelSelector, template 3 PodTemplateSpec',
  DaemonSetSpec:
    'selector 1 LabelSelector, template 2 PodTemplateSpec, updateStrategy 3 DaemonSetUpdateStrategy, minReadySeconds 4 int, revisionHistoryLimit 6 ?int',
  StatefulSetSpec:
    'replicas 1 ?int, selector 2 LabelSelector, template 3 PodTemplateSpec, serviceName 5, podManagementPolicy 6, updateStrategy 7 StatefulSetUpdateStrategy, revisionHistoryLimit 8 ?int, minReadySeconds 9 int, persistentVolumeClaimRetentionPolicy 10 StatefulSetPersistentVolumeClaimRetentionPolicy, ordinals 11 StatefulSetOrdinals',
  JobSpec:
    'parallelism 1 ?int, completions 2 ?int, activeDeadlineSeconds 3 ?int, backoffLimit 7 ?int, backoffLimitPerIndex 12 ?int, maxFailedIndexes 13 ?int, selector 4 LabelSelector, manualSelector 5 ?flag, template 6 PodTemplateSpec, ttlSecondsAfterFinished 8 ?int, completionMode 9, suspend 10 ?flag, podReplacementPolicy 14, managedBy 15, scheduling 17 JobSchedulingConfiguration',
  CronJobSpec:
    'schedule 1, timeZone 8, startingDeadlineSeconds 2 ?int, concurrencyPolicy 3, suspend 4 ?flag, jobTemplate 5 JobTemplateSpec, successfulJobsHistoryLimit 6 ?int, failedJobsHistoryLimit 7 ?int',
  PolicyRule:
    'verbs 1 *text, apiGroups 2 *text, resources 3 *text, resourceNames 4 *text, nonResourceURLs 5 *text',
  Subject: 'kind 1, apiGroup 2, name 3, namespace 4',
  RoleRef: 'apiGroup 1, kind 2, name 3',
  AggregationRule: 'clusterRoleSelectors 1 *LabelSelector',
  TokenRequestSpec:
    'audiences 1 *text, expirationSeconds 4 ?int, boundObjectRef 3 BoundObjectReference, attestations 5 {AttestationValue}',
  TokenRequestStatus: 'token 1, expirationTimestamp 2 time',
  TokenReviewSpec: 'token 1, audiences 2 *text',
  TokenReviewStatus: 'authenticated 1 flag, user 2 UserInfo, audiences 4 *text, error 3',
  SelfSubjectReviewStatus: 'userInfo 1 UserInfo',
  SelfSubjectAccessReviewSpec:
    'resourceAttributes 1 ResourceAttributes, nonResourceAttributes 2 NonResourceAttributes',
  SubjectAccessReviewStatus: 'allowed 1 flag, denied 4 flag, reason 2, evaluationError 3',
  SubjectAccessReviewSpec:
    'resourceAttributes 1 ResourceAttributes, nonResourceAttributes 2 NonResourceAttributes, user 3, groups 4 *text, extra 5 {ExtraValue.authz}, uid 6',
  SelfSubjectRulesReviewSpec: 'namespace 1',
  SubjectRulesReviewStatus:
    'resourceRules 1 *ResourceRule, nonResourceRules 2 *NonResourceRule, incomplete 3 flag, evaluationError 4',
  PodDisruptionBudgetSpec:
    'minAvailable 1 intOrString, selector 2 LabelSelector, maxUnavailable 3 intOrString, unhealthyPodEvictionPolicy 4',
  IngressSpec:
    'ingressClassName 4, defaultBackend 1 IngressBackend, tls 2 *IngressTLS, rules 3 *IngressRule',
  NetworkPolicySpec:
    'podSelector 1 LabelSelector, ingress 2 *NetworkPolicyIngressRule, egress 3 *NetworkPolicyEgressRule, policyTypes 4 *text',
  LeaseSpec:
    'holderIdentity 1, leaseDurationSeconds 2 ?int, acquireTime 3 micro, renewTime 4 micro, leaseTransitions 5 ?int, strategy 6, preferredHolder 7',
  Endpoint:
    'addresses 1 *text, conditions 2 EndpointConditions, hostname 3, targetRef 4 ObjectReference, deprecatedTopology 5 {text}, nodeName 6, zone 7, hints 8 EndpointHints',
  EndpointPort: 'name 1, protocol 2, port 3 ?int, appProtocol 4',
  'EventSeries.events': 'count 1 int, lastObservedTime 2 micro',
  Preconditions: 'uid 1, resourceVersion 2',
  OwnerReference:
    'apiVersion 5, kind 1, name 3, uid 4, controller 6 ?flag, blockOwnerDeletion 7 ?flag',
  Volume: 'name 1, volumeSource 2 ~VolumeSource',
  Container:
    'name 1, image 2, command 3 *text, args 4 *text, workingDir 5, ports 6 *ContainerPort, envFrom 19 *EnvFromSource, env 7 *EnvVar, resources 8 ResourceRequirements, restartPolicy 24, volumeMounts 9 *VolumeMount, volumeDevices 21 *VolumeDevice, livenessProbe 10 Probe, readinessProbe 11 Probe, startupProbe 22 Probe, lifecycle 12 Lifecycle, terminationMessagePath 13, terminationMessagePolicy 20, imagePullPolicy 14, securityContext 15 SecurityContext, stdin 16 flag, stdinOnce 17 flag, tty 18 flag',
  PodSecurityContext:
    'seLinuxOptions 1 SELinuxOptions, runAsUser 2 ?int, runAsGroup 6 ?int, runAsNonRoot 3 ?flag, supplementalGroups 4 *int, supplementalGroupsPolicy 12, fsGroup 5 ?int, sysctls 7 *Sysctl, fsGroupChangePolicy 9, seccompProfile 10 SeccompProfile, appArmorProfile 11 AppArmorProfile, seLinuxChangePolicy 13',
  Affinity:
    'nodeAffinity 1 NodeAffinity, podAffinity 2 PodAffinity, podAntiAffinity 3 PodAntiAffinity',
  Toleration: 'key 1, operator 2, value 3, effect 4, tolerationSeconds 5 ?int',
  HostAlias: 'ip 1, hostnames 2 *text',
  PodDNSConfig: 'nameservers 1 *text, searches 2 *text, options 3 *PodDNSConfigOption',
  PodReadinessGate: 'conditionType 1',
  TopologySpreadConstraint:
    'maxSkew 1 int, topologyKey 2, whenUnsatisfiable 3, labelSelector 4 LabelSelector, minDomains 5 ?int, nodeAffinityPolicy 6, nodeTaintsPolicy 7, matchLabelKeys 8 *text',
  PodOS: 'name 1',
  PodSchedulingGate: 'name 1',
  ResourceRequirements: 'limits 1 {quantity}, requests 2 {quantity}',
  EvictionResponder: 'name 1, priority 2 ?int',
  ServicePort:
    'name 1, protocol 2, appProtocol 6, port 3 int, targetPort 4 intOrString, nodePort 5 int',
  SessionAffinityConfig: 'clientIP 1 ClientIPConfig',
  LabelSelector: 'matchLabels 1 {text}, matchExpressions 2 *LabelSelectorRequirement',
  PodTemplateSpec: 'metadata 1 ObjectMeta, spec 2 PodSpec',
  DeploymentStrategy: 'type 1, rollingUpdate 2 RollingUpdateDeployment',
  DaemonSetUpdateStrategy: 'type 1, rollingUpdate 2 RollingUpdateDaemonSet',
  StatefulSetUpdateStrategy: 'type 1, rollingUpdate 2 RollingUpdateStatefulSetStrategy',
  StatefulSetPersistentVolumeClaimRetentionPolicy: 'whenDeleted 1, whenScaled 2',
  StatefulSetOrdinals: 'start 1 int',
  JobSchedulingConfiguration: '',
  JobTemplateSpec: 'metadata 1 ObjectMeta, spec 2 JobSpec',
  BoundObjectReference: 'kind 1, apiVersion 2, name 3, uID 4',
  AttestationValue: 'items 1 *text',
  UserInfo: 'username 1, uid 2, groups 3 *text, extra 4 {ExtraValue.authn}',
  ResourceAttributes:
    'namespace 1, verb 2, group 3, version 4, resource 5, subresource 6, name 7, fieldSelector 8 FieldSelectorAttributes, labelSelector 9 LabelSelectorAttributes',
  NonResourceAttributes: 'path 1, verb 2',
  'ExtraValue.authz': 'items 1 *text',
  ResourceRule: 'verbs 1 *text, apiGroups 2 *text, resources 3 *text, resourceNames 4 *text',
  NonResourceRule: 'verbs 1 *text, nonResourceURLs 2 *text',
  IngressBackend: 'service 4 IngressServiceBackend, resource 3 TypedLocalObjectReference',
  IngressTLS: 'hosts 1 *text, secretName 2',
  IngressRule: 'host 1, ingressRuleValue 2 ~IngressRuleValue',
  NetworkPolicyIngressRule: 'ports 1 *NetworkPolicyPort, from 2 *NetworkPolicyPeer',
  NetworkPolicyEgressRule: 'ports 1 *NetworkPolicyPort, to 2 *NetworkPolicyPeer',
  EndpointConditions: 'ready 1 ?flag, serving 2 ?flag, terminating 3 ?flag',
  EndpointHints: 'forZones 1 *ForZone, forNodes 2 *ForNode',
  VolumeSource:
    'hostPath 1 HostPathVolumeSource, emptyDir 2 EmptyDirVolumeSource, secret 6 SecretVolumeSource, persistentVolumeClaim 10 PersistentVolumeClaimVolumeSource, downwardAPI 16 DownwardAPIVolumeSource, configMap 19 ConfigMapVolumeSource, photonPersistentDisk 23 PhotonPersistentDiskVolumeSource, projected 26 ProjectedVolumeSource, csi 28 CSIVolumeSource',
  ContainerPort: 'name 1, hostPort 2 int, containerPort 3 int, protocol 4, hostIP 5',
  EnvFromSource: 'prefix 1, configMapRef 2 ConfigMapEnvSource, secretRef 3 SecretEnvSource',
  EnvVar: 'name 1, value 2, valueFrom 3 EnvVarSource',
  VolumeMount:
    'name 1, readOnly 2 flag, recursiveReadOnly 7, mountPath 3, subPath 4, mountPropagation 5, subPathExpr 6, bindMountOptions 8 *text',
  VolumeDevice: 'name 1, devicePath 2',
  Probe:
    'handler 1 ~ProbeHandler, initialDelaySeconds 2 int, timeoutSeconds 3 int, periodSeconds 4 int, successThreshold 5 int, failureThreshold 6 int, terminationGracePeriodSeconds 7 ?int',
  Lifecycle: 'postStart 1 LifecycleHandler, preStop 2 LifecycleHandler, stopSignal 3',
  SecurityContext:
    'capabilities 1 Capabilities, privileged 2 ?flag, seLinuxOptions 3 SELinuxOptions, runAsUser 4 ?int, runAsGroup 8 ?int, runAsNonRoot 5 ?flag, readOnlyRootFilesystem 6 ?flag, allowPrivilegeEscalation 7 ?flag, procMount 9, seccompProfile 11 SeccompProfile, appArmorProfile 12 AppArmorProfile',
  SELinuxOptions: 'user 1, role 2, type 3, level 4',
  Sysctl: 'name 1, value 2',
  SeccompProfile: 'type 1, localhostProfile 2',
  AppArmorProfile: 'type 1, localhostProfile 2',
  NodeAffinity:
    'requiredDuringSchedulingIgnoredDuringExecution 1 NodeSelector, preferredDuringSchedulingIgnoredDuringExecution 2 *PreferredSchedulingTerm',
  PodAffinity:
    'requiredDuringSchedulingIgnoredDuringExecution 1 *PodAffinityTerm, preferredDuringSchedulingIgnoredDuringExecution 2 *WeightedPodAffinityTerm',
  PodAntiAffinity:
    'requiredDuringSchedulingIgnoredDuringExecution 1 *PodAffinityTerm, preferredDuringSchedulingIgnoredDuringExecution 2 *WeightedPodAffinityTerm',
  PodDNSConfigOption: 'name 1, value 2',
  ClientIPConfig: 'timeoutSeconds 1 ?int',
  LabelSelectorRequirement: 'key 1, operator 2, values 3 *text',
  RollingUpdateDeployment: 'maxUnavailable 1 intOrString, maxSurge 2 intOrString',
  RollingUpdateDaemonSet: 'maxUnavailable 1 intOrString, maxSurge 2 intOrString',
  RollingUpdateStatefulSetStrategy: 'partition 1 ?int, maxUnavailable 2 intOrString',
  'ExtraValue.authn': 'items 1 *text',
  FieldSelectorAttributes: 'rawSelector 1, requirements 2 *FieldSelectorRequirement',
  LabelSelectorAttributes: 'rawSelector 1, requirements 2 *LabelSelectorRequirement',
  IngressServiceBackend: 'name 1, port 2 ServiceBackendPort',
  TypedLocalObjectReference: 'apiGroup 1, kind 2, name 3',
  IngressRuleValue: 'http 1 HTTPIngressRuleValue',
  NetworkPolicyPort: 'protocol 1, port 2 intOrString, endPort 3 ?int',
  NetworkPolicyPeer:
    'podSelector 1 LabelSelector, namespaceSelector 2 LabelSelector, ipBlock 3 IPBlock',
  ForZone: 'name 1',
  ForNode: 'name 1',
  HostPathVolumeSource: 'path 1, type 2',
  EmptyDirVolumeSource: 'medium 1, sizeLimit 2 quantity, mode 3 ?int',
  SecretVolumeSource:
    'secretName 1, items 2 *KeyToPath, defaultMode 3 ?int, optional 4 ?flag, defaultUser 5 ?int',
  PersistentVolumeClaimVolumeSource: 'claimName 1, readOnly 2 flag',
  DownwardAPIVolumeSource: 'items 1 *DownwardAPIVolumeFile, defaultMode 2 ?int, defaultUser 3 ?int',
  ConfigMapVolumeSource:
    'localObjectReference 1 ~LocalObjectReference, items 2 *KeyToPath, defaultMode 3 ?int, optional 4 ?flag, defaultUser 5 ?int',
  PhotonPersistentDiskVolumeSource: 'pdID 1, fsType 2',
  ProjectedVolumeSource: 'sources 1 *VolumeProjection, defaultMode 2 ?int, defaultUser 3 ?int',
  CSIVolumeSource:
    'driver 1, readOnly 2 ?flag, fsType 3, volumeAttributes 4 {text}, nodePublishSecretRef 5 LocalObjectReference',
  ConfigMapEnvSource: 'localObjectReference 1 ~LocalObjectReference, optional 2 ?flag',
  SecretEnvSource: 'localObjectReference 1 ~LocalObjectReference, optional 2 ?flag',
  EnvVarSource:
    'fieldRef 1 ObjectFieldSelector, resourceFieldRef 2 ResourceFieldSelector, configMapKeyRef 3 ConfigMapKeySelector, secretKeyRef 4 SecretKeySelector',
  ProbeHandler:
    'exec 1 ExecAction, httpGet 2 HTTPGetAction, tcpSocket 3 TCPSocketAction, grpc 4 GRPCAction',
  LifecycleHandler:
    'exec 1 ExecAction, httpGet 2 HTTPGetAction, tcpSocket 3 TCPSocketAction, sleep 4 SleepAction',
  Capabilities: 'add 1 *text, drop 2 *text',
  NodeSelector: 'nodeSelectorTerms 1 *NodeSelectorTerm',
  PreferredSchedulingTerm: 'weight 1 int, preference 2 NodeSelectorTerm',
  PodAffinityTerm:
    'labelSelector 1 LabelSelector, namespaces 2 *text, topologyKey 3, namespaceSelector 4 LabelSelector, matchLabelKeys 5 *text, mismatchLabelKeys 6 *text',
  WeightedPodAffinityTerm: 'weight 1 int, podAffinityTerm 2 PodAffinityTerm',
  FieldSelectorRequirement: 'key 1, operator 2, values 3 *text',
  ServiceBackendPort: 'name 1, number 2 int',
  HTTPIngressRuleValue: 'paths 1 *HTTPIngressPath',
  IPBlock: 'cidr 1, except 2 *text',
  KeyToPath: 'key 1, path 2, mode 3 ?int, user 4 ?int',
  DownwardAPIVolumeFile:
    'path 1, fieldRef 2 ObjectFieldSelector, resourceFieldRef 3 ResourceFieldSelector, mode 4 ?int, user 5 ?int',
  VolumeProjection:
    'secret 1 SecretProjection, downwardAPI 2 DownwardAPIProjection, configMap 3 ConfigMapProjection, serviceAccountToken 4 ServiceAccountTokenProjection',
  ObjectFieldSelector: 'apiVersion 1, fieldPath 2',
  ResourceFieldSelector: 'containerName 1, resource 2, divisor 3 quantity',
  ConfigMapKeySelector: 'localObjectReference 1 ~LocalObjectReference, key 2, optional 3 ?flag',
  SecretKeySelector: 'localObjectReference 1 ~LocalObjectReference, key 2, optional 3 ?flag',
  ExecAction: 'command 1 *text',
  HTTPGetAction:
    'path 1, port 2 intOrString, host 3, scheme 4, httpHeaders 5 *HTTPHeader, protocol 6',
  TCPSocketAction: 'port 1 intOrString, host 2',
  GRPCAction: 'port 1 int, service 2, mode 3',
  SleepAction: 'seconds 1 int',
  NodeSelectorTerm:
    'matchExpressions 1 *NodeSelectorRequirement, matchFields 2 *NodeSelectorRequirement',
  HTTPIngressPath: 'path 1, pathType 3, backend 2 IngressBackend',
  SecretProjection:
    'localObjectReference 1 ~LocalObjectReference, items 2 *KeyToPath, optional 4 ?flag',
  DownwardAPIProjection: 'items 1 *DownwardAPIVolumeFile',
  ConfigMapProjection:
    'localObjectReference 1 ~LocalObjectReference, items 2 *KeyToPath, optional 4 ?flag',
  ServiceAccountTokenProjection: 'audience 1, expirationSeconds 2 ?int, path 3, user 4 ?int',
  HTTPHeader: 'name 1, value 2',
  NodeSelectorRequirement: 'key 1, operator 2, values 3 *text',
};
