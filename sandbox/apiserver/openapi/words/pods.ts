// Words on pods and pod templates, for `kubectl explain`.

import type { Words } from './shape.ts';

export const POD_WORDS: Words = {
  'core.v1.Pod': {
    is: 'Containers that run together on one node, with one address.',
    fields: {
      spec: { is: 'What the pod runs, and how.', type: 'core.v1.PodSpec' },
      status: { is: 'How the pod fares.', type: 'core.v1.PodStatus' },
    },
  },
  'core.v1.PodSpec': {
    is: 'What the pod runs, and how.',
    fields: {
      containers: { is: 'Programs of the pod.', type: 'core.v1.Container' },
      initContainers: {
        is: 'Programs that run to their end, one by one, before the others.',
        type: 'core.v1.Container',
      },
      ephemeralContainers: {
        is: 'Containers added to a running pod, to look around.',
        type: 'core.v1.EphemeralContainer',
      },
      volumes: { is: 'Volumes containers can mount.', type: 'core.v1.Volume' },
      restartPolicy: 'Always, OnFailure or Never.',
      terminationGracePeriodSeconds: 'Time between asking to stop and killing.',
      activeDeadlineSeconds: 'Time the pod may run.',
      dnsPolicy: 'Where names are looked up.',
      dnsConfig: 'Additions to the resolver settings.',
      nodeSelector: 'Labels a node must have.',
      serviceAccountName: 'Identity of the pod.',
      serviceAccount: 'Old name of serviceAccountName.',
      automountServiceAccountToken: 'Whether a token is mounted.',
      nodeName: 'Node the pod runs on.',
      hostNetwork: "Use the node's network.",
      hostPID: "Use the node's processes.",
      hostIPC: "Use the node's IPC.",
      hostUsers: "Use the node's user ids.",
      shareProcessNamespace: "Containers see each other's processes.",
      securityContext: {
        is: 'Security settings of all containers.',
        type: 'core.v1.PodSecurityContext',
      },
      imagePullSecrets: 'Secrets to pull images with.',
      hostname: 'Host name inside the pod.',
      subdomain: 'Subdomain of its full host name.',
      affinity: { is: 'Rules on which nodes to prefer or avoid.', type: 'core.v1.Affinity' },
      schedulerName: 'Who chooses the node.',
      tolerations: { is: 'Taints the pod puts up with.', type: 'core.v1.Toleration' },
      hostAliases: "Additions to the pod's hosts file.",
      priorityClassName: 'How important the pod is.',
      priority: 'The same as a number.',
      readinessGates: 'Further conditions that must be true for the pod to be ready.',
      enableServiceLinks: 'Variables for each service.',
      resources: { is: 'Resources it needs and may use.', type: 'core.v1.ResourceRequirements' },
      topologySpreadConstraints: {
        is: 'How evenly pods spread over a topology.',
        type: 'core.v1.TopologySpreadConstraint',
      },
    },
  },
  'core.v1.PodSecurityContext': {
    is: 'Security settings of all containers.',
    fields: {
      runAsUser: 'User id of the process.',
      runAsGroup: 'Group id of the process.',
      runAsNonRoot: 'Refuse to run as root.',
      fsGroup: 'Group that owns volumes.',
    },
  },
  'core.v1.Affinity': {
    is: 'Rules on which nodes to prefer or avoid.',
    fields: {},
  },
  'core.v1.Toleration': {
    is: 'A taint of nodes the pod puts up with.',
    fields: {
      key: 'Key of the taint; empty for all.',
      operator: 'Exists or Equal.',
      value: 'Value of the taint.',
      effect: 'NoSchedule, PreferNoSchedule or NoExecute; empty for all.',
      tolerationSeconds: 'How long a NoExecute taint is tolerated.',
    },
  },
  'core.v1.TopologySpreadConstraint': {
    is: 'How evenly pods spread over a topology.',
    fields: {
      maxSkew: 'Largest difference allowed.',
      topologyKey: 'Node label that names a domain.',
      whenUnsatisfiable: 'DoNotSchedule or ScheduleAnyway.',
      labelSelector: 'Pods that are counted.',
    },
  },
  'core.v1.PodStatus': {
    is: 'How the pod fares; written by its kubelet.',
    fields: {
      phase: 'Pending, Running, Succeeded, Failed or Unknown.',
      conditions: 'Observations of the present state.',
      message: 'Why it is as it is, for people.',
      reason: 'The same in a word, e.g. Evicted.',
      observedGeneration: 'Generation of the spec this tells of.',
      hostIP: 'Address of its node.',
      hostIPs: 'Addresses of its node.',
      podIP: 'Its address.',
      podIPs: 'Its addresses.',
      startTime: 'When the kubelet accepted it.',
      initContainerStatuses: {
        is: 'How its init containers fare.',
        type: 'core.v1.ContainerStatus',
      },
      containerStatuses: { is: 'How its containers fare.', type: 'core.v1.ContainerStatus' },
      ephemeralContainerStatuses: {
        is: 'How its ephemeral containers fare.',
        type: 'core.v1.ContainerStatus',
      },
      qosClass: 'Guaranteed, Burstable or BestEffort.',
    },
  },
  'core.v1.ContainerStatus': {
    is: 'How a container fares.',
    fields: {},
  },
  'core.v1.PodTemplate': {
    is: 'A template for pods.',
    fields: {
      template: { is: 'The pods to make.', type: 'core.v1.PodTemplateSpec' },
    },
  },
  'core.v1.PodTemplateSpec': {
    is: 'The pods to make.',
    fields: {
      spec: { is: 'What the pods run, and how.', type: 'core.v1.PodSpec' },
    },
  },
};
