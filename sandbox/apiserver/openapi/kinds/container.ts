// Schema of a container and its parts: probes, ports, environment, security. Part of a pod's spec (pod.ts).

import {
  flag,
  integer,
  intOrString,
  keyedList,
  list,
  object,
  oneOf,
  type Schema,
  text,
} from '../../schema.ts';
import { LOCAL_REFERENCE, QUANTITIES } from '../../schemas/meta.ts';
import { definer, field } from './definition.ts';
import { FIELD_REF, RESOURCE_REF, VOLUME_MOUNTS } from './volumes.ts';

const core = definer('core.v1');
const int32 = (description: string, more: Partial<Schema> = {}): Schema =>
  integer({ format: 'int32', description, ...more });
const strings = (description: string): Schema => list(text(), { description });

const keySelector = (of: string): Schema =>
  core(
    `${of}KeySelector`,
    `Chooses a key of a ${of}.`,
    {
      name: text({ description: `Name of the ${of}.` }),
      key: text({ description: 'The key.' }),
      optional: flag({ description: 'Go on without it when it is missing.' }),
    },
    ['key'],
    { 'x-kubernetes-map-type': 'atomic' },
  );

const ENV = core(
  'EnvVar',
  'An environment variable.',
  {
    name: text({ description: 'Name of the variable.' }),
    value: text({ description: 'Its value; $(NAME) refers to other variables.' }),
    valueFrom: core('EnvVarSource', 'Where the value comes from.', {
      fieldRef: FIELD_REF,
      resourceFieldRef: RESOURCE_REF,
      configMapKeyRef: keySelector('ConfigMap'),
      secretKeyRef: keySelector('Secret'),
    }),
  },
  ['name'],
);

const SOURCE = { ...LOCAL_REFERENCE.properties, optional: flag() };
const ENV_FROM = core('EnvFromSource', 'All keys of an object as variables.', {
  prefix: text({ description: 'Put before each name.' }),
  configMapRef: object(SOURCE, [], { description: 'The ConfigMap to take.' }),
  secretRef: object(SOURCE, [], { description: 'The Secret to take.' }),
});

const PORT = core(
  'ContainerPort',
  'A port the container listens on.',
  {
    name: text({ description: 'Name that services can refer to.' }),
    containerPort: int32('Port number on the pod.', { minimum: 1, maximum: 65535 }),
    hostPort: int32('Port number on the node.', { minimum: 0, maximum: 65535 }),
    hostIP: text({ description: 'Address of the node to bind.' }),
    protocol: oneOf(['TCP', 'UDP', 'SCTP'], { default: 'TCP', description: 'Its protocol.' }),
  },
  ['containerPort'],
);

const EXEC = core('ExecAction', 'Runs a command in the container.', {
  command: strings('The command and its arguments; no shell.'),
});
const HTTP_GET = core(
  'HTTPGetAction',
  'Asks over HTTP.',
  {
    path: text({ default: '/', description: 'Path to ask for.' }),
    port: intOrString({ description: 'Port number or name.' }),
    host: text({ description: "Host to ask; the pod's address by default." }),
    scheme: text({ default: 'HTTP', description: 'HTTP or HTTPS.' }),
    httpHeaders: list(object({ name: text(), value: text() }, ['name', 'value']), {
      description: 'Headers to send.',
    }),
  },
  ['port'],
);
const TCP_SOCKET = core(
  'TCPSocketAction',
  'Opens a TCP connection.',
  { port: intOrString({ description: 'Port number or name.' }), host: text() },
  ['port'],
);
const GRPC = core(
  'GRPCAction',
  'Asks the gRPC health service.',
  { port: int32('Port number.'), service: text({ default: '' }) },
  ['port'],
);

const PROBE = core('Probe', 'A check the kubelet repeats.', {
  exec: EXEC,
  httpGet: HTTP_GET,
  tcpSocket: TCP_SOCKET,
  grpc: GRPC,
  initialDelaySeconds: int32('Time before the first check.'),
  timeoutSeconds: int32('Time a check may take.', { default: 1 }),
  periodSeconds: int32('Time between checks.', { default: 10 }),
  successThreshold: int32('Successes in a row that count.', { default: 1 }),
  failureThreshold: int32('Failures in a row that count.', { default: 3 }),
  terminationGracePeriodSeconds: integer({ format: 'int64' }),
});

const HOOK = core('LifecycleHandler', 'What to do at a moment of life.', {
  exec: EXEC,
  httpGet: HTTP_GET,
  tcpSocket: TCP_SOCKET,
  sleep: object({ seconds: integer({ format: 'int64' }) }, ['seconds']),
});

const SELINUX = object({ level: text(), role: text(), type: text(), user: text() });
const SECCOMP = object({ type: text(), localhostProfile: text() }, ['type']);
/** Fields that the security contexts of pods and containers share. */
const SECURITY: Readonly<Record<string, Schema>> = {
  runAsUser: integer({ format: 'int64', description: 'User id of the process.' }),
  runAsGroup: integer({ format: 'int64', description: 'Group id of the process.' }),
  runAsNonRoot: flag({ description: 'Refuse to run as root.' }),
  seLinuxOptions: SELINUX,
  seccompProfile: SECCOMP,
  appArmorProfile: SECCOMP,
};

export const POD_SECURITY = core('PodSecurityContext', 'Security settings of all containers.', {
  ...SECURITY,
  fsGroup: integer({ format: 'int64', description: 'Group that owns volumes.' }),
  fsGroupChangePolicy: text(),
  supplementalGroups: list(integer({ format: 'int64' })),
  supplementalGroupsPolicy: text(),
  sysctls: list(object({ name: text(), value: text() }, ['name', 'value'])),
});

const CONTAINER_SECURITY = core('SecurityContext', 'Security settings of a container.', {
  ...SECURITY,
  privileged: flag({ description: 'Run with all rights of the node.' }),
  allowPrivilegeEscalation: flag({ description: 'Whether it may gain rights.' }),
  readOnlyRootFilesystem: flag({ description: 'Whether its root is read-only.' }),
  procMount: text(),
  capabilities: object(
    { add: strings('Capabilities to add.'), drop: strings('Capabilities to drop.') },
    [],
    { description: 'Capabilities to add or drop.' },
  ),
});

export const RESOURCES = core('ResourceRequirements', 'Resources it needs and may use.', {
  requests: field(QUANTITIES, 'The least it needs.'),
  limits: field(QUANTITIES, 'The most it may use.'),
  claims: keyedList(['name'], object({ name: text(), request: text() }, ['name'])),
});

export const CONTAINER = core(
  'Container',
  'A single program to run within a pod.',
  {
    name: text({ description: 'Name, unique within the pod.' }),
    image: text({ description: 'Image to run.' }),
    command: strings("Replaces the image's entrypoint."),
    args: strings("Arguments; replace the image's own."),
    workingDir: text({ description: 'Directory the program starts in.' }),
    ports: keyedList(['containerPort', 'protocol'], PORT, { description: 'Ports it listens on.' }),
    env: keyedList(['name'], ENV, { description: 'Environment variables.' }),
    envFrom: list(ENV_FROM, { description: 'Objects whose keys become variables.' }),
    resources: field(RESOURCES, 'Resources it needs and may use.', { default: {} }),
    resizePolicy: list(object({ resourceName: text(), restartPolicy: text() })),
    restartPolicy: text({ description: 'For init containers: Always makes a sidecar.' }),
    volumeMounts: VOLUME_MOUNTS,
    volumeDevices: keyedList(['devicePath'], object({ name: text(), devicePath: text() })),
    livenessProbe: field(PROBE, 'Restarts the container when it fails.'),
    readinessProbe: field(PROBE, 'Takes the pod out of services when it fails.'),
    startupProbe: field(PROBE, 'Holds the other probes back until it succeeds.'),
    lifecycle: core('Lifecycle', 'What to do after start and before stop.', {
      postStart: HOOK,
      preStop: HOOK,
      stopSignal: text(),
    }),
    terminationMessagePath: text({
      default: '/dev/termination-log',
      description: 'File with last words.',
    }),
    terminationMessagePolicy: text({
      default: 'File',
      description: 'Where last words come from: File or FallbackToLogsOnError.',
    }),
    imagePullPolicy: text({ description: 'Always, IfNotPresent or Never.' }),
    securityContext: field(CONTAINER_SECURITY, 'Security settings of the container.'),
    stdin: flag({ description: 'Keep its input open.' }),
    stdinOnce: flag({ description: 'Close its input after the first attach.' }),
    tty: flag({ description: 'Give it a terminal.' }),
  },
  ['name'],
);
