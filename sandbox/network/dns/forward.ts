// Asks the machine's own resolvers about names outside the cluster. Used by the loopback driver's cluster DNS; in netns
// mode the cluster has no way out, so there is nobody to ask.

import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { once } from 'node:events';
import { isIP } from 'node:net';
import type { Clock } from '../../../runtime/clock.ts';
import type { Forward } from './server.ts';

/** Shorter than a client's own patience (usually 5 s), so that it hears SERVFAIL rather than nothing. */
const TIMEOUT_MS = 2_000;

export function hostResolvers(
  parts: { clock: Clock },
  servers: readonly string[] = getServers(),
): Forward {
  // a resolver with a port of its own, `1.2.3.4:5353`, is left out: no usual resolv.conf has one
  const usable = servers.filter((server) => isIP(server) !== 0);
  return async (query) => {
    const [server] = usable;
    if (server === undefined)
      throw new Error('Cannot ask about a name outside the cluster: no resolver is configured');
    return await ask(parts.clock, server, query);
  };
}

async function ask(clock: Clock, server: string, query: Buffer): Promise<Buffer> {
  const socket = createSocket(isIP(server) === 6 ? 'udp6' : 'udp4');
  const expiry = new AbortController();
  const timer = clock.timer(TIMEOUT_MS, () => {
    expiry.abort(new Error(`Resolver ${server} did not answer within ${TIMEOUT_MS} ms`));
  });
  try {
    const answered = once(socket, 'message', { signal: expiry.signal }) as Promise<[Buffer]>;
    // connected: answers of others are not for us
    socket.connect(53, server, () => {
      socket.send(query);
    });
    const [answer] = await answered;
    return answer;
  } finally {
    timer.cancel();
    socket.close();
  }
}
