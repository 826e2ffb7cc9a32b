// The gate every request passes: who asks, and may they? Called by the waypoint's serve() with what the snapshot says holds
// for this place. Order: CUSTOM policies that do not ask of the token (their answer may bring it), the token, then CUSTOM,
// DENY and ALLOW. Invariant: it ends in a verdict; only `passed` lets the request go on, as the verdict's own request.

import { authorizeRequest, type RequestDecision } from '../../mesh/authorize-request.ts';
import { type HttpPolicy, readsToken } from '../../mesh/http-policy.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import type { RequestAuthentication, VerifiedToken } from '../../mesh/request-authentication.ts';
import type { ConditionEvaluator } from '../../mesh/request-match.ts';
import type { HeaderChange } from '../../wire/external-authorization.ts';
import { authenticate } from './authenticate.ts';
import type { ExternalAuthorization, Question } from './external-authorization.ts';
import { deniedByPolicy, type Refusal } from './refusal.ts';
import type { TokenVerifier } from './verify-token.ts';

export type GatePolicies = {
  readonly policies: readonly HttpPolicy[];
  readonly authentications: readonly RequestAuthentication[];
};

export type GateParts = {
  readonly verifier: TokenVerifier;
  readonly external: ExternalAuthorization;
  readonly evaluate: ConditionEvaluator;
};

export type GateVerdict =
  | {
      readonly kind: 'passed';
      readonly request: HttpRequest;
      readonly token: VerifiedToken | undefined;
      /** To be made in the answer to the client: applyChanges. */
      readonly answerChanges: readonly HeaderChange[];
      readonly decision: RequestDecision;
    }
  | {
      readonly kind: 'refused';
      readonly refusal: Refusal;
      /** undefined: it did not come to a decision of policy. */
      readonly decision: RequestDecision | undefined;
    };

/** The token in `question.facts` is not looked at. @throws `signal.reason` when the client has gone */
export async function checkRequest(
  { policies, authentications }: GatePolicies,
  question: Question,
  parts: GateParts,
  signal: AbortSignal,
): Promise<GateVerdict> {
  const early = policies.filter((policy) => policy.action === 'custom' && !readsToken(policy));
  const start = { ...question, facts: { ...question.facts, token: undefined } };
  const first = await decide(
    early,
    { question: start, passed: new Set(), changes: [] },
    parts,
    signal,
  );
  if (first.kind === 'refused') return first;
  const { facts } = first.question;
  const known = await authenticate(authentications, facts.request, parts.verifier);
  if (known.kind === 'refused') {
    return { kind: 'refused', refusal: known.refusal, decision: undefined };
  }
  const { request, token } = known;
  const next: Stage = {
    question: { ...first.question, facts: { ...facts, request, token } },
    passed: first.passed,
    changes: first.changes,
  };
  const last = await decide(policies, next, parts, signal);
  if (last.kind === 'refused') return last;
  return {
    kind: 'passed',
    request: last.question.facts.request,
    token,
    answerChanges: last.changes,
    decision: last.decision,
  };
}

type Stage = {
  readonly question: Question;
  /** Names of providers that let it pass. */
  readonly passed: ReadonlySet<string>;
  readonly changes: readonly HeaderChange[];
};
type Decided =
  | ({ readonly kind: 'passed'; readonly decision: RequestDecision } & Stage)
  | (GateVerdict & { readonly kind: 'refused' });

/** Asks providers, one after the other, until nobody is left to be asked. */
async function decide(
  policies: readonly HttpPolicy[],
  stage: Stage,
  parts: GateParts,
  signal: AbortSignal,
): Promise<Decided> {
  const { evaluate, external } = parts;
  const { question, passed, changes } = stage;
  const decision = authorizeRequest(policies, question.facts, { evaluate, passed });
  if (decision.verdict === 'deny') {
    return { kind: 'refused', refusal: deniedByPolicy(decision.reason), decision };
  }
  if (decision.verdict !== 'ask') return { ...stage, kind: 'passed', decision };
  const verdict = await external.ask(decision.provider, question, signal);
  if (verdict.kind === 'refused') {
    const { refusal } = verdict;
    const detail = `${decision.reason}: ${refusal.detail}`;
    return { kind: 'refused', refusal: { ...refusal, detail }, decision };
  }
  const next: Stage = {
    question: { ...question, facts: { ...question.facts, request: verdict.request } },
    passed: new Set([...passed, decision.provider.name]),
    changes: [...changes, ...verdict.answerChanges],
  };
  return decide(policies, next, parts, signal);
}
