// A pod of this node as the data path knows it, and what the data path offers to a pod's sockets: the seam between
// enrolment and the three journeys.

import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { Enrolment } from '../mesh/enrolment.ts';
import type { Denied, Lost } from '../tunnel/accept.ts';
import type { Credentials } from '../tunnel/contexts.ts';
import type { DialTarget } from '../tunnel/socket.ts';
import type { TunnelRequest } from '../tunnel/tunnel.ts';
import type { Captured } from './capture/capture.ts';

/** A pod of this node as the journeys need it. */
export type LocalPod = {
  readonly enrolment: Enrolment;
  /** From inside the pod; seen as the pod or as `target.from`. */
  dial(target: DialTarget, signal?: AbortSignal): Promise<Socket>;
  /** A UDP socket inside the pod, with our mark, ready to send; its owner closes it. */
  udp(family: 'ipv4' | 'ipv6'): UdpSocket;
  /** @throws MeshError IDENTITY_ERROR */
  credentials(): Promise<Credentials>;
};

export type Journeys = {
  outbound(pod: LocalPod, captured: Captured): void;
  passthrough(pod: LocalPod, captured: Captured): void;
  inbound(pod: LocalPod, request: TunnelRequest): void;
  /** The pod's DNS; without it no pod's DNS is captured. */
  readonly dns?: {
    udp(pod: LocalPod, socket: UdpSocket): void;
    tcp(pod: LocalPod, captured: Captured): void;
  };
  denied(pod: LocalPod, denied: Denied): void;
  /** A peer's tunnel ended although nobody wanted it to. */
  lost?(pod: LocalPod, lost: Lost): void;
  /** The pod takes no part any more: its tunnels to others end with their streams, at once when it is gone. */
  left(pod: LocalPod, gone: boolean): Promise<void>;
};
