// What the enrolments of a node share, and the states of each: the seam between app.ts, which gives the parts, and
// enrolment.ts and pod-enrolment.ts, which use them.

import type { IpAddress } from '../mesh/address.ts';
import type { Enrolment, EnrolmentReport } from '../mesh/enrolment.ts';
import type { Certificates } from '../tunnel/certificates/certificates.ts';
import type { HandshakeGate } from '../tunnel/handshake-gate.ts';
import type { CaptureDriver, PodPlace } from './capture/capture.ts';
import type { Connections } from './connections.ts';
import type { Journeys } from './local-pod.ts';
import type { PodWatchParts } from './pod-watch.ts';

export type EnrolmentParts = Omit<PodWatchParts, 'turns'> & {
  readonly capture: CaptureDriver;
  readonly certificates: Certificates;
  readonly connections: Connections;
  readonly journeys: Journeys;
  readonly report: (report: EnrolmentReport) => void;
  /** One for all doors of the node; each door has its own without it. */
  readonly handshakes?: HandshakeGate;
  /** How long the doors stay open after a pod left: for peers that have not heard yet, and for queued connections. */
  readonly leaveGraceMs: number;
  /** Whether a pod's DNS is captured if the pod says nothing about it. */
  readonly dnsCapture: boolean;
  /** Pods that were captured before their first container started. */
  readonly enclosures: {
    /** Whether the pod is one: then a failed step does not let its traffic out. */
    has(podUid: string): boolean;
    /** The pod's addresses as the container runtime tells them: the control plane learns them later. */
    addresses(podUid: string): readonly IpAddress[];
    /** A pod has left: it may be one that nobody wants any more. */
    reconsider(): void;
  };
};

/** `waiting`: bound to this node, and not started yet as far as we can see. */
export type PodState = 'waiting' | 'starting' | 'enabled' | 'failed' | 'leaving';

/** Where a pod is, with the addresses the runtime tells until the control plane knows them. */
export function placeOf(
  enrolment: Enrolment,
  { enclosures }: Pick<EnrolmentParts, 'enclosures'>,
): PodPlace {
  if (enrolment.addresses.length > 0) return enrolment;
  return { ...enrolment, addresses: enclosures.addresses(enrolment.podUid) };
}
