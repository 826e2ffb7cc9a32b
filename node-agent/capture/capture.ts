// What capturing one pod's traffic means, whichever way it is done: netns.ts with nft inside the pod's network namespace,
// loopback.ts with a hook in the pod's programs. Called by enrolment.ts. A pod may vanish at any moment: every step then
// fails with a CaptureError and leaves nothing behind.

import type { Socket as UdpSocket } from 'node:dgram';
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
  /** With this door the pod's queries (port 53) are led to us; without it they go their own way. */
  readonly dns: DnsDoor | undefined;
};

export type DnsDoor = {
  /** One socket a family, bound and listening. It is closed by {@link PodCapture.closeDoors}, not by the door. */
  udp(socket: UdpSocket): void;
  /** `destination` is the name server the pod had meant. */
  tcp(captured: Captured): void;
};

/** A pod's place on the network, and what its owner wants of its capture. */
export type PodPlace = Pick<Enrolment, 'podUid' | 'name' | 'namespace' | 'addresses' | 'capture'>;

/** What was found changed in a pod by another program than an agent. */
export type RepairReason =
  | 'rules-missing'
  | 'rules-changed'
  | 'routes-changed'
  /** On the node: what lets kubelet probes reach the pods. */
  | 'probe-bypass-changed';

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
  /** A UDP socket inside the pod, with our mark, ready to send; the kernel picks its port. Its owner closes it. @throws MeshError UPSTREAM_CONNECT */
  udp(family: 'ipv4' | 'ipv6'): UdpSocket;
  /** Opens the doors that are not open yet. @throws CaptureError PortTaken */
  listen(doors: Doors): Promise<void>;
  /** New connections come to us from now on, but for what the pod's options leave out; open ones are left as they are. */
  redirect(pod: PodPlace): Promise<void>;
  /**
   * Puts back what somebody changed of what {@link redirect} set, and tells what that was; undefined: nothing. Cheap while
   * nothing changes. @throws CaptureError when it cannot be put back
   */
  verify(): Promise<RepairReason | undefined>;
  /** New connections go their own way from now on; captured ones stay with us. The tunnel door stays open. */
  release(): Promise<void>;
  /** New connections go to a newer agent's doors from now on, where there is one; ours still take what is on its way. */
  yieldDoors?(): void;
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
  open(pod: PodPlace): Promise<PodCapture>;
  /** Redirected pods of this node besides those that are wanted. */
  leftovers(wanted: ReadonlySet<string>): Promise<Leftover[]>;
  /** Ends what the driver itself holds; nothing is changed. */
  close(): void;
}

export function podName(pod: Pick<Enrolment, 'namespace' | 'name'>): string {
  return `${pod.namespace}/${pod.name}`;
}
