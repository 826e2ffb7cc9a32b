// The Node Resource Interface, v1alpha1: what a container runtime (containerd, CRI-O) tells a plugin of pods before their
// containers start. Called by node-agent/nri/ (the plugin) and by the sandbox's kubelet (the runtime). Pure.
// Source: pkg/api/api.proto of containerd/nri; field numbers as there.

import { NRI_PROTO } from './proto/nri.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';
import { numberOf } from './ttrpc.ts';

export const PLUGIN_SERVICE = 'nri.pkg.api.v1alpha1.Plugin';
export const RUNTIME_SERVICE = 'nri.pkg.api.v1alpha1.Runtime';

/** Numbers of the events a plugin can subscribe to; a mask has bit n-1 for event n. */
export const NRI_EVENTS = {
  runPodSandbox: 1,
  stopPodSandbox: 2,
  removePodSandbox: 3,
  createContainer: 4,
} as const;

export function eventMask(events: readonly number[]): number {
  return events.reduce((mask, event) => mask | (1 << (event - 1)), 0);
}

export type SandboxNetwork =
  /** The node's own. */
  | { readonly kind: 'host' }
  /** Its own; the path is empty when the runtime left making it to others: then its process leads there. */
  | { readonly kind: 'own'; readonly path: string }
  /** The runtime does not say. */
  | { readonly kind: 'unknown' };

export type PodSandbox = {
  /** The runtime's own name of this sandbox; a pod may have several one after the other. */
  readonly id: string;
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly network: SandboxNetwork;
  /** Of its first process, as the node sees it; 0 when there is none. */
  readonly pid: number;
  readonly ips: readonly string[];
};

export type PluginRegistration = {
  readonly name: string;
  /** Two digits: plugins are called in this order. */
  readonly index: string;
  readonly version: string;
};

export type PluginConfiguration = {
  readonly runtimeName: string;
  readonly runtimeVersion: string;
  /** How long the runtime waits for an answer before it drops the plugin; 0: it does not say. */
  readonly requestTimeoutMs: number;
};

type Int64 = number | { toNumber(): number };
type SandboxMessage = {
  id: string;
  name: string;
  uid: string;
  namespace: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  linux?: { namespaces: { type: string; path: string }[] } | null;
  pid: number;
  ips: string[];
};

const root = loadProto(NRI_PROTO);
const REGISTRATION = messageType<PluginRegistration>(root, 'ambit.nri.Registration');
const CONFIGURATION = messageType<{
  config: string;
  runtimeName: string;
  runtimeVersion: string;
  registrationTimeout: Int64;
  requestTimeout: Int64;
  version: string;
}>(root, 'ambit.nri.Configuration');
const SUBSCRIPTION = messageType<{ events: number }>(root, 'ambit.nri.Subscription');
const SANDBOXES = messageType<{ pods: SandboxMessage[]; more: boolean }>(
  root,
  'ambit.nri.Sandboxes',
);
const TAKEN = messageType<{ more: boolean }>(root, 'ambit.nri.SandboxesTaken');
const POD_EVENT = messageType<{ pod?: SandboxMessage | null }>(root, 'ambit.nri.PodEvent');

export const encodeRegistration = (registration: PluginRegistration): Uint8Array =>
  REGISTRATION.encode(registration);

/** @throws DecodeError */
export const decodeRegistration = (bytes: Uint8Array): PluginRegistration =>
  REGISTRATION.decode(bytes);

export function encodeConfiguration(configuration: PluginConfiguration): Uint8Array {
  return CONFIGURATION.encode({
    config: '',
    runtimeName: configuration.runtimeName,
    runtimeVersion: configuration.runtimeVersion,
    registrationTimeout: 0,
    requestTimeout: configuration.requestTimeoutMs,
    version: '',
  });
}

/** @throws DecodeError */
export function decodeConfiguration(bytes: Uint8Array): PluginConfiguration {
  const { runtimeName, runtimeVersion, requestTimeout } = CONFIGURATION.decode(bytes);
  return { runtimeName, runtimeVersion, requestTimeoutMs: numberOf(requestTimeout) };
}

export const encodeSubscription = (events: number): Uint8Array => SUBSCRIPTION.encode({ events });

/** The mask of events; 0 asks for all of them. @throws DecodeError */
export const decodeSubscription = (bytes: Uint8Array): number => SUBSCRIPTION.decode(bytes).events;

export type SandboxesPart = {
  readonly pods: readonly PodSandbox[];
  /** Another part follows. */
  readonly more: boolean;
};

export const encodeSandboxes = ({ pods, more }: SandboxesPart): Uint8Array =>
  SANDBOXES.encode({ pods: pods.map(writeSandbox), more });

/** @throws DecodeError */
export function decodeSandboxes(bytes: Uint8Array): SandboxesPart {
  const { pods, more } = SANDBOXES.decode(bytes);
  return { pods: pods.map(readSandbox), more };
}

/** A plugin answers a part with the same `more`, to say that it can take sandboxes in parts. */
export const encodeSandboxesTaken = (more: boolean): Uint8Array => TAKEN.encode({ more });

/** @throws DecodeError */
export const decodeSandboxesTaken = (bytes: Uint8Array): boolean => TAKEN.decode(bytes).more;

/** RunPodSandbox, StopPodSandbox, RemovePodSandbox, CreateContainer: the pod is their first field. */
export const encodePodEvent = (pod: PodSandbox): Uint8Array =>
  POD_EVENT.encode({ pod: writeSandbox(pod) });

/** @throws DecodeError */
export function decodePodEvent(bytes: Uint8Array): PodSandbox {
  const { pod } = POD_EVENT.decode(bytes);
  if (!pod) throw new DecodeError("Cannot read the container runtime's event: it names no pod");
  return readSandbox(pod);
}

function readSandbox({ linux, ...message }: SandboxMessage): PodSandbox {
  return { ...message, network: networkOf(linux?.namespaces ?? []) };
}

function networkOf(namespaces: readonly { type: string; path: string }[]): SandboxNetwork {
  if (namespaces.length === 0) return { kind: 'unknown' };
  const network = namespaces.find(({ type }) => type === 'network');
  // as in the OCI specification: a namespace that is not listed is shared with the node
  return network === undefined ? { kind: 'host' } : { kind: 'own', path: network.path };
}

function writeSandbox({ network, ...pod }: PodSandbox): SandboxMessage {
  const mount = { type: 'mount', path: '' };
  const namespaces =
    network.kind === 'own' ? [mount, { type: 'network', path: network.path }] : [mount];
  return {
    ...pod,
    labels: { ...pod.labels },
    annotations: { ...pod.annotations },
    ips: [...pod.ips],
    linux: network.kind === 'unknown' ? null : { namespaces },
  };
}
