// What capturing one pod's traffic means, whichever way it is done: netns.ts with nft inside the pod's network namespace,
// loopback.ts with a hook in the pod's programs. Called by enrolment.ts. A pod may vanish at any moment: every step then
// fails with a CaptureError and leaves nothing behind.

import type { Socket } from 'node:net';
import type { IpPort } from '../../mesh/address.ts';
import type { Enrolment } from '../../mesh/enrolment.ts';
import type { DialTarget } from '../../tunnel/socket.ts';

/** A connection of the pod's that was led to us, and where it was going. */
export type Captured = {
  readonly socket: Socket;
  readonly source: IpPort;
  readonly destination: IpPort;
};

/** Where captured connections go in the agent. */
export type Doors = {
  outbound(captured: Captured): void;
  passthrough(captured: Captured): void;
  /** A peer's connection to port 15008: TLS, not yet looked at. */
  tunnel(socket: Socket): void;
};

export type CaptureReason = 'NoNetworkNamespace' | 'PortTaken' | 'CaptureFailed';

/** Its message is for a person: what failed on which pod, and the next step. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  readonly reason: CaptureReason;

  constructor(reason: CaptureReason, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

/** One pod's place on the network. Steps are idempotent and run one at a time. */
export interface PodCapture {
  /** From inside the pod, with our mark: seen as the pod, or as `target.from`. */
  dial(target: DialTarget, signal?: AbortSignal): Promise<Socket>;
  /** Opens the doors. @throws CaptureError PortTaken */
  listen(doors: Doors): Promise<void>;
  /** New connections come to us from now on; open ones are left as they are. */
  redirect(): Promise<void>;
  /** New connections go their own way from now on; captured ones stay with us. The tunnel door stays open. */
  release(): Promise<void>;
  /** Closes the doors; accepted connections live on. */
  closeDoors(): Promise<void>;
  /** Takes back everything that was changed in the pod. */
  remove(): Promise<void>;
  /** True when the pod is not there any more, or has another namespace: nothing in this one needs care. */
  vanished(): Promise<boolean>;
  /** Forgets the pod without changing anything in it. */
  close(): Promise<void>;
}

/** Redirection of an agent that ended, in a pod that was let go since: its connections would fail for ever. */
export type Leftover = {
  readonly podUid: string;
  release(): Promise<void>;
  remove(): Promise<void>;
  close(): Promise<void>;
};

export interface CaptureDriver {
  /** @throws CaptureError NoNetworkNamespace */
  open(pod: Enrolment): Promise<PodCapture>;
  /** Redirected pods of this node besides those that are wanted. */
  leftovers(wanted: ReadonlySet<string>): Promise<Leftover[]>;
}

export function podName(pod: Pick<Enrolment, 'namespace' | 'name'>): string {
  return `${pod.namespace}/${pod.name}`;
}
