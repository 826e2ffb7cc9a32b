// The access log: one line a connection at its end, and one at its beginning for who asks for debug. (Peers that were
// turned away before there was a connection: tunnel-reports.ts.) Written by trail.ts. What passes the filter is decided before
// a line is made. A failure is always told, unless its namespace or
// its flag is not asked for.

import { formatIpPort } from '../mesh/address.ts';
import { FAILURES, type MeshError } from '../mesh/failures.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { Log } from '../runtime/log.ts';
import type { SpliceCounts } from '../tunnel/splice.ts';
import { policyLabel } from './policy-record.ts';
import type { TrailFacts } from './trail-facts.ts';

export type AccessFilter = {
  /** Either end in one of these; all when it is empty. */
  readonly namespaces: readonly string[];
  readonly errorsOnly: boolean;
  /** Response flags, `-` for connections that ended well; all when it is empty. */
  readonly flags: readonly string[];
  /** Of the connections that ended well, the part that is told: 0 to 1. */
  readonly sampling: number;
};

export const EVERYTHING: AccessFilter = {
  namespaces: [],
  errorsOnly: false,
  flags: [],
  sampling: 1,
};

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
  readonly #filter: AccessFilter;
  readonly #random: () => number;

  constructor(
    parts: { readonly log: Log; readonly random?: () => number },
    filter: AccessFilter = EVERYTHING,
  ) {
    this.#log = parts.log;
    this.#random = parts.random ?? Math.random;
    this.#filter = filter;
  }

  opened(record: AccessRecord): void {
    if (!this.#log.writes('debug') || !this.#isAskedFor(record.facts)) return;
    this.#log.debug('connection opened', fieldsOf(record, 0));
  }

  ended(record: AccessRecord, durationMs: number, failure: MeshError | undefined): void {
    const { flags } = this.#filter;
    const flag = failure === undefined ? NO_FLAG : FAILURES[failure.code].flag;
    if (flags.length > 0 && !flags.includes(flag)) return;
    if (failure === undefined) this.#completed(record, durationMs);
    else if (this.#log.writes('error') && this.#isAskedFor(record.facts)) {
      this.#log.error('connection complete', fieldsOf(record, durationMs, failure));
    }
  }

  #completed(record: AccessRecord, durationMs: number): void {
    const { errorsOnly, sampling } = this.#filter;
    if (errorsOnly || !this.#log.writes('info') || !this.#isAskedFor(record.facts)) return;
    if (sampling < 1 && this.#random() >= sampling) return;
    this.#log.info('connection complete', fieldsOf(record, durationMs));
  }

  #isAskedFor({ sourceWorkload, destinationWorkload }: TrailFacts): boolean {
    const { namespaces } = this.#filter;
    if (namespaces.length === 0) return true;
    const isAsked = (name: string | undefined): boolean =>
      name !== undefined && namespaces.includes(name);
    return isAsked(sourceWorkload?.namespace) || isAsked(destinationWorkload?.namespace);
  }
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
