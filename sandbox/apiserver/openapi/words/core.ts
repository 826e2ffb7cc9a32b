// Words on the core group beside Pod.

import type { Words } from './shape.ts';

export const CORE_WORDS: Words = {
  'core.v1.Service': {
    is: 'A stable name and address for a set of pods.',
    fields: {
      spec: { is: 'What the service stands for.', type: 'core.v1.ServiceSpec' },
      status: { is: 'How the service fares.', type: 'core.v1.ServiceStatus' },
    },
  },
  'core.v1.ServiceSpec': {
    is: 'What the service stands for.',
    fields: {
      type: 'ClusterIP, NodePort, LoadBalancer or ExternalName.',
      selector: 'Labels of the pods behind it.',
      ports: { is: 'Ports of the service.', type: 'core.v1.ServicePort' },
      clusterIP: 'Its address; "None" for a headless service.',
      clusterIPs: 'Its addresses, one a family.',
      ipFamilies: 'IPv4 and IPv6, the first one preferred.',
      ipFamilyPolicy: 'SingleStack, PreferDualStack or RequireDualStack.',
      externalName: 'DNS name it stands for (ExternalName).',
      internalTrafficPolicy: 'Cluster or Local.',
      trafficDistribution: 'Which endpoints to prefer.',
      sessionAffinity: 'ClientIP keeps a client on a pod.',
      publishNotReadyAddresses: 'Also show pods that are not ready.',
    },
  },
  'core.v1.ServicePort': {
    is: 'A port of a service.',
    fields: {
      name: 'Name of the port; needed when there are several.',
      protocol: 'Its protocol.',
      appProtocol: 'What is spoken on it, e.g. http.',
      port: 'Port of the service.',
      targetPort: 'Port of the pods, by number or name.',
      nodePort: 'Port on each node.',
    },
  },
  'core.v1.ServiceStatus': {
    is: 'How the service fares.',
    fields: {
      conditions: 'Observations of the present state.',
    },
  },
  'core.v1.Endpoints': {
    is: 'Addresses behind a service; see also EndpointSlice.',
    fields: {
      subsets: 'Addresses that share ports.',
    },
  },
  'core.v1.ConfigMap': {
    is: 'Settings for pods to use.',
    fields: {
      data: 'Keys and their text.',
      binaryData: 'Keys and their bytes in base64.',
      immutable: 'Whether its data is fixed for good.',
    },
  },
  'core.v1.Secret': {
    is: 'Sensitive settings for pods to use.',
    fields: {
      type: 'What kind of secret it is.',
      data: 'Keys and their bytes in base64.',
      stringData: 'Keys and their text; merged into data when written.',
      immutable: 'Whether its data is fixed for good.',
    },
  },
  'core.v1.Namespace': {
    is: 'A scope for names.',
    fields: {
      spec: { is: 'How the namespace shall be.', type: 'core.v1.NamespaceSpec' },
      status: { is: 'How the namespace fares.', type: 'core.v1.NamespaceStatus' },
    },
  },
  'core.v1.NamespaceSpec': {
    is: 'How the namespace shall be.',
    fields: {
      finalizers: 'Must be empty before it is removed.',
    },
  },
  'core.v1.NamespaceStatus': {
    is: 'How the namespace fares.',
    fields: {
      phase: 'Active or Terminating.',
      conditions: 'Observations of the present state.',
    },
  },
  'core.v1.Node': {
    is: 'A machine that runs pods.',
    fields: {
      spec: { is: 'How the node shall be.', type: 'core.v1.NodeSpec' },
      status: { is: 'How the node fares.', type: 'core.v1.NodeStatus' },
    },
  },
  'core.v1.NodeSpec': {
    is: 'How the node shall be.',
    fields: {
      podCIDR: 'Addresses for its pods.',
      podCIDRs: 'The same, one a family.',
      unschedulable: 'Whether new pods are kept away.',
      taints: { is: 'What keeps pods away.', type: 'core.v1.Taint' },
    },
  },
  'core.v1.Taint': {
    is: 'Keeps pods away that do not tolerate it.',
    fields: {},
  },
  'core.v1.NodeStatus': {
    is: 'How the node fares.',
    fields: {
      capacity: 'What it has.',
      allocatable: 'What pods may use.',
      conditions: 'Observations of the present state.',
      addresses: 'Where it is reached.',
      nodeInfo: { is: 'What runs on it.', type: 'core.v1.NodeSystemInfo' },
    },
  },
  'core.v1.NodeSystemInfo': {
    is: 'What runs on it.',
    fields: {},
  },
  'core.v1.ServiceAccount': {
    is: 'An identity for pods.',
    fields: {
      imagePullSecrets: 'Secrets to pull images with.',
      automountServiceAccountToken: 'Whether pods get a token.',
    },
  },
  'core.v1.Event': {
    is: 'Something that happened to an object.',
    fields: {
      involvedObject: 'What it happened to.',
      reason: 'What happened, in a word.',
      message: 'What happened, for people.',
      source: 'Who says so.',
      firstTimestamp: 'When it happened first.',
      lastTimestamp: 'When it happened last.',
      count: 'How often it happened.',
      type: 'Normal or Warning.',
      eventTime: 'When it was first seen.',
    },
  },
};
