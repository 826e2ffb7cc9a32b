// The access log: one line a connection at its end, and one at its beginning for who asks for debug. (Peers that were
// turned away before there was a connection: tunnel-reports.ts.) Written by trail.ts; runtime/access-filter.ts decides which.

import { formatIpPort } from '../mesh/address.ts';
import { FAILURES, type MeshError } from '../mesh/failures.ts';
import { formatIdentity } from '../mesh/identity.ts';
import { type AccessFilter, AccessGate, type Ends, EVERYTHING } from '../runtime/access-filter.ts';
import type { Log } from '../runtime/log.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import { policyLabel } from './policy-record.ts';
import type { TrailFacts } from './trail-facts.ts';

/** The flag of a connection that ended well. */
const NO_FLAG = '-';

/** What a filter may name. */
export const ACCESS_FLAGS: ReadonlySet<string> = new Set([
  NO_FLAG,
  ...Object.values(FAILURES).map(({ flag }) => flag),
]);

export type AccessRecord = { readonly facts: TrailFacts; readonly counts: SpliceCounts };

export class AccessLog {
  readonly #log: Log;
  readonly #gate: AccessGate;

  constructor(
    parts: { readonly log: Log; readonly random?: () => number },
    filter: AccessFilter = EVERYTHING,
  ) {
    this.#log = parts.log;
    this.#gate = new AccessGate(parts, filter);
  }

  opened(record: AccessRecord): void {
    if (!this.#gate.concerns('debug', endsOf(record))) return;
    this.#log.debug('connection opened', fieldsOf(record, 0));
  }

  ended(record: AccessRecord, durationMs: number, failure: MeshError | undefined): void {
    const bad = failure !== undefined;
    const level = bad ? 'error' : 'info';
    const flag = bad ? FAILURES[failure.code].flag : NO_FLAG;
    if (!this.#gate.tells(level, endsOf(record), { flags: [flag], bad })) return;
    this.#log[level]('connection complete', fieldsOf(record, durationMs, failure));
  }
}

function endsOf({ facts }: AccessRecord): Ends {
  return { from: facts.sourceWorkload, to: facts.destinationWorkload };
}

/** The reference's fields, in its order, then ours; what is not known is left out. */
function fieldsOf(
  { facts, counts }: AccessRecord,
  durationMs: number,
  failure?: MeshError,
): Record<string, unknown> {
  const { sourceWorkload: from, destinationWorkload: to, service } = facts;
  // a byte's direction is as the reporting side sees it: what it sent is the request at the source, the response at the
  // destination
  const [sent, received] =
    facts.direction === 'outbound'
      ? [counts.sent, counts.received]
      : [counts.received, counts.sent];
  return {
    'src.addr': formatIpPort(facts.source),
    'src.workload': from?.name,
    'src.namespace': from?.namespace,
    'src.identity': facts.sourceIdentity && formatIdentity(facts.sourceIdentity),
    'src.cluster': from?.cluster,
    'dst.addr': formatIpPort(facts.destination),
    'dst.hbone_addr': facts.authority,
    'dst.service': service?.hostname,
    'dst.workload': to?.name,
    'dst.namespace': to?.namespace,
    'dst.identity': facts.destinationIdentity && formatIdentity(facts.destinationIdentity),
    'dst.cluster': to?.cluster,
    direction: facts.direction,
    bytes_sent: sent,
    bytes_recv: received,
    duration: `${durationMs}ms`,
    ...(failure && { error: failure.message, flag: FAILURES[failure.code].flag }),
    ...(facts.decision && {
      decision: facts.decision.basis,
      policy: policyLabel(facts.decision),
    }),
  };
}
