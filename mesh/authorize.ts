// The only place that says yes: L4 policy of the destination, evaluated in the reference's order. Called by
// node-agent/inbound.ts and passthrough.ts for each connection, again for the open ones when policy changes, and by
// explain-authorization.ts for people who ask why. Pure.

import { type AuthorizationPolicy, isEnforced, policyKey } from './policy.ts';
import { policyMatches, type Request, type Subject, subjectOf } from './policy-match.ts';

export type { Request } from './policy-match.ts';

/** On what a decision stands; a bounded word for metrics and the log. */
export type DecisionBasis =
  /** No ALLOW policy applies, so everything no DENY matches is allowed. */
  | 'no-allow-policy'
  | 'allowed-by-policy'
  | 'denied-by-policy'
  /** ALLOW policies apply, and none of them matched. */
  | 'not-allowed'
  /** The workload names a policy that is not known: what it would say nobody can tell. */
  | 'policy-unknown';

export type Decision = {
  readonly verdict: 'allow' | 'deny';
  readonly basis: DecisionBasis;
  /**
   * `namespace/name` of the policies the verdict rests on: the one that denied or allowed; all the ALLOW policies that
   * did not match; the unknown ones. Empty when no policy had a say.
   */
  readonly policies: readonly string[];
  readonly reason: string;
  /** Policies in dry run that matched. */
  readonly dryRun: readonly string[];
  /** AUDIT policies that matched. */
  readonly audited: readonly string[];
  /** The verdict if the policies in dry run were enforced; undefined when there are none. */
  readonly wouldBe: Decision['verdict'] | undefined;
};

/** What the caller's side says of a connection that leaves: policy is the destination's business. */
export const LEFT_TO_DESTINATION: Decision = {
  verdict: 'allow',
  basis: 'no-allow-policy',
  policies: [],
  reason: 'the destination decides',
  dryRun: [],
  audited: [],
  wouldBe: undefined,
};

/**
 * Order: a matching DENY denies; an unknown policy denies; without any ALLOW everything is allowed; a matching ALLOW
 * allows; else denied. Policies in dry run and AUDIT policies are only reported.
 *
 * @param unknown names of policies that hold for the destination but are not known: Snapshot.unknownPoliciesOf
 */
export function authorize(
  policies: readonly AuthorizationPolicy[],
  request: Request,
  unknown: readonly string[] = [],
): Decision {
  const subject = subjectOf(request);
  return { ...judge(policies, subject, unknown), ...observe(policies, subject, unknown) };
}

type Verdict = Pick<Decision, 'verdict' | 'basis' | 'policies' | 'reason'>;

function judge(
  policies: readonly AuthorizationPolicy[],
  subject: Subject,
  unknown: readonly string[],
): Verdict {
  const denying = policies.find(
    (policy) => policy.action === 'deny' && isEnforced(policy) && policyMatches(policy, subject),
  );
  if (denying !== undefined) {
    const policy = policyKey(denying);
    const reason = `explicitly denied by: ${policy}`;
    return { verdict: 'deny', basis: 'denied-by-policy', policies: [policy], reason };
  }
  if (unknown.length > 0) {
    const reason = `policies of the workload are not known: ${unknown.join(', ')}`;
    return { verdict: 'deny', basis: 'policy-unknown', policies: unknown, reason };
  }
  const allowing = policies.filter((policy) => policy.action === 'allow' && isEnforced(policy));
  if (allowing.length === 0) {
    const reason = 'no allow policy applies';
    return { verdict: 'allow', basis: 'no-allow-policy', policies: [], reason };
  }
  const allowed = allowing.find((policy) => policyMatches(policy, subject));
  if (allowed === undefined) {
    const reason = 'allow policies exist, but none allowed';
    return { verdict: 'deny', basis: 'not-allowed', policies: allowing.map(policyKey), reason };
  }
  const policy = policyKey(allowed);
  const reason = `allowed by: ${policy}`;
  return { verdict: 'allow', basis: 'allowed-by-policy', policies: [policy], reason };
}

const NOTHING: readonly string[] = [];
const UNOBSERVED = { dryRun: NOTHING, audited: NOTHING, wouldBe: undefined } as const;

function observe(
  policies: readonly AuthorizationPolicy[],
  subject: Subject,
  unknown: readonly string[],
): Pick<Decision, 'dryRun' | 'audited' | 'wouldBe'> {
  if (policies.every(isEnforced)) return UNOBSERVED;
  const matching = policies.filter(
    (policy) => !isEnforced(policy) && policyMatches(policy, subject),
  );
  const isAudit = ({ action }: AuthorizationPolicy): boolean => action === 'audit';
  const decisive = policies.filter((policy) => !isAudit(policy));
  return {
    dryRun: matching.filter((policy) => policy.dryRun).map(policyKey),
    audited: matching.filter((policy) => isAudit(policy) && !policy.dryRun).map(policyKey),
    wouldBe: decisive.every(isEnforced)
      ? undefined
      : judge(
          decisive.map((policy) => ({ ...policy, dryRun: false })),
          subject,
          unknown,
        ).verdict,
  };
}
