// Schemas of the core group beside Pod: Service, Endpoints, ConfigMap, Secret, Namespace, Node, ServiceAccount, Event.

import {
  anything,
  flag,
  integer,
  keyedList,
  list,
  mapOf,
  mergeList,
  object,
  oneOf,
  type Schema,
  setOf,
  text,
  time,
} from '../../schema.ts';
import {
  CONDITIONS,
  LOCAL_REFERENCE,
  OBJECT_REFERENCE,
  QUANTITIES,
  resource,
} from '../../schemas/meta.ts';
import { definer, field } from './definition.ts';
import { PORT_REFERENCE } from './pod.ts';

const core = definer('core.v1');
const int32 = (description: string, more: Partial<Schema> = {}): Schema =>
  integer({ format: 'int32', description, ...more });
const protocol = oneOf(['TCP', 'UDP', 'SCTP'], { default: 'TCP', description: 'Its protocol.' });

const SERVICE_PORT = core(
  'ServicePort',
  'A port of a service.',
  {
    name: text({ description: 'Name of the port; needed when there are several.' }),
    protocol,
    appProtocol: text({ description: 'What is spoken on it, e.g. http.' }),
    port: int32('Port of the service.', { minimum: 1, maximum: 65535 }),
    targetPort: field(PORT_REFERENCE, 'Port of the pods, by number or name.'),
    nodePort: int32('Port on each node.'),
  },
  ['port'],
);

const SERVICE_SPEC = core('ServiceSpec', 'What the service stands for.', {
  type: text({
    default: 'ClusterIP',
    description: 'ClusterIP, NodePort, LoadBalancer or ExternalName.',
  }),
  selector: mapOf(text(), {
    description: 'Labels of the pods behind it.',
    'x-kubernetes-map-type': 'atomic',
  }),
  ports: keyedList(['port', 'protocol'], SERVICE_PORT, { description: 'Ports of the service.' }),
  clusterIP: text({ description: 'Its address; "None" for a headless service.' }),
  clusterIPs: list(text(), { description: 'Its addresses, one a family.' }),
  ipFamilies: list(text(), { description: 'IPv4 and IPv6, the first one preferred.' }),
  ipFamilyPolicy: text({ description: 'SingleStack, PreferDualStack or RequireDualStack.' }),
  externalIPs: list(text()),
  externalName: text({ description: 'DNS name it stands for (ExternalName).' }),
  externalTrafficPolicy: text(),
  internalTrafficPolicy: text({ default: 'Cluster', description: 'Cluster or Local.' }),
  trafficDistribution: text({ description: 'Which endpoints to prefer.' }),
  sessionAffinity: text({ default: 'None', description: 'ClientIP keeps a client on a pod.' }),
  sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: integer() }) }),
  publishNotReadyAddresses: flag({ description: 'Also show pods that are not ready.' }),
  healthCheckNodePort: integer({ format: 'int32' }),
  allocateLoadBalancerNodePorts: flag(),
  loadBalancerClass: text(),
  loadBalancerIP: text(),
  loadBalancerSourceRanges: list(text()),
});

const NODE_ADDRESS = object({ type: text(), address: text() }, ['type', 'address']);
const TAINT = core(
  'Taint',
  'Keeps pods away that do not tolerate it.',
  { key: text(), value: text(), effect: text(), timeAdded: time() },
  ['key', 'effect'],
);

const NODE_STATUS = core('NodeStatus', 'How the node fares.', {
  capacity: field(QUANTITIES, 'What it has.'),
  allocatable: field(QUANTITIES, 'What pods may use.'),
  phase: text(),
  conditions: CONDITIONS,
  addresses: mergeList('type', NODE_ADDRESS, { description: 'Where it is reached.' }),
  daemonEndpoints: object({ kubeletEndpoint: object({ Port: integer() }, ['Port']) }),
  nodeInfo: core('NodeSystemInfo', 'What runs on it.', {
    machineID: text(),
    systemUUID: text(),
    bootID: text(),
    kernelVersion: text(),
    osImage: text(),
    containerRuntimeVersion: text(),
    kubeletVersion: text(),
    kubeProxyVersion: text(),
    operatingSystem: text(),
    architecture: text(),
  }),
  images: list(object({ names: list(text()), sizeBytes: integer({ format: 'int64' }) })),
  volumesInUse: list(text()),
  volumesAttached: list(anything()),
  features: anything(),
  runtimeHandlers: list(anything()),
});

const ENDPOINT_ADDRESS = object(
  { ip: text(), hostname: text(), nodeName: text(), targetRef: OBJECT_REFERENCE },
  ['ip'],
);
const STRINGS = mapOf(text());
const BYTES = mapOf(text({ format: 'byte' }));

export const CORE_KINDS: Readonly<Record<string, Schema>> = {
  Service: resource('A stable name and address for a set of pods.', {
    spec: SERVICE_SPEC,
    status: core('ServiceStatus', 'How the service fares.', {
      loadBalancer: anything({ default: {} }),
      conditions: CONDITIONS,
    }),
  }),
  Endpoints: resource('Addresses behind a service; see also EndpointSlice.', {
    subsets: list(
      object({
        addresses: list(ENDPOINT_ADDRESS),
        notReadyAddresses: list(ENDPOINT_ADDRESS),
        ports: list(
          object({ name: text(), port: integer(), protocol, appProtocol: text() }, ['port']),
        ),
      }),
      { description: 'Addresses that share ports.' },
    ),
  }),
  ConfigMap: resource('Settings for pods to use.', {
    data: field(STRINGS, 'Keys and their text.'),
    binaryData: field(BYTES, 'Keys and their bytes in base64.'),
    immutable: flag({ description: 'Whether its data is fixed for good.' }),
  }),
  Secret: resource('Sensitive settings for pods to use.', {
    type: text({ default: 'Opaque', description: 'What kind of secret it is.' }),
    data: field(BYTES, 'Keys and their bytes in base64.'),
    stringData: field(STRINGS, 'Keys and their text; merged into data when written.'),
    immutable: flag({ description: 'Whether its data is fixed for good.' }),
  }),
  Namespace: resource('A scope for names.', {
    spec: core('NamespaceSpec', 'How the namespace shall be.', {
      finalizers: setOf(text(), { description: 'Must be empty before it is removed.' }),
    }),
    status: core('NamespaceStatus', 'How the namespace fares.', {
      phase: text({ description: 'Active or Terminating.' }),
      conditions: CONDITIONS,
    }),
  }),
  Node: resource('A machine that runs pods.', {
    spec: core('NodeSpec', 'How the node shall be.', {
      podCIDR: text({ description: 'Addresses for its pods.' }),
      podCIDRs: setOf(text(), { description: 'The same, one a family.' }),
      providerID: text(),
      unschedulable: flag({ description: 'Whether new pods are kept away.' }),
      taints: list(TAINT, { description: 'What keeps pods away.' }),
      configSource: anything(),
      externalID: text(),
    }),
    status: NODE_STATUS,
  }),
  ServiceAccount: resource('An identity for pods.', {
    secrets: keyedList(['name'], OBJECT_REFERENCE),
    imagePullSecrets: list(LOCAL_REFERENCE, { description: 'Secrets to pull images with.' }),
    automountServiceAccountToken: flag({ description: 'Whether pods get a token.' }),
  }),
  Event: resource(
    'Something that happened to an object.',
    {
      involvedObject: field(OBJECT_REFERENCE, 'What it happened to.'),
      reason: text({ description: 'What happened, in a word.' }),
      message: text({ description: 'What happened, for people.' }),
      source: object({ component: text(), host: text() }, [], { description: 'Who says so.' }),
      firstTimestamp: time({ description: 'When it happened first.' }),
      lastTimestamp: time({ description: 'When it happened last.' }),
      count: int32('How often it happened.'),
      type: text({ description: 'Normal or Warning.' }),
      eventTime: time({ description: 'When it was first seen.' }),
      series: object({ count: integer(), lastObservedTime: time() }),
      action: text(),
      related: OBJECT_REFERENCE,
      reportingComponent: text(),
      reportingInstance: text(),
    },
    ['involvedObject'],
  ),
};
