// The part of a Pod that a kubelet reads and writes: fuller than runtime/kubernetes/objects.ts, which holds only what
// the mesh reads. Read by every file of this folder; nothing here does anything.

import type { KubeObject } from '../../../runtime/kubernetes/objects.ts';

type Keyed = { readonly name: string; readonly key: string; readonly optional?: boolean };

export type EnvSource = {
  readonly fieldRef?: { readonly fieldPath: string };
  readonly resourceFieldRef?: ResourceFieldRef;
  readonly configMapKeyRef?: Keyed;
  readonly secretKeyRef?: Keyed;
};
export type ResourceFieldRef = {
  readonly containerName?: string;
  readonly resource: string;
  readonly divisor?: string;
};
export type EnvVar = {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: EnvSource;
};
type NamedSource = { readonly name: string; readonly optional?: boolean };
export type EnvFrom = {
  readonly prefix?: string;
  readonly configMapRef?: NamedSource;
  readonly secretRef?: NamedSource;
};

export type ContainerPort = {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: string;
};
export type VolumeMount = {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string;
  readonly readOnly?: boolean;
};

export type HttpGetAction = {
  readonly path?: string;
  readonly port: number | string;
  readonly host?: string;
  readonly scheme?: 'HTTP' | 'HTTPS';
  readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
};
export type ExecAction = { readonly command?: readonly string[] };
export type LifecycleAction = {
  readonly exec?: ExecAction;
  readonly httpGet?: HttpGetAction;
  readonly sleep?: { readonly seconds: number };
};
export type ProbeSpec = {
  readonly exec?: ExecAction;
  readonly httpGet?: HttpGetAction;
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string };
  readonly grpc?: { readonly port: number; readonly service?: string };
  readonly initialDelaySeconds?: number;
  readonly timeoutSeconds?: number;
  readonly periodSeconds?: number;
  readonly successThreshold?: number;
  readonly failureThreshold?: number;
  readonly terminationGracePeriodSeconds?: number;
};

type Quantities = Readonly<Record<string, string>>;

export type ContainerSpec = {
  readonly name: string;
  readonly image?: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly EnvFrom[];
  readonly ports?: readonly ContainerPort[];
  readonly volumeMounts?: readonly VolumeMount[];
  readonly resources?: { readonly requests?: Quantities; readonly limits?: Quantities };
  readonly livenessProbe?: ProbeSpec;
  readonly readinessProbe?: ProbeSpec;
  readonly startupProbe?: ProbeSpec;
  readonly lifecycle?: {
    readonly postStart?: LifecycleAction;
    readonly preStop?: LifecycleAction;
  };
  readonly restartPolicy?: string;
  readonly terminationMessagePath?: string;
  readonly securityContext?: { readonly runAsUser?: number; readonly runAsGroup?: number };
  readonly stdin?: boolean;
  readonly tty?: boolean;
};

export type KeyToPath = { readonly key: string; readonly path: string; readonly mode?: number };
export type DownwardItem = {
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
  readonly resourceFieldRef?: ResourceFieldRef;
  readonly mode?: number;
};
export type ProjectedSource = {
  readonly serviceAccountToken?: {
    readonly audience?: string;
    readonly expirationSeconds?: number;
    readonly path: string;
  };
  readonly configMap?: {
    readonly name: string;
    readonly optional?: boolean;
    readonly items?: readonly KeyToPath[];
  };
  readonly secret?: {
    readonly name: string;
    readonly optional?: boolean;
    readonly items?: readonly KeyToPath[];
  };
  readonly downwardAPI?: { readonly items?: readonly DownwardItem[] };
};
export type VolumeSpec = {
  readonly name: string;
  readonly emptyDir?: { readonly medium?: string; readonly sizeLimit?: string };
  readonly hostPath?: { readonly path: string; readonly type?: string };
  readonly configMap?: {
    readonly name: string;
    readonly optional?: boolean;
    readonly items?: readonly KeyToPath[];
    readonly defaultMode?: number;
  };
  readonly secret?: {
    readonly secretName: string;
    readonly optional?: boolean;
    readonly items?: readonly KeyToPath[];
    readonly defaultMode?: number;
  };
  readonly projected?: {
    readonly sources?: readonly ProjectedSource[];
    readonly defaultMode?: number;
  };
  readonly downwardAPI?: {
    readonly items?: readonly DownwardItem[];
    readonly defaultMode?: number;
  };
};

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never';

export type PodSpec = {
  readonly nodeName?: string;
  readonly serviceAccountName?: string;
  readonly hostNetwork?: boolean;
  readonly hostname?: string;
  readonly subdomain?: string;
  readonly restartPolicy?: RestartPolicy;
  readonly terminationGracePeriodSeconds?: number;
  readonly enableServiceLinks?: boolean;
  readonly initContainers?: readonly ContainerSpec[];
  readonly containers: readonly ContainerSpec[];
  readonly volumes?: readonly VolumeSpec[];
  readonly hostAliases?: readonly { readonly ip: string; readonly hostnames?: readonly string[] }[];
  readonly dnsPolicy?: string;
  readonly readinessGates?: readonly { readonly conditionType: string }[];
  readonly securityContext?: { readonly runAsUser?: number; readonly runAsGroup?: number };
};

export type Terminated = {
  readonly exitCode: number;
  readonly signal?: number;
  readonly reason: string;
  readonly message?: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly containerID?: string;
};
/** Exactly one member, as in the API. */
export type ContainerState =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Terminated };

export type ContainerStatus = {
  readonly name: string;
  readonly state: ContainerState;
  readonly lastState: ContainerState | Record<string, never>;
  readonly ready: boolean;
  readonly started: boolean;
  readonly restartCount: number;
  readonly image: string;
  readonly imageID: string;
  readonly containerID?: string;
};

export type PodCondition = {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
  readonly lastProbeTime?: null;
  readonly observedGeneration?: number;
};

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export type PodStatus = {
  readonly phase?: PodPhase;
  readonly reason?: string;
  readonly message?: string;
  readonly observedGeneration?: number;
  readonly qosClass?: string;
  readonly hostIP?: string;
  readonly hostIPs?: readonly { readonly ip: string }[];
  readonly podIP?: string;
  readonly podIPs?: readonly { readonly ip: string }[];
  readonly startTime?: string;
  readonly conditions?: readonly PodCondition[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
};

export type Pod = KubeObject & { readonly spec: PodSpec; readonly status?: PodStatus };

/** `metadata` of an object the API server has stored: name, namespace and uid are there. */
export type PodRef = { readonly namespace: string; readonly name: string; readonly uid: string };

/** @throws TypeError when the API server handed out a pod without name, namespace or uid */
export function podRef(pod: KubeObject): PodRef {
  const { name, namespace, uid } = pod.metadata;
  if (name === undefined || namespace === undefined || uid === undefined) {
    throw new TypeError(`Cannot use pod "${name ?? ''}": it has no name, namespace or uid`);
  }
  return { name, namespace, uid };
}
