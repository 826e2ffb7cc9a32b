// Tells of bytes that were refused before there was a request to tell of: one line of the access log each, and a count by
// protocol and reason. Told by both servers.

import { formatIdentity } from '../../mesh/identity.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { nameOf } from '../asked.ts';
import type { Refusal } from '../http/http1-connection.ts';
import type { Inbound } from '../inbound.ts';

export class Refusals {
  readonly #log: Log;
  readonly #count: { inc(labels: { protocol: string; reason: string }): void };

  constructor(parts: { readonly log: Log; readonly metrics: Metrics }) {
    this.#log = parts.log;
    this.#count = parts.metrics.counter({
      name: 'ambit_waypoint_refused_bytes_total',
      help: 'Times that what a client sent was no request, and why',
      labels: ['protocol', 'reason'],
    });
  }

  tell(protocol: 'http1' | 'http2', inbound: Inbound, { status, reason, why }: Refusal): void {
    this.#count.inc({ protocol, reason });
    const { identity } = inbound.source;
    this.#log.info('Refused bytes that are no request', {
      protocol,
      response_code: status,
      response_flags: 'DPE',
      reason,
      why: why.slice(0, 200),
      to: nameOf(inbound.asked),
      'src.identity': identity && formatIdentity(identity),
      downstream_remote_address: inbound.remote.ip,
    });
  }
}
