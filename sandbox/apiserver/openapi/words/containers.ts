// Words on containers: environment, ports, probes, security.

import type { Words } from './shape.ts';

export const CONTAINER_WORDS: Words = {
  'core.v1.Container': {
    is: 'A single program to run within a pod.',
    fields: {
      resizePolicy: 'What a change of resources does to the container.',
      volumeDevices: 'Block devices to map.',
      targetContainerName: 'For ephemeral containers: whose processes to see.',
      name: 'Name, unique within the pod.',
      image: 'Image to run.',
      command: "Replaces the image's entrypoint.",
      args: "Arguments; replace the image's own.",
      workingDir: 'Directory the program starts in.',
      ports: { is: 'Ports it listens on.', type: 'core.v1.ContainerPort' },
      env: { is: 'Environment variables.', type: 'core.v1.EnvVar' },
      envFrom: { is: 'Objects whose keys become variables.', type: 'core.v1.EnvFromSource' },
      resources: { is: 'Resources it needs and may use.', type: 'core.v1.ResourceRequirements' },
      restartPolicy: 'For init containers: Always makes a sidecar.',
      volumeMounts: { is: 'Volumes to mount.', type: 'core.v1.VolumeMount' },
      livenessProbe: { is: 'Restarts the container when it fails.', type: 'core.v1.Probe' },
      readinessProbe: { is: 'Takes the pod out of services when it fails.', type: 'core.v1.Probe' },
      startupProbe: { is: 'Holds the other probes back until it succeeds.', type: 'core.v1.Probe' },
      lifecycle: { is: 'What to do after start and before stop.', type: 'core.v1.Lifecycle' },
      terminationMessagePath: 'File with last words.',
      terminationMessagePolicy: 'Where last words come from: File or FallbackToLogsOnError.',
      imagePullPolicy: 'Always, IfNotPresent or Never.',
      securityContext: {
        is: 'Security settings of the container.',
        type: 'core.v1.SecurityContext',
      },
      stdin: 'Keep its input open.',
      stdinOnce: 'Close its input after the first attach.',
      tty: 'Give it a terminal.',
    },
  },
  'core.v1.ContainerPort': {
    is: 'A port the container listens on.',
    fields: {
      name: 'Name that services can refer to.',
      containerPort: 'Port number on the pod.',
      hostPort: 'Port number on the node.',
      hostIP: 'Address of the node to bind.',
      protocol: 'Its protocol.',
    },
  },
  'core.v1.EnvVar': {
    is: 'An environment variable.',
    fields: {
      name: 'Name of the variable.',
      value: 'Its value; $(NAME) refers to other variables.',
      valueFrom: { is: 'Where the value comes from.', type: 'core.v1.EnvVarSource' },
    },
  },
  'core.v1.EnvVarSource': {
    is: 'Where the value comes from.',
    fields: {
      fieldRef: { is: 'Chooses a field of the pod.', type: 'core.v1.ObjectFieldSelector' },
      resourceFieldRef: {
        is: 'Chooses a resource of a container.',
        type: 'core.v1.ResourceFieldSelector',
      },
      configMapKeyRef: {
        is: 'Chooses a key of a ConfigMap.',
        type: 'core.v1.ConfigMapKeySelector',
      },
      secretKeyRef: { is: 'Chooses a key of a Secret.', type: 'core.v1.SecretKeySelector' },
    },
  },
  'core.v1.ObjectFieldSelector': {
    is: 'Chooses a field of the pod.',
    fields: {
      apiVersion: 'Version the path is written in.',
      fieldPath: 'Path of the field.',
    },
  },
  'core.v1.ResourceFieldSelector': {
    is: 'Chooses a resource of a container.',
    fields: {
      containerName: 'Container the resource belongs to.',
      resource: 'Resource, such as limits.cpu.',
      divisor: 'Unit of the value.',
    },
  },
  'core.v1.ConfigMapKeySelector': {
    is: 'Chooses a key of a ConfigMap.',
    fields: {
      name: 'Name of the ConfigMap.',
      key: 'The key.',
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.SecretKeySelector': {
    is: 'Chooses a key of a Secret.',
    fields: {
      name: 'Name of the Secret.',
      key: 'The key.',
      optional: 'Go on without it when it is missing.',
    },
  },
  'core.v1.EnvFromSource': {
    is: 'All keys of an object as variables.',
    fields: {
      prefix: 'Put before each name.',
      configMapRef: 'The ConfigMap to take.',
      secretRef: 'The Secret to take.',
    },
  },
  'core.v1.ResourceRequirements': {
    is: 'Resources it needs and may use.',
    fields: {
      requests: 'The least it needs.',
      limits: 'The most it may use.',
    },
  },
  'core.v1.Probe': {
    is: 'A check the kubelet repeats.',
    fields: {
      exec: { is: 'Runs a command in the container.', type: 'core.v1.ExecAction' },
      httpGet: { is: 'Asks over HTTP.', type: 'core.v1.HTTPGetAction' },
      tcpSocket: { is: 'Opens a TCP connection.', type: 'core.v1.TCPSocketAction' },
      grpc: { is: 'Asks the gRPC health service.', type: 'core.v1.GRPCAction' },
      initialDelaySeconds: 'Time before the first check.',
      timeoutSeconds: 'Time a check may take.',
      periodSeconds: 'Time between checks.',
      successThreshold: 'Successes in a row that count.',
      failureThreshold: 'Failures in a row that count.',
    },
  },
  'core.v1.ExecAction': {
    is: 'Runs a command in the container.',
    fields: {
      command: 'The command and its arguments; no shell.',
    },
  },
  'core.v1.HTTPGetAction': {
    is: 'Asks over HTTP.',
    fields: {
      path: 'Path to ask for.',
      port: 'Port number or name.',
      host: "Host to ask; the pod's address by default.",
      scheme: 'HTTP or HTTPS.',
      httpHeaders: 'Headers to send.',
    },
  },
  'core.v1.TCPSocketAction': {
    is: 'Opens a TCP connection.',
    fields: {
      port: 'Port number or name.',
    },
  },
  'core.v1.GRPCAction': {
    is: 'Asks the gRPC health service.',
    fields: {
      port: 'Port number.',
    },
  },
  'core.v1.Lifecycle': {
    is: 'What to do after start and before stop.',
    fields: {
      postStart: { is: 'What to do at a moment of life.', type: 'core.v1.LifecycleHandler' },
      preStop: { is: 'What to do at a moment of life.', type: 'core.v1.LifecycleHandler' },
    },
  },
  'core.v1.LifecycleHandler': {
    is: 'What to do at a moment of life.',
    fields: {
      exec: { is: 'Runs a command in the container.', type: 'core.v1.ExecAction' },
      httpGet: { is: 'Asks over HTTP.', type: 'core.v1.HTTPGetAction' },
      tcpSocket: { is: 'Opens a TCP connection.', type: 'core.v1.TCPSocketAction' },
    },
  },
  'core.v1.SecurityContext': {
    is: 'Security settings of a container.',
    fields: {
      runAsUser: 'User id of the process.',
      runAsGroup: 'Group id of the process.',
      runAsNonRoot: 'Refuse to run as root.',
      privileged: 'Run with all rights of the node.',
      allowPrivilegeEscalation: 'Whether it may gain rights.',
      readOnlyRootFilesystem: 'Whether its root is read-only.',
      capabilities: 'Capabilities to add or drop.',
    },
  },
  'core.v1.EphemeralContainer': {
    is: 'A container added to a running pod, to look around.',
    fields: {
      name: 'Name, unique within the pod.',
      image: 'Image to run.',
      command: "Replaces the image's entrypoint.",
      args: "Arguments; replace the image's own.",
      workingDir: 'Directory the program starts in.',
      ports: { is: 'Ports it listens on.', type: 'core.v1.ContainerPort' },
      env: { is: 'Environment variables.', type: 'core.v1.EnvVar' },
      envFrom: { is: 'Objects whose keys become variables.', type: 'core.v1.EnvFromSource' },
      resources: { is: 'Resources it needs and may use.', type: 'core.v1.ResourceRequirements' },
      restartPolicy: 'For init containers: Always makes a sidecar.',
      volumeMounts: { is: 'Volumes to mount.', type: 'core.v1.VolumeMount' },
      livenessProbe: { is: 'Restarts the container when it fails.', type: 'core.v1.Probe' },
      readinessProbe: { is: 'Takes the pod out of services when it fails.', type: 'core.v1.Probe' },
      startupProbe: { is: 'Holds the other probes back until it succeeds.', type: 'core.v1.Probe' },
      lifecycle: { is: 'What to do after start and before stop.', type: 'core.v1.Lifecycle' },
      terminationMessagePath: 'File with last words.',
      terminationMessagePolicy: 'Where last words come from: File or FallbackToLogsOnError.',
      imagePullPolicy: 'Always, IfNotPresent or Never.',
      securityContext: {
        is: 'Security settings of the container.',
        type: 'core.v1.SecurityContext',
      },
      stdin: 'Keep its input open.',
      stdinOnce: 'Close its input after the first attach.',
      tty: 'Give it a terminal.',
    },
  },
};
