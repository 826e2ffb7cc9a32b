// The report behind `ambit status`: one value, assembled by gather.ts, judged by assess.ts, shown by render/status.ts.
// `-o json` prints it as it stands; fields are only ever added.

import type { TrustReport } from '../../mesh/trust.ts';
import type { RotationStatus } from '../../wire/rotation.ts';
import type {
  NamespaceStatus,
  Problem,
  WaypointStatus,
  WorkloadStatus,
} from '../../wire/status.ts';

export type Replicas = { readonly ready: number; readonly wanted: number };

export type AgentRow = {
  readonly node: string;
  readonly pod: string;
  readonly version: string;
  readonly ready: boolean;
  readonly connected: boolean;
  readonly inSync: boolean;
  /** Its own word on its certificates and roots; undefined before it said any. */
  readonly trust?: TrustReport;
};

/** Connections between workloads that arrived at enrolled ones since their agents started. */
export type Traffic = { readonly mtls: number; readonly plaintext: number };

/** What was seen, before anybody judges it. */
export type Findings = {
  readonly cliVersion: string;
  readonly controlPlaneVersion: string | undefined;
  readonly controlPlane: Replicas | undefined;
  readonly ca: Replicas | undefined;
  /** RFC 3339. */
  readonly rootNotAfter: string | undefined;
  /** The CA's word on what signs and who is trusted; undefined when it says nothing. */
  readonly rotation: RotationStatus | undefined;
  readonly agents: readonly AgentRow[];
  readonly nodes: readonly string[];
  readonly namespaces: readonly NamespaceStatus[];
  readonly workloads: readonly WorkloadStatus[];
  readonly traffic: Traffic | undefined;
  /** Gateways of ours with their proxies; none of a control plane that does not tell. */
  readonly waypoints: readonly WaypointStatus[];
  readonly problems: readonly Problem[];
};

export type StatusReport = Findings & {
  readonly healthy: boolean;
  /** 0 to 1; undefined before the first connection. */
  readonly mtlsShare: number | undefined;
};
