// Schema of Pod and of the pod template that workloads carry.

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
  type Schema,
  text,
  time,
} from '../../schema.ts';
import {
  CONDITIONS,
  LOCAL_REFERENCE,
  META,
  QUANTITIES,
  resource,
  SELECTOR,
} from '../../schemas/meta.ts';
import { CONTAINER, POD_SECURITY, RESOURCES } from './container.ts';
import { definer, field, formatTitle } from './definition.ts';
import { VOLUME } from './volumes.ts';

const core = definer('core.v1');
const int64 = (description: string, more: Partial<Schema> = {}): Schema =>
  integer({ format: 'int64', description, ...more });

const EPHEMERAL_CONTAINER: Schema = {
  ...CONTAINER,
  title: formatTitle({
    name: 'io.k8s.api.core.v1.EphemeralContainer',
    description: 'A container added to a running pod, to look around.',
  }),
  properties: { ...CONTAINER.properties, targetContainerName: text() },
};

const TOLERATION = core('Toleration', 'A taint of nodes the pod puts up with.', {
  key: text({ description: 'Key of the taint; empty for all.' }),
  operator: text({ description: 'Exists or Equal.' }),
  value: text({ description: 'Value of the taint.' }),
  effect: text({ description: 'NoSchedule, PreferNoSchedule or NoExecute; empty for all.' }),
  tolerationSeconds: int64('How long a NoExecute taint is tolerated.'),
});

const SPREAD = core(
  'TopologySpreadConstraint',
  'How evenly pods spread over a topology.',
  {
    maxSkew: integer({ format: 'int32', description: 'Largest difference allowed.' }),
    topologyKey: text({ description: 'Node label that names a domain.' }),
    whenUnsatisfiable: text({ description: 'DoNotSchedule or ScheduleAnyway.' }),
    labelSelector: field(SELECTOR, 'Pods that are counted.'),
    minDomains: integer({ format: 'int32' }),
    nodeAffinityPolicy: text(),
    nodeTaintsPolicy: text(),
    matchLabelKeys: list(text()),
  },
  ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
);

export const POD_SPEC = core(
  'PodSpec',
  'What the pod runs, and how.',
  {
    containers: keyedList(['name'], CONTAINER, { description: 'Programs of the pod.' }),
    initContainers: keyedList(['name'], CONTAINER, {
      description: 'Programs that run to their end, one by one, before the others.',
    }),
    ephemeralContainers: keyedList(['name'], EPHEMERAL_CONTAINER),
    volumes: keyedList(['name'], VOLUME, {
      description: 'Volumes containers can mount.',
      'x-kubernetes-patch-strategy': 'merge,retainKeys',
    }),
    restartPolicy: text({ default: 'Always', description: 'Always, OnFailure or Never.' }),
    terminationGracePeriodSeconds: int64('Time between asking to stop and killing.', {
      default: 30,
    }),
    activeDeadlineSeconds: int64('Time the pod may run.'),
    dnsPolicy: text({ default: 'ClusterFirst', description: 'Where names are looked up.' }),
    dnsConfig: object(
      {
        nameservers: list(text()),
        searches: list(text()),
        options: list(object({ name: text(), value: text() })),
      },
      [],
      { description: 'Additions to the resolver settings.' },
    ),
    nodeSelector: mapOf(text(), {
      description: 'Labels a node must have.',
      'x-kubernetes-map-type': 'atomic',
    }),
    serviceAccountName: text({ description: 'Identity of the pod.' }),
    serviceAccount: text({ description: 'Old name of serviceAccountName.' }),
    automountServiceAccountToken: flag({ description: 'Whether a token is mounted.' }),
    nodeName: text({ description: 'Node the pod runs on.' }),
    hostNetwork: flag({ description: "Use the node's network." }),
    hostPID: flag({ description: "Use the node's processes." }),
    hostIPC: flag({ description: "Use the node's IPC." }),
    hostUsers: flag({ description: "Use the node's user ids." }),
    shareProcessNamespace: flag({ description: 'Containers see each other’s processes.' }),
    securityContext: field(POD_SECURITY, 'Security settings of all containers.', { default: {} }),
    imagePullSecrets: keyedList(['name'], LOCAL_REFERENCE, {
      description: 'Secrets to pull images with.',
    }),
    hostname: text({ description: 'Host name inside the pod.' }),
    subdomain: text({ description: 'Subdomain of its full host name.' }),
    setHostnameAsFQDN: flag(),
    affinity: core('Affinity', 'Rules on which nodes to prefer or avoid.', {
      nodeAffinity: anything(),
      podAffinity: anything(),
      podAntiAffinity: anything(),
    }),
    schedulerName: text({ default: 'default-scheduler', description: 'Who chooses the node.' }),
    tolerations: list(TOLERATION, { description: 'Taints the pod puts up with.' }),
    hostAliases: keyedList(['ip'], object({ ip: text(), hostnames: list(text()) }, ['ip']), {
      description: "Additions to the pod's hosts file.",
    }),
    priorityClassName: text({ description: 'How important the pod is.' }),
    priority: integer({ format: 'int32', description: 'The same as a number.' }),
    preemptionPolicy: text(),
    readinessGates: list(object({ conditionType: text() }, ['conditionType']), {
      description: 'Further conditions that must be true for the pod to be ready.',
    }),
    runtimeClassName: text(),
    enableServiceLinks: flag({ default: true, description: 'Variables for each service.' }),
    overhead: QUANTITIES,
    os: object({ name: text() }, ['name']),
    resources: RESOURCES,
    topologySpreadConstraints: keyedList(['topologyKey', 'whenUnsatisfiable'], SPREAD),
    schedulingGates: keyedList(['name'], object({ name: text() }, ['name'])),
    resourceClaims: keyedList(
      ['name'],
      object({ name: text(), resourceClaimName: text(), resourceClaimTemplateName: text() }),
    ),
  },
  ['containers'],
);

export const POD_TEMPLATE = core('PodTemplateSpec', 'The pods to make.', {
  metadata: META,
  spec: field(POD_SPEC, 'What the pods run, and how.'),
});

const STATE = core('ContainerState', 'What a container is doing.', {
  waiting: object({ reason: text(), message: text() }),
  running: object({ startedAt: time() }),
  terminated: object(
    {
      exitCode: integer({ format: 'int32' }),
      signal: integer({ format: 'int32' }),
      reason: text(),
      message: text(),
      startedAt: time(),
      finishedAt: time(),
      containerID: text(),
    },
    ['exitCode'],
  ),
});

const CONTAINER_STATUS = core(
  'ContainerStatus',
  'How a container fares.',
  {
    name: text(),
    state: field(STATE, 'What it is doing.', { default: {} }),
    lastState: field(STATE, 'How it ended last time.', { default: {} }),
    ready: flag({ description: 'Whether its readiness probe succeeds.' }),
    started: flag({ description: 'Whether it has started up.' }),
    restartCount: integer({ format: 'int32', description: 'How often it was restarted.' }),
    image: text(),
    imageID: text(),
    containerID: text(),
    allocatedResources: QUANTITIES,
    resources: RESOURCES,
    volumeMounts: list(anything()),
    user: anything(),
  },
  ['name', 'ready', 'restartCount', 'image', 'imageID'],
);

const statuses = (description: string): Schema => list(CONTAINER_STATUS, { description });
const ip = object({ ip: text() }, ['ip']);

const POD_STATUS = core('PodStatus', 'How the pod fares; written by its kubelet.', {
  phase: text({ description: 'Pending, Running, Succeeded, Failed or Unknown.' }),
  conditions: CONDITIONS,
  message: text({ description: 'Why it is as it is, for people.' }),
  reason: text({ description: 'The same in a word, e.g. Evicted.' }),
  observedGeneration: int64('Generation of the spec this tells of.'),
  nominatedNodeName: text(),
  hostIP: text({ description: 'Address of its node.' }),
  hostIPs: mergeList('ip', ip, { description: 'Addresses of its node.' }),
  podIP: text({ description: 'Its address.' }),
  podIPs: keyedList(['ip'], ip, { description: 'Its addresses.' }),
  startTime: time({ description: 'When the kubelet accepted it.' }),
  initContainerStatuses: statuses('How its init containers fare.'),
  containerStatuses: statuses('How its containers fare.'),
  ephemeralContainerStatuses: statuses('How its ephemeral containers fare.'),
  qosClass: text({ description: 'Guaranteed, Burstable or BestEffort.' }),
  resize: text(),
  resourceClaimStatuses: keyedList(['name'], object({ name: text(), resourceClaimName: text() })),
});

export const POD_KINDS: Readonly<Record<string, Schema>> = {
  Pod: resource('Containers that run together on one node, with one address.', {
    spec: field(POD_SPEC, 'What the pod runs, and how.'),
    status: field(POD_STATUS, 'How the pod fares.', { default: {} }),
  }),
  PodTemplate: resource('A template for pods.', { template: POD_TEMPLATE }),
};

/** A port by number or name. */
export const PORT_REFERENCE = intOrString({ description: 'Port number, or name of a port.' });
