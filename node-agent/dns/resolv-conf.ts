// Which name servers a resolv.conf names (resolv.conf(5)). Called by main.ts's composition for the agent's own file. Pure.

import { type IpPort, isLoopback, parseIp } from '../../mesh/address.ts';

export const DNS_SERVER_PORT = 53;
/** MAXNS of the resolver everybody has. */
const MAX_SERVERS = 3;

/** The servers in their order, at most three; lines that are no address are left out, as every resolver does. */
export function nameServersOf(text: string): IpPort[] {
  const servers: IpPort[] = [];
  for (const line of text.split('\n')) {
    const [, address] = /^\s*nameserver\s+(\S+)/.exec(line) ?? [];
    if (address === undefined || servers.length === MAX_SERVERS) continue;
    try {
      servers.push({ ip: parseIp(address), port: DNS_SERVER_PORT });
    } catch {
      // not an address (or one with a zone, which means nothing in a pod)
    }
  }
  return servers;
}

/** A server on the node's loopback is not the pod's: asked from inside a pod it would be the pod itself. */
export function reachableFromPods(servers: readonly IpPort[]): IpPort[] {
  return servers.filter(({ ip }) => !isLoopback(ip));
}
