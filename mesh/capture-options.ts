// What a pod's owner wants of its capture, as annotations on the pod say: what is left out, whether DNS is taken. Written by
// control-plane/translate/capture-options.ts, carried by an Enrolment, obeyed by node-agent/capture.

import type { Cidr } from './policy.ts';

/** Inclusive on both ends; a single port has `first` = `last`. */
export type PortRange = { readonly first: number; readonly last: number };

export type CaptureOptions = {
  /** Ports of the pod that plaintext reaches without the mesh: no policy is asked for it. */
  readonly excludeInboundPorts: readonly PortRange[];
  /** Ports of others that the pod reaches without the mesh: in plain text. */
  readonly excludeOutboundPorts: readonly PortRange[];
  /** Callers whose plaintext reaches the pod without the mesh. */
  readonly excludeInboundCidrs: readonly Cidr[];
  /** Destinations that the pod reaches without the mesh. */
  readonly excludeOutboundCidrs: readonly Cidr[];
  /** Whether the agent answers the pod's DNS; `default`: as the agent is set. */
  readonly dns: 'default' | 'on' | 'off';
  /** No plaintext that arrives is captured (for ingress gateways); tunnels still end at the agent. */
  readonly bypassInbound: boolean;
};

export const CAPTURE_EVERYTHING: CaptureOptions = {
  excludeInboundPorts: [],
  excludeOutboundPorts: [],
  excludeInboundCidrs: [],
  excludeOutboundCidrs: [],
  dns: 'default',
  bypassInbound: false,
};

/** More ranges in one annotation make nobody's intent clearer, and every packet's way longer. */
export const MAX_RANGES = 64;
