// What a control-plane replica says of the mesh at its admin route /status, as JSON. Written by control-plane/status,
// read by `ambit status`. Fields are only ever added.

import type { TrustReport } from '../mesh/trust.ts';
import type { WaypointFor } from '../mesh/waypoint.ts';
import type { RotationStatus } from './rotation.ts';

export type AgentStatus = {
  readonly node: string;
  readonly pod: string;
  /** The agent's own version, as it said at connecting. */
  readonly version: string;
  /** True when everything published has been acknowledged. */
  readonly inSync: boolean;
  /** What it said of its certificates and roots; undefined before it did. */
  readonly trust?: TrustReport;
};

/** A waypoint, or an ingress: a pod that runs for a Gateway and hears discovery. */
export type ConnectedWaypoint = {
  readonly namespace: string;
  /** The Gateway's name. */
  readonly gateway: string;
} & Omit<AgentStatus, 'node'>;

export type WorkloadStatus = {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  /** SPIFFE URI. */
  readonly identity: string;
  readonly protocol: 'hbone' | 'tcp';
  /** `wanted` means labelled but not yet captured. */
  readonly redirection: 'enabled' | 'failed' | 'wanted' | 'none';
  /** Why a pod of an enrolled namespace is not to be in the mesh; undefined when it is. */
  readonly leftAlone?: 'host-network' | 'opted-out';
};

export type NamespaceStatus = {
  readonly name: string;
  readonly mode: 'ambient' | 'none';
  readonly pods: number;
  readonly enrolled: number;
  /** Of `pods`, those that are not to be in the mesh although their namespace is. */
  readonly leftAlone?: number;
};

/** A Gateway of ours and the proxy that runs for it. */
export type WaypointStatus = {
  readonly namespace: string;
  readonly name: string;
  readonly kind: 'waypoint' | 'ingress';
  /** What a waypoint takes connections for. */
  readonly for?: WaypointFor;
  readonly replicas: number;
  readonly ready: number;
  readonly programmed: boolean;
  /** What it waits for, or that it serves. */
  readonly message: string;
  readonly addresses: readonly string[];
  /** How many services, and workloads by their own address, are reached through it. */
  readonly services: number;
  readonly workloads: number;
};

/** Something a person should mend: which object, why, and the next step. */
export type Problem = {
  readonly object: string;
  readonly reason: string;
  readonly message: string;
  readonly remedy: string;
};

export type ControlPlaneStatus = {
  readonly version: string;
  readonly pod: string;
  readonly leader: boolean;
  /** RFC 3339; when the root certificate ends. */
  readonly rootNotAfter: string | undefined;
  /** The CA's word on its roots; undefined when it has not said anything. */
  readonly rotation?: RotationStatus;
  /** Only the agents connected to this replica. */
  readonly agents: readonly AgentStatus[];
  /** Likewise; absent from control planes that know none. */
  readonly connectedWaypoints?: readonly ConnectedWaypoint[];
  readonly namespaces: readonly NamespaceStatus[];
  readonly workloads: readonly WorkloadStatus[];
  readonly problems: readonly Problem[];
  readonly waypoints?: readonly WaypointStatus[];
};
