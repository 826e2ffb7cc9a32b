// What policy did about requests, for people: counts of decisions by the policy that made them, and of what dry run and
// AUDIT saw. Called by guard.ts for each request. Invariant: however many policies come and go, the series stay bounded.

import type { RequestDecision } from '../../mesh/authorize-request.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import type { RequestFacts } from '../../mesh/request-subject.ts';
import type { Clock } from '../../runtime/clock.ts';
import { LabelCounts } from '../../runtime/label-counts.ts';
import type { Log } from '../../runtime/log.ts';
import type { Labels, Metrics } from '../../runtime/metrics.ts';

/** All the ALLOW policies of a default denial are named, but a label is no list: the first few say enough. */
const MAX_NAMED = 3;

/** Whom it is about. */
export type Judged = Pick<RequestFacts, 'source' | 'request'>;

export class RequestPolicyRecord {
  readonly #log: Log;
  readonly #decisions: LabelCounts;
  readonly #observed: LabelCounts;

  constructor(parts: { readonly log: Log; readonly metrics: Metrics; readonly clock: Clock }) {
    this.#log = parts.log;
    const counter = (name: string, help: string, labels: readonly string[]): LabelCounts => {
      const counts = new LabelCounts(parts, OTHER);
      parts.metrics.collectedCounter({ name, help, labels }, () => counts.samples());
      return counts;
    };
    this.#decisions = counter(
      'ambit_request_policy_decisions_total',
      'Requests decided upon by policy, by what the decision stands on',
      ['policy', 'action', 'reason'],
    );
    this.#observed = counter(
      'ambit_request_policy_dry_run_total',
      'Requests that a policy in dry run, or an AUDIT policy, matched',
      ['policy', 'kind', 'action', 'would_be'],
    );
  }

  decided(decision: RequestDecision, { request, source }: Judged): void {
    const { verdict, basis, dryRun, audited, wouldBe } = decision;
    this.#decisions.inc({ policy: labelOf(decision), action: verdict, reason: basis });
    if (dryRun.length === 0 && audited.length === 0 && wouldBe === undefined) return;
    const fields = {
      'src.ip': source.ip,
      'src.identity': source.identity && formatIdentity(source.identity),
      method: request.method,
      host: request.authority,
      path: request.path,
      verdict,
    };
    for (const policy of audited) {
      this.#observed.inc({ policy, kind: 'audit', action: verdict, would_be: verdict });
      this.#log.info('An AUDIT policy matched', { ...fields, policy });
    }
    for (const policy of dryRun) {
      const would_be = wouldBe ?? verdict;
      this.#observed.inc({ policy, kind: 'dry_run', action: verdict, would_be });
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
}

function labelOf({ policies }: RequestDecision): string {
  if (policies.length === 0) return '-';
  const named = policies.slice(0, MAX_NAMED).join(',');
  return policies.length > MAX_NAMED ? `${named},...` : named;
}

/** Policies made anew under ever new names must not grow the exposition for ever. */
const OTHER = { beyond: (labels: Labels): Labels => ({ ...labels, policy: 'other' }) };
