// A name's addresses by the name servers of the setting, else the agent's own resolvers (/etc/resolv.conf). Given to
// HostLookup, which remembers them.

import { Resolver } from 'node:dns/promises';
import { formatIpPort, type IpPort, parseIp } from '../mesh/address.ts';
import type { HostRecord, ResolveHost } from './host-lookup.ts';

/** One try has to fit into the lookup's own limit twice. */
const TRY_MS = 2000;

/** @param servers asked instead of those of /etc/resolv.conf, if there are any */
export function hostResolver(servers: readonly IpPort[]): ResolveHost {
  return async (hostname, signal) => {
    signal.throwIfAborted();
    const resolver = new Resolver({ timeout: TRY_MS, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers.map(formatIpPort));
    const cancel = (): void => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await addressesOf(resolver, hostname, signal);
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  };
}

async function addressesOf(
  resolver: Resolver,
  hostname: string,
  signal: AbortSignal,
): Promise<HostRecord[]> {
  const answers = await Promise.allSettled([
    resolver.resolve4(hostname, { ttl: true }),
    resolver.resolve6(hostname, { ttl: true }),
  ]);
  const records = answers.flatMap((answer): HostRecord[] =>
    answer.status === 'rejected'
      ? []
      : answer.value.map(({ address, ttl }) => ({ ip: parseIp(address), ttlSeconds: ttl })),
  );
  if (records.length > 0) return records;
  signal.throwIfAborted();
  const failed = answers.find((answer) => answer.status === 'rejected');
  throw failed?.reason ?? new Error('it has no address');
}
