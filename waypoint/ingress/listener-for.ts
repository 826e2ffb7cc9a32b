// Which listener a request or a stream of bytes belongs to, on the port it came in by. Asked by tables.ts. A decision
// without I/O. Invariant: what came in by one listener's certificate is never served by another listener's routes.

import type { GatewayListener } from '../../mesh/gateway-listeners.ts';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { pickListener } from '../../mesh/pick-listener.ts';
import { nameOf } from '../asked.ts';
import type { AskedListener } from '../inbound.ts';

/**
 * `host` is the request's; for bytes it is the server name again.
 * @throws HttpFailure NO_ROUTE, MISDIRECTED
 */
export function listenerFor(asked: AskedListener, host: string): GatewayListener {
  const listeners = asked.listeners();
  const met = pickListener(listeners, host);
  // a client may take one connection for all names its certificate is good for: this one is for another connection
  if (asked.serverName !== undefined && pickListener(listeners, asked.serverName) !== met) {
    throw new HttpFailure(
      'MISDIRECTED',
      `A connection for "${asked.serverName}" does not take requests for "${host}" on ${nameOf(asked)}`,
    );
  }
  if (met !== undefined) return met;
  throw new HttpFailure('NO_ROUTE', `No listener of ${nameOf(asked)} is for the host "${host}"`);
}
