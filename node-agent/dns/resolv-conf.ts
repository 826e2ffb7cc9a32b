// Which name servers the pods' questions are passed on to: those of the setting, else those of the agent's own
// resolv.conf(5). Called by connected.ts, once at start.

import { readFile } from 'node:fs/promises';
import { type IpPort, isLoopback, parseIp } from '../../mesh/address.ts';
import type { Log } from '../../runtime/log.ts';
import { readAuthority } from '../../wire/authority.ts';

export const DNS_SERVER_PORT = 53;
/** MAXNS of the resolver everybody has. */
const MAX_SERVERS = 3;

/** The servers in their order, at most three; lines that are no address are left out, as every resolver does. */
function nameServersOf(text: string): IpPort[] {
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

/** `10.96.0.10`, `10.96.0.10:5353`, `fd00::a` or `[fd00::a]:5353`, comma separated. @throws SyntaxError */
export function parseNameServers(text: string): IpPort[] {
  const parts = text.split(',').map((part) => part.trim());
  return parts.filter((part) => part !== '').map(parseNameServer);
}

function parseNameServer(text: string): IpPort {
  const authority = readAuthority(text);
  if (authority?.kind === 'address') return { ip: authority.ip, port: authority.port };
  return { ip: parseIp(text), port: DNS_SERVER_PORT };
}

/**
 * Servers that a pod can reach, in the order they are asked. undefined when there are none: then no DNS may be captured,
 * since nobody would answer it.
 */
export async function podNameServers(
  parts: { readonly log: Log },
  settings: { readonly configured: readonly IpPort[]; readonly resolvConf?: string },
): Promise<readonly IpPort[] | undefined> {
  if (settings.configured.length > 0) return settings.configured;
  const file = settings.resolvConf ?? '/etc/resolv.conf';
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    parts.log.warn('Cannot read the resolv.conf', { file, error });
    return '';
  });
  // on the node's loopback listens the node's resolver; asked from inside a pod it would be the pod itself
  const servers = nameServersOf(text).filter(({ ip }) => !isLoopback(ip));
  if (servers.length > 0) return servers;
  parts.log.error('The DNS of pods is not captured: no name server is known that pods can reach', {
    file,
    remedy: 'set AMBIT_DNS_UPSTREAM on the node agent to the cluster DNS',
  });
  return undefined;
}
