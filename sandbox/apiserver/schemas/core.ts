// The core group beside pods: configuration, services, nodes, events and the like.

import {
  anything,
  flag,
  integer,
  intOrString,
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
} from '../schema.ts';
import { CONDITIONS, META, OBJECT_REFERENCE, QUANTITIES, resource, SELECTOR } from './meta.ts';
import { POD_TEMPLATE_SPEC, REFERENCES } from './pod.ts';

const BYTES: Schema = text({ format: 'byte' });

export const CONFIG_MAP: Schema = resource('Configuration as keys and values.', {
  data: mapOf(text(), { description: 'Text values.' }),
  binaryData: mapOf(BYTES, { description: 'Values in base64.' }),
  immutable: flag({ description: 'Refuses changes of the data.' }),
});

export const SECRET: Schema = resource('Confidential keys and values.', {
  data: mapOf(BYTES, { description: 'Values in base64.' }),
  stringData: mapOf(text(), { description: 'Text values, stored in data; write-only.' }),
  type: text({ description: 'What the secret is for.', default: 'Opaque' }),
  immutable: flag({ description: 'Refuses changes of the data.' }),
});

export const NAMESPACE: Schema = resource('A scope of names.', {
  spec: object({ finalizers: list(text()) }),
  status: object({ phase: text(), conditions: CONDITIONS }),
});

const SERVICE_PORT: Schema = object(
  {
    name: text({ description: 'Name, needed when there are several ports.' }),
    protocol: oneOf(['TCP', 'UDP', 'SCTP'], { default: 'TCP' }),
    appProtocol: text({ description: 'What is spoken on the port.' }),
    port: integer({ format: 'int32', description: 'Port of the service.' }),
    targetPort: intOrString({ description: 'Port, or its name, of the pods.' }),
    nodePort: integer({ format: 'int32' }),
  },
  ['port'],
);

export const SERVICE: Schema = resource('A stable address in front of pods.', {
  spec: object({
    ports: keyedList(['port', 'protocol'], SERVICE_PORT, { description: 'Ports of the service.' }),
    selector: mapOf(text(), {
      'x-kubernetes-map-type': 'atomic',
      description: 'Labels of the pods behind the service.',
    }),
    clusterIP: text({ description: 'Address of the service; None makes it headless.' }),
    clusterIPs: list(text()),
    type: oneOf(['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'], {
      default: 'ClusterIP',
    }),
    externalIPs: list(text()),
    sessionAffinity: oneOf(['ClientIP', 'None'], { default: 'None' }),
    loadBalancerIP: text(),
    loadBalancerSourceRanges: list(text()),
    externalName: text(),
    externalTrafficPolicy: oneOf(['Cluster', 'Local']),
    healthCheckNodePort: integer(),
    publishNotReadyAddresses: flag(),
    sessionAffinityConfig: object({ clientIP: object({ timeoutSeconds: integer() }) }),
    ipFamilies: list(oneOf(['IPv4', 'IPv6'])),
    ipFamilyPolicy: oneOf(['SingleStack', 'PreferDualStack', 'RequireDualStack']),
    allocateLoadBalancerNodePorts: flag(),
    loadBalancerClass: text(),
    internalTrafficPolicy: oneOf(['Cluster', 'Local']),
    trafficDistribution: text(),
  }),
  status: object({
    loadBalancer: object({
      ingress: list(
        object({
          ip: text(),
          hostname: text(),
          ipMode: text(),
          ports: list(object({ port: integer(), protocol: text(), error: text() }, ['port'])),
        }),
      ),
    }),
    conditions: CONDITIONS,
  }),
});

const ENDPOINT_ADDRESS: Schema = object(
  { ip: text(), hostname: text(), nodeName: text(), targetRef: OBJECT_REFERENCE },
  ['ip'],
  { 'x-kubernetes-map-type': 'atomic' },
);

export const ENDPOINTS: Schema = resource('Addresses behind a service, in the old form.', {
  subsets: list(
    object({
      addresses: list(ENDPOINT_ADDRESS),
      notReadyAddresses: list(ENDPOINT_ADDRESS),
      ports: list(
        object(
          {
            name: text(),
            port: integer(),
            protocol: text({ default: 'TCP' }),
            appProtocol: text(),
          },
          ['port'],
          { 'x-kubernetes-map-type': 'atomic' },
        ),
      ),
    }),
  ),
});

export const SERVICE_ACCOUNT: Schema = resource('An identity for pods.', {
  secrets: REFERENCES,
  imagePullSecrets: list(object({ name: text() })),
  automountServiceAccountToken: flag(),
});

export const NODE: Schema = resource('A machine that runs pods.', {
  spec: object({
    podCIDR: text(),
    podCIDRs: setOf(text()),
    providerID: text(),
    unschedulable: flag(),
    taints: list(
      object({ key: text(), value: text(), effect: text(), timeAdded: time() }, ['key', 'effect']),
    ),
    configSource: anything(),
    externalID: text(),
  }),
  status: object({
    capacity: QUANTITIES,
    allocatable: QUANTITIES,
    phase: text(),
    conditions: CONDITIONS,
    addresses: mergeList('type', object({ type: text(), address: text() }, ['type', 'address'])),
    daemonEndpoints: object({ kubeletEndpoint: object({ Port: integer() }, ['Port']) }),
    nodeInfo: mapOf(text()),
    images: list(object({ names: list(text()), sizeBytes: integer() })),
    volumesInUse: list(text()),
    volumesAttached: list(anything()),
    config: anything(),
    runtimeHandlers: list(anything()),
    features: anything(),
  }),
});

const EVENT_SERIES: Schema = object({ count: integer(), lastObservedTime: time() });

export const EVENT: Schema = resource('Something that happened to an object.', {
  involvedObject: OBJECT_REFERENCE,
  reason: text(),
  message: text(),
  source: object({ component: text(), host: text() }),
  firstTimestamp: time(),
  lastTimestamp: time(),
  count: integer(),
  type: text(),
  eventTime: time(),
  series: EVENT_SERIES,
  action: text(),
  related: OBJECT_REFERENCE,
  reportingComponent: text(),
  reportingInstance: text(),
});

export const EVENTS_EVENT: Schema = resource('Something that happened to an object.', {
  eventTime: time(),
  series: EVENT_SERIES,
  reportingController: text(),
  reportingInstance: text(),
  action: text(),
  reason: text(),
  regarding: OBJECT_REFERENCE,
  related: OBJECT_REFERENCE,
  note: text(),
  type: text(),
  deprecatedSource: object({ component: text(), host: text() }),
  deprecatedFirstTimestamp: time(),
  deprecatedLastTimestamp: time(),
  deprecatedCount: integer(),
});

export const REPLICATION_CONTROLLER: Schema = resource('The old form of a replica set.', {
  spec: object({
    replicas: integer({ format: 'int32', default: 1 }),
    minReadySeconds: integer(),
    selector: mapOf(text(), { 'x-kubernetes-map-type': 'atomic' }),
    template: POD_TEMPLATE_SPEC,
  }),
  status: anything(),
});

export const RESOURCE_QUOTA: Schema = resource(
  'Limits on what a namespace may use; kept, not enforced.',
  {
    spec: object({ hard: QUANTITIES, scopes: list(text()), scopeSelector: anything() }),
    status: object({ hard: QUANTITIES, used: QUANTITIES }),
  },
);

export const LIMIT_RANGE: Schema = resource(
  'Limits on each object of a namespace; kept, not enforced.',
  {
    spec: object({ limits: list(anything()) }, ['limits']),
  },
);

const CLAIM_SPEC: Schema = object({
  accessModes: list(text()),
  selector: SELECTOR,
  resources: object({ limits: QUANTITIES, requests: QUANTITIES }),
  volumeName: text(),
  storageClassName: text(),
  volumeMode: text({ default: 'Filesystem' }),
  dataSource: anything(),
  dataSourceRef: anything(),
  volumeAttributesClassName: text(),
});

export const PERSISTENT_VOLUME_CLAIM: Schema = resource(
  'A wish for storage; kept, not provisioned.',
  {
    spec: CLAIM_SPEC,
    status: anything(),
  },
);

export const CLAIM_TEMPLATE: Schema = object({
  apiVersion: text(),
  kind: text(),
  metadata: META,
  spec: CLAIM_SPEC,
  status: anything(),
});
