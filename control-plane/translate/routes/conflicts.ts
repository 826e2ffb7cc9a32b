// Routes of different kinds in one place. On a port of a Service the kind decides: GRPCRoute, HTTPRoute, TLSRoute, TCPRoute,
// the others lose. On a listener an HTTPRoute and a GRPCRoute may not share a host: the older one keeps it. Called by
// routes.ts with every attachment, oldest route first.

import type { RouteParent } from '../../../mesh/route.ts';
import { type Attachment, refused } from './attachment.ts';
import { hostnamesMeet } from './hostnames.ts';
import { ROUTE_KINDS, type RouteSource } from './route-objects.ts';

/** The TCP ports of a Service by its mesh key. */
export type PortsOf = (service: string) => readonly number[];

type ServiceParent = Extract<RouteParent, { kind: 'service' }>;
type ListenerParent = Extract<RouteParent, { kind: 'listener' }>;

export function settleConflicts(
  attachments: readonly Attachment[],
  portsOf: PortsOf,
): readonly Attachment[] {
  const best = bestRanks(attachments, portsOf);
  const listeners = new Map<string, { source: RouteSource; hostnames: readonly string[] }[]>();
  return attachments.map((attachment) => {
    const kept: RouteParent[] = [];
    const lost: string[] = [];
    for (const parent of attachment.parents) {
      if (parent.kind === 'service') {
        const ports = wonPorts(attachment.source, parent, best, portsOf);
        kept.push(...ports.kept);
        lost.push(...ports.lost.map((port) => `port ${port} of Service ${nameOf(parent)}`));
      } else if (isTaken(attachment.source, parent, listeners)) {
        lost.push(`listener ${parent.listener} of Gateway ${parent.gateway}`);
      } else kept.push(parent);
    }
    if (lost.length === 0) return attachment;
    const message = `A route of another kind comes first on ${lost.join(', ')}`;
    if (kept.length === 0) return refused(attachment, 'Conflicted', message);
    return { ...attachment, parents: kept, notes: [...attachment.notes, message] };
  });
}

function rankOf({ kind }: RouteSource): number {
  return ROUTE_KINDS.findIndex((one) => one.kind === kind);
}

/** Producers and consumers do not meet: where there is a consumer's route, the producer's do not count at all. */
function slot(parent: ServiceParent, port: number): string {
  return `${parent.service} ${parent.clientsOf ?? ''} ${port}`;
}

function bestRanks(attachments: readonly Attachment[], portsOf: PortsOf): Map<string, number> {
  const best = new Map<string, number>();
  for (const { source, parents } of attachments) {
    for (const parent of parents) {
      if (parent.kind !== 'service') continue;
      for (const port of numbersOf(parent, portsOf)) {
        const key = slot(parent, port);
        best.set(key, Math.min(best.get(key) ?? ROUTE_KINDS.length, rankOf(source)));
      }
    }
  }
  return best;
}

function wonPorts(
  source: RouteSource,
  parent: ServiceParent,
  best: ReadonlyMap<string, number>,
  portsOf: PortsOf,
): { kept: readonly ServiceParent[]; lost: readonly number[] } {
  const numbers = numbersOf(parent, portsOf);
  const lost = numbers.filter((port) => (best.get(slot(parent, port)) ?? 0) < rankOf(source));
  // what holds for every port goes on doing so, whichever come
  if (lost.length === 0) return { kept: [parent], lost };
  const kept = numbers.filter((port) => !lost.includes(port)).map((port) => ({ ...parent, port }));
  return { kept, lost };
}

function numbersOf({ service, port }: ServiceParent, portsOf: PortsOf): readonly number[] {
  return port === undefined ? portsOf(service) : [port];
}

/** Takes the hosts for the route unless an older one of the other kind has some of them. */
function isTaken(
  source: RouteSource,
  { gateway, listener, hostnames }: ListenerParent,
  listeners: Map<string, { source: RouteSource; hostnames: readonly string[] }[]>,
): boolean {
  if (source.kind !== 'http' && source.kind !== 'grpc') return false;
  const key = `${gateway} ${listener}`;
  const owners = listeners.get(key) ?? [];
  listeners.set(key, owners);
  const taken = owners.some(
    (owner) => owner.source.kind !== source.kind && hostnamesMeet(owner.hostnames, hostnames),
  );
  if (!taken) owners.push({ source, hostnames });
  return taken;
}

function nameOf({ service }: ServiceParent): string {
  return service;
}
