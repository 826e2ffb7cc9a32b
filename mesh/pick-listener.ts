// Which listener of a port a host name meets: the one whose own name says most of it (Gateway API, listener isolation).
// Asked by waypoint/ingress/ for the server name of a TLS connection and for the host of a request. Pure.

import type { GatewayListener } from './gateway-listeners.ts';
import { hostOf, hostPatternsOf } from './host.ts';

/** `host` is empty when the client named none: only a listener for any host is met then. */
export function pickListener(
  listeners: readonly GatewayListener[],
  host: string,
): GatewayListener | undefined {
  for (const pattern of hostPatternsOf(hostOf(host))) {
    const met = listeners.find(({ hostname }) => hostname === pattern);
    if (met !== undefined) return met;
  }
  return undefined;
}
