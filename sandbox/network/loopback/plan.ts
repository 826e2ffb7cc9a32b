// The addresses of a sandbox without namespaces: one twelve-bit slice of 127.0.0.0/8, second octet base..base+15.
// Called by the loopback driver and, inside the pods' processes, by the hook. Pure.
//   base+0       the sandbox itself: API server, link relay, lifeline
//   base+1       service addresses; the cluster DNS is the tenth
//   base+2..15   nodes: .0.1 the node, .1.1 and up its pods

/** Slices start at 16: 127.0.0.0/12 holds the addresses that other programs use. */
export const SLICE_BASES: readonly number[] = Array.from(
  { length: 15 },
  (_, index) => 16 * (index + 1),
);

export const MAX_NODES = 14;
/** .1.1 and up of the node's range. */
export const MAX_PODS_A_NODE = 60_000;

/** Not 6443: a real API server on this machine that listens on every address would be in the way. */
export const API_SERVER_PORT = 16_443;
export const DNS_PORT = 53;
/** Held for as long as the sandbox lives: the lock of its slice, and how its processes notice that it has died. */
export const LIFELINE_PORT = 41_627;

/**
 * Where ports below 1024 really are when we may not have them: above the range from which the kernel takes the ports
 * of outgoing connections (32768-60999), so that neither is mistaken for the other.
 */
const LOW_PORT_OFFSET = 62_000;
const FIRST_ORDINARY_PORT = 1024;

export type Slice = { readonly base: number };

export const apiServerAddress = (slice: Slice): string => `127.${slice.base}.0.1`;
export const relayAddress = (slice: Slice): string => `127.${slice.base}.0.2`;
export const lifelineAddress = (slice: Slice): string => `127.${slice.base}.0.255`;
export const serviceCidr = (slice: Slice): string => `127.${slice.base + 1}.0.0/16`;
export const dnsAddress = (slice: Slice): string => `127.${slice.base + 1}.0.10`;

/** `number` counts from 1. */
export function nodeAddress(slice: Slice, number: number): string {
  return `127.${slice.base + 1 + number}.0.1`;
}

export function nodePodCidr(slice: Slice, number: number): string {
  return `127.${slice.base + 1 + number}.0.0/16`;
}

/** `pod` counts from 1. */
export function podAddress(slice: Slice, node: number, pod: number): string {
  const host = 256 + pod;
  return `127.${slice.base + 1 + node}.${host >> 8}.${host & 0xff}`;
}

export type Zone = 'outside' | 'system' | 'service' | { readonly node: number };

/** Which part of the slice an IPv4 address is in; everything else is outside. */
export function zoneOf(slice: Slice, ip: string): Zone {
  const [first, second] = ip.split('.', 2);
  if (first !== '127') return 'outside';
  const offset = Number(second) - slice.base;
  if (offset < 0 || offset > 15) return 'outside';
  if (offset === 0) return 'system';
  return offset === 1 ? 'service' : { node: offset - 1 };
}

/** Where a port of the sandbox's addresses really is. `shifted`: low ports are not to be had. */
export function realPort(port: number, shifted: boolean): number {
  return shifted && port > 0 && port < FIRST_ORDINARY_PORT ? port + LOW_PORT_OFFSET : port;
}

/** The port a program asked for, from where it really is. */
export function shownPort(port: number, shifted: boolean): number {
  const low = port - LOW_PORT_OFFSET;
  return shifted && low > 0 && low < FIRST_ORDINARY_PORT ? low : port;
}
