// L7 policy: may this request go on? Evaluated in the reference's order: CUSTOM, DENY, ALLOW. Called by the waypoint for
// each request (waypoint/auth/request-auth.ts), and by explain-request.ts for people who ask why. Pure: where somebody
// else decides, the decision says whom to ask, and is made again with the answer.

import { type ExternalAuthorizer, type HttpPolicy, isEnforcedOnRequests } from './http-policy.ts';
import { policyKey } from './policy.ts';
import { type ConditionEvaluator, matchingRule } from './request-match.ts';
import { type RequestFacts, type RequestSubject, requestSubjectOf } from './request-subject.ts';

/** On what a decision stands; a bounded word for metrics and the log. */
export type RequestBasis =
  /** No ALLOW policy applies, so everything no DENY matches is allowed. */
  | 'no-allow-policy'
  | 'allowed-by-policy'
  | 'denied-by-policy'
  /** ALLOW policies apply, and none of them matched. */
  | 'not-allowed'
  /** A CUSTOM policy matches, and its provider is not known. */
  | 'provider-unknown'
  /** A CUSTOM policy matches: its provider has to be asked. */
  | 'external';

type Because = {
  readonly basis: RequestBasis;
  /**
   * `namespace/name` of the policies the verdict rests on: the one that denied, allowed or asks; all the ALLOW policies
   * that did not match. Empty when no policy had a say.
   */
  readonly policies: readonly string[];
  /** Which of its rules, counted from 0; undefined when none matched. */
  readonly rule: number | undefined;
  readonly reason: string;
};

export type RequestVerdict = 'allow' | 'deny' | 'ask';

type Judged = Because &
  (
    | { readonly verdict: 'allow' | 'deny' }
    | { readonly verdict: 'ask'; readonly provider: ExternalAuthorizer }
  );

type Observed = {
  /** Policies in dry run that matched. */
  readonly dryRun: readonly string[];
  /** AUDIT policies that matched. */
  readonly audited: readonly string[];
  /** The verdict if the policies in dry run were enforced; undefined when there are none. */
  readonly wouldBe: RequestVerdict | undefined;
};

export type RequestDecision = Judged & Observed;

export type RequestDecisionParts = {
  readonly evaluate: ConditionEvaluator;
  /** Names of providers that were asked about this request and let it pass. */
  readonly passed?: ReadonlySet<string>;
};

/** `policies`: those that hold where the request is (AttachedPolicies.of). */
export function authorizeRequest(
  policies: readonly HttpPolicy[],
  facts: RequestFacts,
  parts: RequestDecisionParts,
): RequestDecision {
  const subject = requestSubjectOf(facts);
  return { ...judge(policies, subject, parts), ...observe(policies, subject, parts) };
}

function judge(
  policies: readonly HttpPolicy[],
  subject: RequestSubject,
  { evaluate, passed }: RequestDecisionParts,
): Judged {
  const enforced = policies.filter(isEnforcedOnRequests);
  for (const policy of enforced) {
    if (policy.action !== 'custom' || passed?.has(policy.provider.name) === true) continue;
    const rule = matchingRule(policy, subject, evaluate);
    if (rule !== undefined) return question(policy, rule);
  }
  for (const policy of enforced) {
    if (policy.action !== 'deny') continue;
    const rule = matchingRule(policy, subject, evaluate);
    if (rule === undefined) continue;
    const key = policyKey(policy);
    const reason = `explicitly denied by: ${key}, rule ${rule}`;
    return { verdict: 'deny', basis: 'denied-by-policy', policies: [key], rule, reason };
  }
  const allowing = enforced.filter(({ action }) => action === 'allow');
  if (allowing.length === 0) {
    const reason = 'no allow policy applies';
    return { verdict: 'allow', basis: 'no-allow-policy', policies: [], rule: undefined, reason };
  }
  for (const policy of allowing) {
    const rule = matchingRule(policy, subject, evaluate);
    if (rule === undefined) continue;
    const key = policyKey(policy);
    const reason = `allowed by: ${key}, rule ${rule}`;
    return { verdict: 'allow', basis: 'allowed-by-policy', policies: [key], rule, reason };
  }
  return {
    verdict: 'deny',
    basis: 'not-allowed',
    policies: allowing.map(policyKey),
    rule: undefined,
    reason: 'allow policies exist, but none allowed',
  };
}

function question(policy: HttpPolicy & { readonly action: 'custom' }, rule: number): Judged {
  const { provider } = policy;
  const key = policyKey(policy);
  if ('why' in provider) {
    const reason = `${key}, rule ${rule}, leaves it to ${provider.name}, which cannot be asked: ${provider.why}`;
    return { verdict: 'deny', basis: 'provider-unknown', policies: [key], rule, reason };
  }
  const reason = `${key}, rule ${rule}, leaves it to ${provider.name}`;
  return { verdict: 'ask', basis: 'external', policies: [key], rule, reason, provider };
}

const NOTHING: readonly string[] = [];
const UNOBSERVED: Observed = { dryRun: NOTHING, audited: NOTHING, wouldBe: undefined };

function observe(
  policies: readonly HttpPolicy[],
  subject: RequestSubject,
  parts: RequestDecisionParts,
): Observed {
  if (policies.every(isEnforcedOnRequests)) return UNOBSERVED;
  const matching = policies.filter(
    (policy) =>
      !isEnforcedOnRequests(policy) && matchingRule(policy, subject, parts.evaluate) !== undefined,
  );
  const decisive = policies.filter(({ action }) => action !== 'audit');
  return {
    dryRun: matching.filter(({ dryRun }) => dryRun).map(policyKey),
    audited: matching.filter(({ dryRun }) => !dryRun).map(policyKey),
    wouldBe: decisive.every(isEnforcedOnRequests)
      ? undefined
      : judge(
          decisive.map((policy) => ({ ...policy, dryRun: false })),
          subject,
          parts,
        ).verdict,
  };
}
