// May this try be repeated? A pure decision, asked by the waypoint when a try has ended, before it asks the retry budget
// and the limit of retries, which take room. Invariant: what the client has begun to receive is never repeated, and
// neither is what the upstream may have acted upon, unless the method or the policy says that twice is as good as once.

import type { RouteRetry } from '../../mesh/route.ts';
import type { RetryCondition, RetryPolicy } from '../../mesh/traffic-policy.ts';
import { type Backoff, backoff } from '../../runtime/backoff.ts';

/** How a try ended. */
export type TryOutcome =
  /** No connection: the upstream has seen nothing. */
  | { readonly kind: 'connect-failure' }
  /** HTTP/2 says that the stream was not processed (REFUSED_STREAM, or above a GOAWAY's last stream). */
  | { readonly kind: 'refused-stream' }
  /** The connection or stream broke before a whole response head. */
  | { readonly kind: 'reset' }
  /** The time of one try was up. */
  | { readonly kind: 'per-try-timeout' }
  /** `grpcStatus`: where the head carries it already (a response of trailers only). */
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly grpcStatus: number | undefined;
    };

export type RetryQuestion = {
  readonly policy: RetryPolicy;
  readonly method: string;
  /** The codes stand in a route: its author's word that what is answered so may be repeated. */
  readonly codesOfRoute: boolean;
  readonly outcome: TryOutcome;
  /** Whether a byte of the request may have reached the upstream's application. */
  readonly sent: boolean;
  /** The client has the response's head: there is no way back. */
  readonly responseForwarded: boolean;
  /** All of the body that was sent is still here, and nothing of it was given up. */
  readonly bodyReplayable: boolean;
  /** The first included. */
  readonly triesMade: number;
  /** undefined: no deadline. */
  readonly remainingMs: number | undefined;
  /** The wait before the next try. */
  readonly waitMs: number;
};

export type RetryDecision =
  | { readonly retry: true; readonly because: RetryCondition | number }
  | { readonly retry: false; readonly reason: NoRetry };

export type NoRetry =
  | 'response-forwarded'
  /** The policy's conditions do not name this outcome; a success is one of them. */
  | 'condition'
  | 'attempts'
  | 'body'
  | 'not-idempotent'
  | 'deadline';

// RFC 9110 section 9.2.2
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);

const GRPC_CONDITIONS: ReadonlyMap<number, RetryCondition> = new Map([
  [1, 'cancelled'],
  [4, 'deadline-exceeded'],
  [8, 'resource-exhausted'],
  [13, 'internal'],
  [14, 'unavailable'],
]);

export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

export function decideRetry(question: RetryQuestion): RetryDecision {
  const { policy, outcome, triesMade, remainingMs, waitMs } = question;
  if (question.responseForwarded) return { retry: false, reason: 'response-forwarded' };
  const because = conditionOf(policy, outcome);
  if (because === undefined) return { retry: false, reason: 'condition' };
  if (triesMade > policy.attempts) return { retry: false, reason: 'attempts' };
  if (!question.bodyReplayable) return { retry: false, reason: 'body' };
  if (!mayRepeat(question)) return { retry: false, reason: 'not-idempotent' };
  if (remainingMs !== undefined && remainingMs <= waitMs) {
    return { retry: false, reason: 'deadline' };
  }
  return { retry: true, because };
}

/** Which of the policy's conditions the outcome meets. */
function conditionOf(
  { on, codes }: RetryPolicy,
  outcome: TryOutcome,
): RetryCondition | number | undefined {
  if (outcome.kind === 'response' && codes.includes(outcome.status)) return outcome.status;
  return conditionsMet(outcome).find((condition) => on.includes(condition));
}

/** The field's meaning: `5xx` is also a server that does not answer, `reset` also one that takes too long. */
function conditionsMet(outcome: TryOutcome): readonly RetryCondition[] {
  switch (outcome.kind) {
    case 'connect-failure':
      return ['connect-failure', '5xx', 'gateway-error'];
    case 'refused-stream':
      return ['refused-stream', 'reset', '5xx', 'gateway-error'];
    case 'reset':
      return ['connection-lost', 'reset', '5xx', 'gateway-error'];
    case 'per-try-timeout':
      return ['reset', '5xx', 'gateway-error'];
    case 'response':
      return responseConditions(outcome.status, outcome.grpcStatus);
  }
}

function responseConditions(
  status: number,
  grpcStatus: number | undefined,
): readonly RetryCondition[] {
  const grpc = grpcStatus === undefined ? undefined : GRPC_CONDITIONS.get(grpcStatus);
  if (grpc !== undefined) return [grpc];
  if (status === 502 || status === 503 || status === 504) return ['gateway-error', '5xx'];
  if (status >= 500 && status <= 599) return ['5xx'];
  // the field's meaning of it: conflicts only
  return status === 409 ? ['retriable-4xx'] : [];
}

/**
 * Safe where nothing was done: the upstream never saw it, or said so. A gRPC status that the policy names is its author's
 * word that these calls may be repeated: all of them are POSTs, so the method tells nothing.
 */
function mayRepeat({ policy, method, codesOfRoute, outcome, sent }: RetryQuestion): boolean {
  if (policy.retryNonIdempotent || isIdempotent(method) || !sent) return true;
  if (outcome.kind === 'connect-failure' || outcome.kind === 'refused-stream') return true;
  if (outcome.kind !== 'response') return false;
  if (codesOfRoute && policy.codes.includes(outcome.status)) return true;
  return outcome.grpcStatus !== undefined && GRPC_CONDITIONS.has(outcome.grpcStatus);
}

// For HTTPRoute's `retry`, besides the codes that are written there: whatever happens to the connection (GEP-1731).
const ROUTE_CONDITIONS: readonly RetryCondition[] = [
  'connect-failure',
  'reset',
  'refused-stream',
  'unavailable',
  'cancelled',
];
// Envoy's: the longest wait is ten of the first.
const BACKOFF_GROWTH = 10;

/** A route's own `retry` comes before the policy's conditions; budget and the rest stay the policy's. */
export function retriesOfRoute(retry: RouteRetry | undefined, policy: RetryPolicy): RetryPolicy {
  if (retry === undefined) return policy;
  const { codes, attempts, backoffMs } = retry;
  const own =
    backoffMs === undefined
      ? policy.backoff
      : // what a route says is the least wait
        { minMs: backoffMs, baseMs: backoffMs * 2, maxMs: backoffMs * BACKOFF_GROWTH };
  return { ...policy, attempts, codes, on: ROUTE_CONDITIONS, backoff: own };
}

/** The waits between the tries of one request. */
export function retryWaits({ backoff: waits }: RetryPolicy, random: () => number): Backoff {
  const { minMs, baseMs, maxMs } = waits;
  return backoff({ initialMs: baseMs, maxMs, minMs, jitter: 'full' }, random);
}
