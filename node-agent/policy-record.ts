// What policy did, for people: counts of decisions by the policy that made them, and of what dry run and AUDIT saw. Called
// by decide.ts for each new connection and by app.ts when open ones are cut. Invariant: however many policies come and
// go, the series stay below MAX_SERIES.

import { formatIpPort } from '../mesh/address.ts';
import type { Decision, Request } from '../mesh/authorize.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { Log } from '../runtime/log.ts';
import type { Labels, Metrics } from '../runtime/metrics.ts';

/** Policies on one node are tens; a policy made anew under ever new names must not grow the exposition for ever. */
const MAX_SERIES = 2000;
/** All the ALLOW policies of a default denial are named, but a label is no list: the first few say enough. */
const MAX_NAMED = 3;
/** Workloads whose unknown policies were told of; a node has some hundred pods. */
const MAX_TOLD = 1000;

type Counter = { inc(labels?: Labels): void };

export class PolicyRecord {
  readonly #log: Log;
  readonly #decisions: Counter;
  readonly #observed: Counter;
  readonly #cuts: Counter;
  readonly #told = new Set<string>();

  constructor({ log, metrics }: { readonly log: Log; readonly metrics: Metrics }) {
    this.#log = log;
    this.#decisions = bounded(
      metrics.counter({
        name: 'ambit_policy_decisions_total',
        help: 'Connections decided upon, by what the decision stands on',
        labels: ['policy', 'action', 'reason'],
      }),
    );
    this.#observed = bounded(
      metrics.counter({
        name: 'ambit_policy_dry_run_total',
        help: 'Connections that a policy in dry run, or an AUDIT policy, matched',
        labels: ['policy', 'kind', 'action', 'would_be'],
      }),
    );
    this.#cuts = bounded(
      metrics.counter({
        name: 'ambit_policy_connections_cut_total',
        help: 'Open connections cut because policy came to deny them',
        labels: ['reason'],
      }),
    );
  }

  decided(decision: Decision, workloadUid: string, request: Request): void {
    const { verdict, basis, dryRun, audited, wouldBe } = decision;
    this.#decisions.inc({ policy: policyLabel(decision), action: verdict, reason: basis });
    if (basis === 'policy-unknown') this.#tellUnknown(workloadUid, decision.policies);
    if (dryRun.length === 0 && audited.length === 0 && wouldBe === undefined) return;
    const fields = {
      'src.addr': formatIpPort(request.source),
      'src.identity': request.peer && formatIdentity(request.peer),
      'dst.addr': formatIpPort(request.destination),
      verdict,
    };
    for (const policy of audited) {
      this.#observed.inc({ policy, kind: 'audit', action: verdict, would_be: verdict });
      this.#log.info('An AUDIT policy matched', { ...fields, policy });
    }
    for (const policy of dryRun) {
      const labels = { policy, kind: 'dry_run', action: verdict, would_be: wouldBe ?? verdict };
      this.#observed.inc(labels);
    }
    // an ALLOW in dry run may deny by not matching: that is a finding too
    if (dryRun.length > 0 || (wouldBe !== undefined && wouldBe !== verdict)) {
      this.#log.info('Policies in dry run were evaluated', {
        ...fields,
        policies: dryRun,
        wouldBe: wouldBe ?? verdict,
      });
    }
  }

  /** An open connection was cut by a re-check; `code` says why. */
  cut(code: string): void {
    this.#cuts.inc({ reason: code });
  }

  #tellUnknown(workloadUid: string, policies: readonly string[]): void {
    const key = `${workloadUid} ${policies.join(' ')}`;
    if (this.#told.has(key)) return;
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.add(key);
    this.#log.warn('Refusing connections: policies of the workload are not known', {
      workload: workloadUid,
      policies,
    });
  }
}

/** The policies a decision stands on, for a label or a log field; `-` for none. */
export function policyLabel({ policies }: Pick<Decision, 'policies'>): string {
  if (policies.length === 0) return '-';
  const named = policies.slice(0, MAX_NAMED).join(',');
  return policies.length > MAX_NAMED ? `${named},...` : named;
}

function bounded(counter: Counter): Counter {
  const known = new Set<string>();
  return {
    inc(labels = {}) {
      const key = Object.values(labels).join(' ');
      if (known.has(key)) counter.inc(labels);
      else if (known.size < MAX_SERIES) {
        known.add(key);
        counter.inc(labels);
      } else counter.inc({ ...labels, ...('policy' in labels ? { policy: 'other' } : {}) });
    },
  };
}
