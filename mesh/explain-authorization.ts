// Why a connection is, or would be, let in: every policy that was considered, whether it matched, and what of it did not.
// Called by the cli (`explain`, `authz check`) with the snapshot of an agent. Shares decision and matcher with the data
// path (authorize.ts, policy-match.ts), so that what is explained is what happens. Pure.

import { authorize, type Decision } from './authorize.ts';
import { formatCidr } from './cidr.ts';
import {
  type AuthorizationPolicy,
  type Cidr,
  isEnforced,
  type PolicyClause,
  type PolicyMatch,
  policyKey,
  type ServiceAccountMatch,
  type StringMatch,
  standsForPeerAuthentication,
} from './policy.ts';
import {
  clauseMatches,
  firstMismatch,
  type PolicyField,
  policyMatches,
  type Request,
  type Subject,
  subjectOf,
} from './policy-match.ts';

/** A field that kept a rule from matching. */
export type FieldMiss = {
  /** `empty`: the match asks nothing that can be evaluated at this layer, so it never matches. */
  readonly field: PolicyField | 'empty';
  /** The values of the policy, in the words of an AuthorizationPolicy (`shop*`, `10.0.0.0/8`). */
  readonly wanted: readonly string[];
  /** What the connection has. */
  readonly actual: string;
};

export type RuleExplanation =
  | { readonly matched: true }
  | {
      readonly matched: false;
      /** Which clause (from, to, and each when, in this order, as far as they were given) failed first. */
      readonly clause: number;
      /** The first mismatch of each of the clause's alternatives: to meet one of them suffices. */
      readonly misses: readonly FieldMiss[];
    };

export type PolicyExplanation = {
  /** `namespace/name`. */
  readonly policy: string;
  readonly action: AuthorizationPolicy['action'];
  readonly scope: AuthorizationPolicy['scope'];
  /** False for dry run and AUDIT: reported only. */
  readonly enforced: boolean;
  readonly matched: boolean;
  /** It is one of those the verdict rests on. */
  readonly decides: boolean;
  /** One for each rule; none means that the policy never matches. */
  readonly rules: readonly RuleExplanation[];
  /** What would have to change for the verdict to be another as far as this policy goes; undefined if nothing. */
  readonly change: string | undefined;
};

export type AuthorizationExplanation = {
  readonly decision: Decision;
  /** In the order they are considered: DENY, ALLOW, then those that are only reported. */
  readonly policies: readonly PolicyExplanation[];
};

/** `policies` and `unknown` as for {@link authorize}: Snapshot.policiesFor and unknownPoliciesOf. */
export function explainAuthorization(
  policies: readonly AuthorizationPolicy[],
  request: Request,
  unknown: readonly string[] = [],
): AuthorizationExplanation {
  const decision = authorize(policies, request, unknown);
  const subject = subjectOf(request);
  return {
    decision,
    policies: policies
      .toSorted((a, b) => rank(a) - rank(b))
      .map((policy) => explainPolicy(policy, subject, decision)),
  };
}

function rank(policy: AuthorizationPolicy): number {
  if (!isEnforced(policy)) return 2;
  return policy.action === 'deny' ? 0 : 1;
}

function explainPolicy(
  policy: AuthorizationPolicy,
  subject: Subject,
  decision: Decision,
): PolicyExplanation {
  const key = policyKey(policy);
  const rules = policy.rules.map(({ clauses }) => explainRule(clauses, subject));
  const decides = isEnforced(policy) && decision.policies.includes(key);
  return {
    policy: key,
    action: policy.action,
    scope: policy.scope,
    enforced: isEnforced(policy),
    matched: policyMatches(policy, subject),
    decides,
    rules,
    change: decides && decision.verdict === 'deny' ? changeOf(policy, rules, subject) : undefined,
  };
}

function explainRule(clauses: readonly PolicyClause[], subject: Subject): RuleExplanation {
  const clause = clauses.findIndex((one) => !clauseMatches(one, subject));
  const failed = clauses[clause];
  if (failed === undefined) return { matched: true };
  return {
    matched: false,
    clause,
    misses: failed.matches.flatMap((match) => missOf(match, subject) ?? []),
  };
}

function missOf(match: PolicyMatch, subject: Subject): FieldMiss | undefined {
  const field = firstMismatch(match, subject);
  if (field === undefined) return undefined;
  if (field === 'empty') return { field, wanted: [], actual: '' };
  return { field, wanted: (match[field] ?? []).map(wordOf), actual: actualOf(field, subject) };
}

/** A value as it is written in an AuthorizationPolicy. */
function wordOf(value: StringMatch | Cidr | ServiceAccountMatch | number): string {
  if (typeof value === 'number') return String(value);
  if ('serviceAccount' in value) return `${value.namespace}/${value.serviceAccount}`;
  if ('ip' in value) return formatCidr(value);
  switch (value.kind) {
    case 'presence':
      return '*';
    case 'exact':
      return value.value;
    case 'prefix':
      return `${value.value}*`;
    case 'suffix':
      return `*${value.value}`;
  }
}

const NO_IDENTITY = 'none (plain text)';

function actualOf(field: PolicyField, subject: Subject): string {
  switch (field) {
    case 'principals':
    case 'notPrincipals':
      return subject.principal === '' ? NO_IDENTITY : subject.principal;
    case 'namespaces':
    case 'notNamespaces':
      return subject.namespace === '' ? NO_IDENTITY : subject.namespace;
    case 'serviceAccounts':
    case 'notServiceAccounts':
      return subject.peer === undefined
        ? NO_IDENTITY
        : `${subject.peer.namespace}/${subject.peer.serviceAccount}`;
    case 'sourceIps':
    case 'notSourceIps':
      return subject.sourceIp;
    case 'destinationIps':
    case 'notDestinationIps':
      return subject.destinationIp;
    case 'destinationPorts':
    case 'notDestinationPorts':
      return String(subject.port);
  }
}

const FIELD_NAMES: Readonly<Record<PolicyField, string>> = {
  principals: "the caller's principal",
  notPrincipals: "the caller's principal",
  namespaces: "the caller's namespace",
  notNamespaces: "the caller's namespace",
  serviceAccounts: "the caller's service account",
  notServiceAccounts: "the caller's service account",
  sourceIps: "the caller's address",
  notSourceIps: "the caller's address",
  destinationIps: "the destination's address",
  notDestinationIps: "the destination's address",
  destinationPorts: "the destination's port",
  notDestinationPorts: "the destination's port",
};

/** A miss in a sentence: what would have to be different for this alternative of the rule to match. */
export function describeMiss({ field, wanted, actual }: FieldMiss): string {
  if (field === 'empty') return 'the rule asks for something that only a waypoint can evaluate';
  const negated = field.startsWith('not');
  return `${FIELD_NAMES[field]} must ${negated ? 'not be' : 'be'} ${wanted.join(' or ')}, but is ${actual}`;
}

/** What of the policy, or of the caller, has to change so that the policy does not deny. */
function changeOf(
  policy: AuthorizationPolicy,
  rules: readonly RuleExplanation[],
  subject: Subject,
): string {
  if (policy.action === 'deny') {
    if (standsForPeerAuthentication(policy.name)) {
      return 'The caller must be in the mesh and use mutual TLS, or a PeerAuthentication must set PERMISSIVE for this port';
    }
    const rule = rules.findIndex(({ matched }) => matched);
    const who = subject.principal === '' ? 'plain text' : subject.principal;
    return `Rule ${rule} of ${policyKey(policy)} must no longer match ${who} from ${subject.sourceIp} to port ${subject.port}`;
  }
  if (rules.length === 0) return `${policyKey(policy)} has no rule that could allow anything`;
  const ways = rules.map((rule, index) =>
    rule.matched ? '' : `rule ${index}: ${rule.misses.map(describeMiss).join(', or ')}`,
  );
  return `For ${policyKey(policy)} to allow it, ${ways.filter((way) => way !== '').join('; or ')}`;
}
