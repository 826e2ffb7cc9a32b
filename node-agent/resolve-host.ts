// A name's addresses by the agent's own resolvers (/etc/resolv.conf). Given to HostLookup, which remembers them.

import { Resolver } from 'node:dns/promises';
import { parseIp } from '../mesh/address.ts';
import type { HostRecord, ResolveHost } from './host-lookup.ts';

/** One try has to fit into the lookup's own limit twice. */
const TRY_MS = 2000;

export const resolveHost: ResolveHost = async (hostname, signal) => {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: TRY_MS, tries: 2 });
  const cancel = (): void => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
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
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};
