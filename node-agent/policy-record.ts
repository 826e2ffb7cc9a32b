// What policy did, for people: counts of decisions by the policy that made them, and of what dry run and AUDIT saw. Called
// by decide.ts for each new connection and by app.ts when open ones are cut. Invariant: however many policies come and
// go, the series stay bounded.

import { formatIpPort } from '../mesh/address.ts';
import type { Decision, Request } from '../mesh/authorize.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { LabelCounts } from '../runtime/label-counts.ts';
import type { Log } from '../runtime/log.ts';
import type { Labels, Metrics } from '../runtime/metrics.ts';

/** All the ALLOW policies of a default denial are named, but a label is no list: the first few say enough. */
const MAX_NAMED = 3;
/** Workloads whose unknown policies were told of; a node has some hundred pods. */
const MAX_TOLD = 1000;

export class PolicyRecord {
  readonly #log: Log;
  readonly #decisions: LabelCounts;
  readonly #observed: LabelCounts;
  readonly #cuts: LabelCounts;
  readonly #told = new Set<string>();

  constructor(parts: {
    readonly log: Log;
    readonly metrics: Metrics;
    readonly clock: Clock;
  }) {
    this.#log = parts.log;
    const counter = (name: string, help: string, labels: readonly string[]): LabelCounts => {
      const counts = new LabelCounts(parts, OTHER);
      parts.metrics.collectedCounter({ name, help, labels }, () => counts.samples());
      return counts;
    };
    this.#decisions = counter(
      'ambit_policy_decisions_total',
      'Connections decided upon, by what the decision stands on',
      ['policy', 'action', 'reason'],
    );
    this.#observed = counter(
      'ambit_policy_dry_run_total',
      'Connections that a policy in dry run, or an AUDIT policy, matched',
      ['policy', 'kind', 'action', 'would_be'],
    );
    this.#cuts = counter(
      'ambit_policy_connections_cut_total',
      'Open connections cut because policy came to deny them',
      ['reason'],
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

/** Policies made anew under ever new names must not grow the exposition for ever. */
const OTHER = {
  beyond: (labels: Labels): Labels => ({
    ...labels,
    ...('policy' in labels ? { policy: 'other' } : {}),
  }),
};
