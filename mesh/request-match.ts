// Does a rule hold for a request? The one matcher behind decisions and explanations (authorize-request.ts,
// explain-request.ts). Pure. Some questions have no plain answer: an expression that fails, a header that came twice with
// two values. So each is asked in one of two ways, and the policy says which: ALLOW what *surely* matches, DENY what
// *possibly* does.

import { inCidr } from './cidr.ts';
import type { HttpClause, HttpPolicy, PathPattern, PolicyTest } from './http-policy.ts';
import { templateMatches } from './path-template.ts';
import type { ServiceAccountMatch, StringMatch } from './policy.ts';
import { claimTexts } from './request-authentication.ts';
import type { RequestFacts, RequestSubject } from './request-subject.ts';

export type Certainty = 'surely' | 'possibly';

/** A CEL expression over a request; undefined: it has no value for this one. */
export type ConditionEvaluator = (expression: string, facts: RequestFacts) => boolean | undefined;

/** Of an AUDIT no more is reported than its author asked for. */
export function certaintyOf(action: HttpPolicy['action']): Certainty {
  return action === 'deny' || action === 'custom' ? 'possibly' : 'surely';
}

/** The first of the policy's rules that holds, by its index; undefined: none. */
export function matchingRule(
  policy: HttpPolicy,
  subject: RequestSubject,
  evaluate: ConditionEvaluator,
): number | undefined {
  const certainty = certaintyOf(policy.action);
  const index = policy.rules.findIndex(({ clauses }) =>
    clauses.every((clause) => clauseHolds(clause, subject, certainty, evaluate)),
  );
  return index < 0 ? undefined : index;
}

export function clauseHolds(
  { anyOf }: HttpClause,
  subject: RequestSubject,
  certainty: Certainty,
  evaluate: ConditionEvaluator,
): boolean {
  return anyOf.some((tests) =>
    tests.every((test) => testHolds(test, subject, certainty, evaluate)),
  );
}

export function testHolds(
  test: PolicyTest,
  subject: RequestSubject,
  certainty: Certainty,
  evaluate: ConditionEvaluator,
): boolean {
  if (test.attribute === 'unreadable') return certainty === 'possibly';
  // surely none of them is: not even possibly one
  const asked = test.not ? opposite(certainty) : certainty;
  return anyHolds(test, subject, asked, evaluate) !== test.not;
}

type ReadableTest = Exclude<PolicyTest, { readonly attribute: 'unreadable' }>;

function anyHolds(
  test: ReadableTest,
  subject: RequestSubject,
  certainty: Certainty,
  evaluate: ConditionEvaluator,
): boolean {
  const { facts, peer, remoteIp, texts } = subject;
  switch (test.attribute) {
    case 'request.path':
      return test.values.some((pattern) => pathMatches(pattern, facts.request.path));
    case 'request.header':
      return headerHolds(test.name, test.values, facts, certainty);
    case 'request.auth.claim': {
      const found = claimTexts(facts.token?.claims ?? {}, test.path);
      return test.values.some((match) => found.some((text) => textMatches(match, text)));
    }
    case 'source.serviceAccount':
      return test.values.some(
        ({ namespace, serviceAccount }: ServiceAccountMatch) =>
          peer?.namespace === namespace && peer.serviceAccount === serviceAccount,
      );
    case 'source.ip':
      return test.values.some((range) => inCidr(facts.source.ip, range));
    case 'remote.ip':
      if (remoteIp === undefined) return certainty === 'possibly';
      return test.values.some((range) => inCidr(remoteIp, range));
    case 'destination.ip':
      return test.values.some((range) => inCidr(facts.destination.ip, range));
    case 'destination.port':
      return test.values.includes(facts.destination.port);
    case 'cel':
      return test.values.some((text) => evaluate(text, facts) ?? certainty === 'possibly');
    case 'request.host':
      return test.values.some((match) =>
        texts['request.host'].some((text) => textMatches(lowerCase(match), text)),
      );
    case 'connection.sni':
      return test.values.some((match) =>
        texts['connection.sni'].some((text) => textMatches(lowerCase(match), text)),
      );
    default: {
      const found = texts[test.attribute];
      return test.values.some((match) => found.some((text) => textMatches(match, text)));
    }
  }
}

/**
 * A header may come in several lines, and a line may be a list: which of them the application goes by is not known here.
 * It surely matches when all its lines do; possibly, when any line, any member of the list, or all as one do.
 */
function headerHolds(
  name: string,
  values: readonly StringMatch[],
  { request }: RequestFacts,
  certainty: Certainty,
): boolean {
  const lines = request.headers.filter(([key]) => key === name).map(([, value]) => value);
  if (lines.length === 0) return false;
  const matches = (text: string): boolean => values.some((match) => textMatches(match, text));
  if (certainty === 'surely') return lines.every(matches);
  const joined = lines.join(',');
  const members = joined.split(',').map((member) => member.trim());
  return (
    [...lines, joined, ...members].some(matches) || values.some(({ kind }) => kind === 'presence')
  );
}

function lowerCase(match: StringMatch): StringMatch {
  return match.kind === 'presence' ? match : { ...match, value: match.value.toLowerCase() };
}

function pathMatches(pattern: PathPattern, path: string): boolean {
  return pattern.kind === 'template'
    ? templateMatches(pattern.value, path)
    : textMatches(pattern, path);
}

function textMatches(match: StringMatch, value: string): boolean {
  switch (match.kind) {
    case 'exact':
      return value === match.value;
    case 'prefix':
      return value.startsWith(match.value);
    case 'suffix':
      return value.endsWith(match.value);
    case 'presence':
      return value !== '';
  }
}

function opposite(certainty: Certainty): Certainty {
  return certainty === 'surely' ? 'possibly' : 'surely';
}
