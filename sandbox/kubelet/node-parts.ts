// What all pods of one node share. Put together once by kubelet.ts; nothing here changes while the kubelet runs.

import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Service } from '../../runtime/kubernetes/objects.ts';
import type { Log } from '../../runtime/log.ts';
import type { NodeNetwork } from '../network/network.ts';
import type { Isolation } from './container/container-start.ts';
import type { RestartSettings } from './container/restart-delay.ts';
import type { EventRecorder } from './events.ts';
import type { ImageSource } from './images.ts';
import type { NriRuntime } from './nri/runtime.ts';
import type { PodRef } from './pod/pod-spec.ts';

export type NodeParts = {
  readonly client: KubeClient;
  readonly network: NodeNetwork;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventRecorder;
  /** All Services, for the variables of containers. */
  readonly services: () => Iterable<Service>;
  readonly isolation: Isolation;
  readonly nri: NriRuntime;
};

export type NodeSettings = {
  readonly nodeName: string;
  readonly nodeDir: string;
  readonly images: ImageSource;
  readonly restarts: RestartSettings;
  readonly maxLogBytes: number;
  /** How often mounted ConfigMaps, Secrets and tokens are looked at again. */
  readonly refreshMs: number;
  readonly capacity: { readonly cpu: number; readonly memoryBytes: number };
  /** Where pods reach the API server in loopback mode, where no in-cluster path exists. */
  readonly apiServerUrl: string | undefined;
  /** What its certificate says, if not the host of that. */
  readonly apiServerName: string | undefined;
};

/** Directory of a pod: its volumes, its stage, its /etc files. Also the marker of its processes. */
export function podDirectory(nodeDir: string, uid: string): string {
  return join(nodeDir, 'pods', uid);
}

export function logDirectory(nodeDir: string, pod: PodRef): string {
  return join(nodeDir, 'logs', `${pod.namespace}_${pod.name}_${pod.uid}`);
}

/** Stands in for the machine's /run. */
export function nodeRunDirectory(nodeDir: string): string {
  return join(nodeDir, 'run');
}

/** One folder a pod. */
export function podNetnsDirectory(nodeDir: string): string {
  return join(nodeRunDirectory(nodeDir), 'ambit', 'pods');
}

/** Where the node agent looks for the pod's network namespace. */
export function netnsDirectory(nodeDir: string, uid: string): string {
  return join(podNetnsDirectory(nodeDir), uid);
}
