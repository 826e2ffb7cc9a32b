// Where a connection of a pod really goes in loopback mode: the rules that nft and the routing table are in netns mode.
// Called by the hook at every connect and datagram. Pure: the outcome is a value, tested as a value.

import type { Place, Redirect, ServiceTable, ServiceTarget } from './place.ts';
import { dnsAddress, lifelineAddress, realPort, zoneOf } from './plan.ts';

export type Target = { readonly host: string; readonly port: number };

export type Route =
  /** Not the sandbox's business: left as it is. */
  | { readonly kind: 'untouched' }
  /** From `source` to `target`. */
  | { readonly kind: 'direct'; readonly source: string; readonly target: Target }
  /** To `target`, beginning with a PROXY header that says from `source` to `destination`. */
  | {
      readonly kind: 'proxied';
      readonly source: string;
      readonly target: Target;
      readonly destination: Target;
    }
  /** A service without endpoints, or an address that is no service's. */
  | { readonly kind: 'refused' };

export type View = {
  readonly place: Place;
  readonly services: ServiceTable | undefined;
  readonly redirect: Redirect | undefined;
};

/** `source` is the address the socket is bound to, else the pod's own. */
export function routeConnection(
  view: View,
  source: string,
  asked: Target,
  random: () => number,
): Route {
  const { place, redirect } = view;
  const target = { host: ownIfLocal(place, asked.host), port: asked.port };
  // the lifeline is no part of the pod's network
  if (isOutside(view, target, 'tcp') || target.host === lifelineAddress(place)) {
    return { kind: 'untouched' };
  }
  if (target.host === source) return direct(place, source, target);
  if (redirect !== undefined) {
    return { kind: 'proxied', source, target: { ...redirect.outbound }, destination: target };
  }
  const endpoint = behindService(view, source, target, { protocol: 'tcp', random });
  if (endpoint === undefined) return { kind: 'refused' };
  if (crossesLink(place, endpoint.host)) {
    return { kind: 'proxied', source, target: place.relay, destination: real(place, endpoint) };
  }
  return direct(place, source, endpoint);
}

/** Datagrams take no detour: the mesh does not carry them, and the link relay knows connections only. */
export function routeDatagram(
  view: View,
  source: string,
  asked: Target,
  random: () => number,
): Route {
  const { place } = view;
  const target = { host: ownIfLocal(place, asked.host), port: asked.port };
  if (isOutside(view, target, 'udp')) return { kind: 'untouched' };
  const endpoint = behindService(view, source, target, { protocol: 'udp', random });
  return endpoint === undefined ? { kind: 'refused' } : direct(place, source, endpoint);
}

/** A pod's localhost is its own address: all pods share the machine's one localhost. */
export function ownIfLocal(place: Place, host: string): string {
  const v4 = host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host;
  return v4 === '127.0.0.1' || v4 === '0.0.0.0' || v4 === '::1' || v4 === '::' ? place.address : v4;
}

/** Under a given API server Services have addresses of its choice: what the table has is inside. */
function isOutside({ place, services }: View, target: Target, protocol: 'tcp' | 'udp'): boolean {
  if (zoneOf(place, target.host) !== 'outside') return false;
  return services?.ports[portKey(protocol, target)] === undefined;
}

function portKey(protocol: 'tcp' | 'udp', { host, port }: Target): string {
  return `${protocol}/${host}:${port}`;
}

function direct(place: Place, source: string, target: Target): Route {
  return { kind: 'direct', source, target: real(place, target) };
}

function real(place: Place, target: Target): Target {
  return { host: target.host, port: realPort(target.port, place.lowPortsShifted) };
}

/** The endpoint of what is a service's, the target itself of what is none; undefined when there is no endpoint. */
function behindService(
  { place, services }: View,
  source: string,
  target: Target,
  how: { protocol: 'tcp' | 'udp'; random: () => number },
): Target | undefined {
  const zone = zoneOf(place, target.host);
  if (zone === 'service' || zone === 'outside') {
    if (target.host === dnsAddress(place)) return target;
    const found = services?.ports[portKey(how.protocol, target)];
    return found && pick(found, source, how.random);
  }
  const isNode = typeof zone === 'object' && target.host.endsWith('.0.1');
  const found = isNode ? services?.nodePorts[`${how.protocol}/${target.port}`] : undefined;
  return found === undefined ? target : pick(found, source, how.random);
}

function pick(service: ServiceTarget, source: string, random: () => number): Target | undefined {
  const count = service.endpoints.length;
  const index = service.affinity ? hash(source) % count : Math.floor(random() * count);
  const [host, port] = (service.endpoints[index] ?? '').split(':');
  return host === undefined || port === undefined ? undefined : { host, port: Number(port) };
}

/** FNV-1a: the same caller gets the same endpoint while the set is the same. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** The process's own node counts, not the source: an agent delivers to its pods as from pods of other nodes. */
function crossesLink(place: Place, destination: string): boolean {
  const from = zoneOf(place, place.address);
  const to = zoneOf(place, destination);
  return typeof from === 'object' && typeof to === 'object' && from.node !== to.node;
}
