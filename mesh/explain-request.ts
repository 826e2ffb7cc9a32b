// Why a request is, or would be, let in: every policy that was considered, whether it matched, and what of it did not.
// Called by a waypoint's admin door and the cli. Shares decision and matcher with the data path (authorize-request.ts,
// request-match.ts), so that what is explained is what happens. Pure.

import {
  authorizeRequest,
  type RequestDecision,
  type RequestDecisionParts,
} from './authorize-request.ts';
import { formatCidr } from './cidr.ts';
import {
  type HttpClause,
  type HttpPolicy,
  isEnforcedOnRequests,
  type PathPattern,
  type PolicyTest,
} from './http-policy.ts';
import { type Cidr, policyKey, type ServiceAccountMatch } from './policy.ts';
import { claimTexts } from './request-authentication.ts';
import {
  type Certainty,
  type ConditionEvaluator,
  certaintyOf,
  clauseHolds,
  matchingRule,
  testHolds,
} from './request-match.ts';
import { type RequestFacts, type RequestSubject, requestSubjectOf } from './request-subject.ts';

/** A test that kept a rule from matching. */
export type TestMiss = {
  /** In the words of a condition: `request.headers[x-role]`, `source.principal`. */
  readonly attribute: string;
  readonly not: boolean;
  /** The values of the policy, in the words of an AuthorizationPolicy (`shop*`, `10.0.0.0/8`). */
  readonly wanted: readonly string[];
  /** What the request has. */
  readonly actual: string;
};

export type HttpRuleExplanation =
  | { readonly matched: true }
  | {
      readonly matched: false;
      /** The first that failed: `from`, `to` or `when`. */
      readonly part: HttpClause['part'];
      /** The first miss of each of its alternatives: to meet one of them suffices. */
      readonly misses: readonly TestMiss[];
    };

export type HttpPolicyExplanation = {
  /** `namespace/name`. */
  readonly policy: string;
  readonly action: HttpPolicy['action'];
  /** False for dry run and AUDIT: reported only. */
  readonly enforced: boolean;
  readonly matched: boolean;
  /** It is one of those the verdict rests on. */
  readonly decides: boolean;
  /** One for each rule; none means that the policy never matches. */
  readonly rules: readonly HttpRuleExplanation[];
  /** What would have to change for the verdict to be another as far as this policy goes; undefined if nothing. */
  readonly change: string | undefined;
};

export type RequestExplanation = {
  readonly decision: RequestDecision;
  /** In the order they are considered: CUSTOM, DENY, ALLOW, then those that are only reported. */
  readonly policies: readonly HttpPolicyExplanation[];
};

export function explainRequest(
  policies: readonly HttpPolicy[],
  facts: RequestFacts,
  parts: RequestDecisionParts,
): RequestExplanation {
  const decision = authorizeRequest(policies, facts, parts);
  const subject = requestSubjectOf(facts);
  return {
    decision,
    policies: policies
      .toSorted((a, b) => rank(a) - rank(b))
      .map((policy) => explainPolicy(policy, subject, decision, parts.evaluate)),
  };
}

const RANKS = { custom: 0, deny: 1, allow: 2, audit: 3 } as const;

function rank(policy: HttpPolicy): number {
  return isEnforcedOnRequests(policy) ? RANKS[policy.action] : RANKS.audit;
}

function explainPolicy(
  policy: HttpPolicy,
  subject: RequestSubject,
  decision: RequestDecision,
  evaluate: ConditionEvaluator,
): HttpPolicyExplanation {
  const key = policyKey(policy);
  const certainty = certaintyOf(policy.action);
  const rules = policy.rules.map(({ clauses }) =>
    explainRule(clauses, subject, certainty, evaluate),
  );
  const enforced = isEnforcedOnRequests(policy);
  const decides = enforced && decision.policies.includes(key);
  return {
    policy: key,
    action: policy.action,
    enforced,
    matched: matchingRule(policy, subject, evaluate) !== undefined,
    decides,
    rules,
    change: decides && decision.verdict === 'deny' ? changeOf(policy, rules, subject) : undefined,
  };
}

function explainRule(
  clauses: readonly HttpClause[],
  subject: RequestSubject,
  certainty: Certainty,
  evaluate: ConditionEvaluator,
): HttpRuleExplanation {
  const failed = clauses.find((clause) => !clauseHolds(clause, subject, certainty, evaluate));
  if (failed === undefined) return { matched: true };
  return {
    matched: false,
    part: failed.part,
    misses: failed.anyOf.flatMap((tests) => {
      const missed = tests.find((test) => !testHolds(test, subject, certainty, evaluate));
      return missed === undefined ? [] : [missOf(missed, subject)];
    }),
  };
}

function missOf(test: PolicyTest, subject: RequestSubject): TestMiss {
  if (test.attribute === 'unreadable') {
    return { attribute: test.attribute, not: false, wanted: [test.why], actual: '' };
  }
  return {
    attribute: attributeName(test),
    not: test.not,
    wanted: test.values.map(wordOf),
    actual: actualOf(test, subject),
  };
}

function attributeName(test: PolicyTest): string {
  switch (test.attribute) {
    case 'request.header':
      return `request.headers[${test.name}]`;
    case 'request.auth.claim':
      return `request.auth.claims${test.path.map((name) => `[${name}]`).join('')}`;
    default:
      return test.attribute;
  }
}

/** A value as it is written in an AuthorizationPolicy. */
function wordOf(value: PathPattern | Cidr | ServiceAccountMatch | number | string): string {
  if (typeof value !== 'object') return String(value);
  if ('serviceAccount' in value) return `${value.namespace}/${value.serviceAccount}`;
  if ('ip' in value) return formatCidr(value);
  switch (value.kind) {
    case 'presence':
      return '*';
    case 'exact':
    case 'template':
      return value.value;
    case 'prefix':
      return `${value.value}*`;
    case 'suffix':
      return `*${value.value}`;
  }
}

// oxlint-disable-next-line complexity -- one case an attribute
function actualOf(
  test: Exclude<PolicyTest, { attribute: 'unreadable' }>,
  subject: RequestSubject,
): string {
  const { facts, peer, remoteIp, texts } = subject;
  switch (test.attribute) {
    case 'request.path':
      return facts.request.path;
    case 'request.header':
      return linesOf(facts.request, test.name);
    case 'request.auth.claim':
      return listed(claimTexts(facts.token?.claims ?? {}, test.path), facts);
    case 'request.auth.principal':
    case 'request.auth.audiences':
    case 'request.auth.presenter':
      return listed(texts[test.attribute], facts);
    case 'source.serviceAccount':
      return peer === undefined ? NO_IDENTITY : `${peer.namespace}/${peer.serviceAccount}`;
    case 'source.principal':
    case 'source.namespace':
      return texts[test.attribute][0] ?? NO_IDENTITY;
    case 'source.ip':
      return facts.source.ip;
    case 'remote.ip':
      return remoteIp ?? 'not an address (X-Forwarded-For)';
    case 'destination.ip':
      return facts.destination.ip;
    case 'destination.port':
      return String(facts.destination.port);
    case 'cel':
      return 'false';
    default:
      return texts[test.attribute][0] ?? 'absent';
  }
}

const NO_IDENTITY = 'none (plain text)';

function linesOf(request: RequestFacts['request'], name: string): string {
  const lines = request.headers.filter(([key]) => key === name);
  return lines.length === 0 ? 'absent' : lines.map(([, value]) => `"${value}"`).join(' and ');
}

function listed(values: readonly string[], { token }: RequestFacts): string {
  if (token === undefined) return 'none (no valid token)';
  return values.length === 0 ? 'absent' : values.join(' and ');
}

/** A miss in a sentence: what would have to be different for this alternative of the rule to match. */
export function describeTestMiss({ attribute, not, wanted, actual }: TestMiss): string {
  if (attribute === 'unreadable')
    return `the rule has a part that cannot be read (${wanted.join()})`;
  if (attribute === 'cel') return `${wanted.join(' or ')} must ${not ? 'not ' : ''}hold`;
  return `${attribute} must ${not ? 'not be' : 'be'} ${wanted.join(' or ')}, but is ${actual}`;
}

/** What of the policy, or of the request, has to change so that the policy does not deny. */
function changeOf(
  policy: HttpPolicy,
  rules: readonly HttpRuleExplanation[],
  { facts, texts }: RequestSubject,
): string {
  const key = policyKey(policy);
  if (policy.action === 'custom') {
    return `Provider ${policy.provider.name} of ${key} must be one that can be asked`;
  }
  if (policy.action === 'deny') {
    const rule = rules.findIndex(({ matched }) => matched);
    const { request } = facts;
    const who = texts['source.principal'][0] ?? 'plain text';
    return `Rule ${rule} of ${key} must no longer match ${request.method} ${request.path} from ${who}`;
  }
  if (rules.length === 0) return `${key} has no rule that could allow anything`;
  const ways = rules.map((rule, index) =>
    rule.matched ? '' : `rule ${index}: ${rule.misses.map(describeTestMiss).join(', or ')}`,
  );
  return `For ${key} to allow it, ${ways.filter((way) => way !== '').join('; or ')}`;
}
