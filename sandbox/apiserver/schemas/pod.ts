// Pods and pod templates: the whole PodSpec, with its fixed defaults and the keys its lists merge by.

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
  text,
  time,
} from '../schema.ts';
import { CONDITIONS, LOCAL_REFERENCE, META, QUANTITIES, resource, SELECTOR } from './meta.ts';
import { VOLUMES } from './volumes.ts';

const PORT_NUMBER: Schema = integer({ format: 'int32', minimum: 1, maximum: 65_535 });
const seconds = (more: Partial<Schema> = {}): Schema => integer({ format: 'int32', ...more });

const KEY_SELECTOR: Schema = object({ name: text(), key: text(), optional: flag() }, ['key'], {
  'x-kubernetes-map-type': 'atomic',
});

const ENV: Schema = keyedList(
  ['name'],
  object(
    {
      name: text({ description: 'Name of the variable.' }),
      value: text({ description: 'Value; $(NAME) refers to an earlier variable.' }),
      valueFrom: object({
        fieldRef: object(
          { apiVersion: text({ default: 'v1' }), fieldPath: text() },
          ['fieldPath'],
          { 'x-kubernetes-map-type': 'atomic' },
        ),
        resourceFieldRef: object(
          { containerName: text(), resource: text(), divisor: intOrString() },
          ['resource'],
          { 'x-kubernetes-map-type': 'atomic' },
        ),
        configMapKeyRef: KEY_SELECTOR,
        secretKeyRef: KEY_SELECTOR,
      }),
    },
    ['name'],
  ),
  { description: 'Environment of the container.' },
);

const EXEC: Schema = object({ command: list(text()) });
const HTTP_GET: Schema = object(
  {
    path: text({ default: '/' }),
    port: intOrString(),
    host: text(),
    scheme: oneOf(['HTTP', 'HTTPS'], { default: 'HTTP' }),
    httpHeaders: list(object({ name: text(), value: text() }, ['name', 'value'])),
  },
  ['port'],
);
const TCP_SOCKET: Schema = object({ port: intOrString(), host: text() }, ['port']);
const PROBE: Schema = object(
  {
    exec: EXEC,
    httpGet: HTTP_GET,
    tcpSocket: TCP_SOCKET,
    grpc: object({ port: integer(), service: text({ default: '' }) }, ['port']),
    initialDelaySeconds: seconds({ minimum: 0 }),
    timeoutSeconds: seconds({ default: 1 }),
    periodSeconds: seconds({ default: 10 }),
    successThreshold: seconds({ default: 1 }),
    failureThreshold: seconds({ default: 3 }),
    terminationGracePeriodSeconds: integer({ format: 'int64' }),
  },
  [],
  { description: 'How the node finds out about the health of the container.' },
);
const HANDLER: Schema = object({
  exec: EXEC,
  httpGet: HTTP_GET,
  tcpSocket: TCP_SOCKET,
  sleep: object({ seconds: integer() }, ['seconds']),
});

const SELINUX: Schema = object({ user: text(), role: text(), type: text(), level: text() });
const WINDOWS: Schema = anything();
const SECCOMP: Schema = object({ type: text(), localhostProfile: text() }, ['type']);

const SECURITY_CONTEXT: Schema = object({
  capabilities: object({ add: list(text()), drop: list(text()) }),
  privileged: flag(),
  seLinuxOptions: SELINUX,
  windowsOptions: WINDOWS,
  runAsUser: integer({ format: 'int64' }),
  runAsGroup: integer({ format: 'int64' }),
  runAsNonRoot: flag(),
  readOnlyRootFilesystem: flag(),
  allowPrivilegeEscalation: flag(),
  procMount: text(),
  seccompProfile: SECCOMP,
  appArmorProfile: SECCOMP,
});

const RESOURCES: Schema = object(
  {
    limits: QUANTITIES,
    requests: QUANTITIES,
    claims: keyedList(['name'], object({ name: text(), request: text() }, ['name'])),
  },
  [],
  { default: {} },
);

export const CONTAINER: Schema = object(
  {
    name: text({ description: 'Name, unique in the pod.' }),
    image: text({ description: 'Image to run.' }),
    command: list(text(), { description: 'Program, instead of the entry point of the image.' }),
    args: list(text(), { description: 'Arguments of the program.' }),
    workingDir: text(),
    ports: {
      ...keyedList(
        ['containerPort', 'protocol'],
        object(
          {
            name: text(),
            hostPort: integer({ format: 'int32' }),
            containerPort: PORT_NUMBER,
            protocol: oneOf(['TCP', 'UDP', 'SCTP'], { default: 'TCP' }),
            hostIP: text(),
          },
          ['containerPort'],
        ),
      ),
      description: 'Ports the container listens on.',
    },
    envFrom: list(
      object({
        prefix: text(),
        configMapRef: object({ name: text(), optional: flag() }),
        secretRef: object({ name: text(), optional: flag() }),
      }),
    ),
    env: ENV,
    resources: RESOURCES,
    resizePolicy: list(
      object({ resourceName: text(), restartPolicy: text() }, ['resourceName', 'restartPolicy']),
    ),
    restartPolicy: text(),
    volumeMounts: keyedList(
      ['mountPath'],
      object(
        {
          name: text(),
          readOnly: flag(),
          recursiveReadOnly: text(),
          mountPath: text(),
          subPath: text(),
          mountPropagation: text(),
          subPathExpr: text(),
        },
        ['name', 'mountPath'],
      ),
    ),
    volumeDevices: keyedList(
      ['devicePath'],
      object({ name: text(), devicePath: text() }, ['name', 'devicePath']),
    ),
    livenessProbe: PROBE,
    readinessProbe: PROBE,
    startupProbe: PROBE,
    lifecycle: object({ postStart: HANDLER, preStop: HANDLER, stopSignal: text() }),
    terminationMessagePath: text({ default: '/dev/termination-log' }),
    terminationMessagePolicy: oneOf(['File', 'FallbackToLogsOnError'], { default: 'File' }),
    imagePullPolicy: oneOf(['Always', 'IfNotPresent', 'Never']),
    securityContext: SECURITY_CONTEXT,
    stdin: flag(),
    stdinOnce: flag(),
    tty: flag(),
    targetContainerName: text(),
  },
  ['name'],
);

const NODE_TERM: Schema = object(
  {
    matchExpressions: list(
      object({ key: text(), operator: text(), values: list(text()) }, ['key', 'operator']),
    ),
    matchFields: list(
      object({ key: text(), operator: text(), values: list(text()) }, ['key', 'operator']),
    ),
  },
  [],
  { 'x-kubernetes-map-type': 'atomic' },
);
const POD_TERM: Schema = object(
  {
    labelSelector: SELECTOR,
    namespaces: list(text()),
    topologyKey: text(),
    namespaceSelector: SELECTOR,
    matchLabelKeys: list(text()),
    mismatchLabelKeys: list(text()),
  },
  ['topologyKey'],
);
const POD_AFFINITY: Schema = object({
  requiredDuringSchedulingIgnoredDuringExecution: list(POD_TERM),
  preferredDuringSchedulingIgnoredDuringExecution: list(
    object({ weight: integer(), podAffinityTerm: POD_TERM }, ['weight', 'podAffinityTerm']),
  ),
});
const AFFINITY: Schema = object({
  nodeAffinity: object({
    requiredDuringSchedulingIgnoredDuringExecution: object(
      { nodeSelectorTerms: list(NODE_TERM) },
      ['nodeSelectorTerms'],
      { 'x-kubernetes-map-type': 'atomic' },
    ),
    preferredDuringSchedulingIgnoredDuringExecution: list(
      object({ weight: integer(), preference: NODE_TERM }, ['weight', 'preference']),
    ),
  }),
  podAffinity: POD_AFFINITY,
  podAntiAffinity: POD_AFFINITY,
});

export const POD_SPEC: Schema = object(
  {
    volumes: VOLUMES,
    initContainers: keyedList(['name'], CONTAINER),
    containers: keyedList(['name'], CONTAINER, { description: 'Containers of the pod.' }),
    ephemeralContainers: keyedList(['name'], CONTAINER),
    restartPolicy: oneOf(['Always', 'OnFailure', 'Never'], { default: 'Always' }),
    terminationGracePeriodSeconds: integer({ format: 'int64', default: 30, minimum: 0 }),
    activeDeadlineSeconds: integer({ format: 'int64' }),
    dnsPolicy: oneOf(['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'], {
      default: 'ClusterFirst',
    }),
    nodeSelector: mapOf(text(), { 'x-kubernetes-map-type': 'atomic' }),
    serviceAccountName: text({ description: 'Account the pod runs as.' }),
    serviceAccount: text({ description: 'Old name of serviceAccountName.' }),
    automountServiceAccountToken: flag(),
    nodeName: text({ description: 'Node the pod runs on.' }),
    hostNetwork: flag({ description: 'Uses the network of the node.' }),
    hostPID: flag(),
    hostIPC: flag(),
    hostUsers: flag(),
    shareProcessNamespace: flag(),
    securityContext: object(
      {
        seLinuxOptions: SELINUX,
        windowsOptions: WINDOWS,
        runAsUser: integer({ format: 'int64' }),
        runAsGroup: integer({ format: 'int64' }),
        runAsNonRoot: flag(),
        supplementalGroups: list(integer()),
        supplementalGroupsPolicy: text(),
        fsGroup: integer({ format: 'int64' }),
        fsGroupChangePolicy: text(),
        sysctls: list(object({ name: text(), value: text() }, ['name', 'value'])),
        seccompProfile: SECCOMP,
        appArmorProfile: SECCOMP,
        seLinuxChangePolicy: text(),
      },
      [],
      { default: {} },
    ),
    imagePullSecrets: keyedList(['name'], LOCAL_REFERENCE),
    hostname: text(),
    subdomain: text(),
    affinity: AFFINITY,
    schedulerName: text({ default: 'default-scheduler' }),
    tolerations: list(
      object({
        key: text(),
        operator: text(),
        value: text(),
        effect: text(),
        tolerationSeconds: integer({ format: 'int64' }),
      }),
    ),
    hostAliases: keyedList(['ip'], object({ ip: text(), hostnames: list(text()) }, ['ip'])),
    priorityClassName: text(),
    priority: integer({ format: 'int32' }),
    dnsConfig: object({
      nameservers: list(text()),
      searches: list(text()),
      options: list(object({ name: text(), value: text() })),
    }),
    readinessGates: list(object({ conditionType: text() }, ['conditionType'])),
    runtimeClassName: text(),
    enableServiceLinks: flag({ default: true }),
    preemptionPolicy: text(),
    overhead: QUANTITIES,
    topologySpreadConstraints: keyedList(
      ['topologyKey', 'whenUnsatisfiable'],
      object(
        {
          maxSkew: integer(),
          topologyKey: text(),
          whenUnsatisfiable: text(),
          labelSelector: SELECTOR,
          minDomains: integer(),
          nodeAffinityPolicy: text(),
          nodeTaintsPolicy: text(),
          matchLabelKeys: list(text()),
        },
        ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
      ),
    ),
    setHostnameAsFQDN: flag(),
    os: object({ name: text() }, ['name']),
    schedulingGates: keyedList(['name'], object({ name: text() }, ['name'])),
    resourceClaims: keyedList(
      ['name'],
      object({ name: text(), resourceClaimName: text(), resourceClaimTemplateName: text() }, [
        'name',
      ]),
    ),
    resources: object({ limits: QUANTITIES, requests: QUANTITIES }),
  },
  ['containers'],
  { description: 'What shall run.' },
);

const IPS: Schema = keyedList(['ip'], object({ ip: text() }, ['ip']));
const CONTAINER_STATUSES: Schema = list(anything());

const POD_STATUS: Schema = object(
  {
    observedGeneration: integer(),
    phase: text({ description: 'Pending, Running, Succeeded, Failed or Unknown.' }),
    conditions: CONDITIONS,
    message: text(),
    reason: text(),
    nominatedNodeName: text(),
    hostIP: text(),
    hostIPs: { ...IPS, 'x-kubernetes-list-type': 'atomic' },
    podIP: text({ description: 'First address of the pod.' }),
    podIPs: IPS,
    startTime: time(),
    initContainerStatuses: CONTAINER_STATUSES,
    containerStatuses: CONTAINER_STATUSES,
    ephemeralContainerStatuses: CONTAINER_STATUSES,
    qosClass: text(),
    resize: text(),
    resourceClaimStatuses: list(anything()),
  },
  [],
  { description: 'What was last seen of the pod.' },
);

export const POD: Schema = resource(
  'A group of containers that share an address and a life.',
  {
    spec: POD_SPEC,
    status: POD_STATUS,
  },
  ['spec'],
);

export const POD_TEMPLATE_SPEC: Schema = object({ metadata: META, spec: POD_SPEC }, [], {
  description: 'Pods to make.',
});

export const POD_TEMPLATE: Schema = resource('A stored pod template.', {
  template: POD_TEMPLATE_SPEC,
});

/** Lists of accounts and pull secrets of a service account. */
export const REFERENCES: Schema = mergeList(
  'name',
  object({
    apiVersion: text(),
    kind: text(),
    namespace: text(),
    name: text(),
    uid: text(),
    resourceVersion: text(),
    fieldPath: text(),
  }),
);
