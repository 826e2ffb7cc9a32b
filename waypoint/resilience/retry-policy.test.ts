import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TRAFFIC_POLICY } from '../../mesh/traffic-defaults.ts';
import type { RetryCondition, RetryPolicy } from '../../mesh/traffic-policy.ts';
import {
  decideRetry,
  type RetryQuestion,
  retriesOfRoute,
  retryWaits,
  type TryOutcome,
} from './retry-policy.ts';

const DEFAULTS = DEFAULT_TRAFFIC_POLICY.retries;
const on = (...conditions: RetryCondition[]): RetryPolicy => ({
  ...DEFAULTS,
  on: conditions,
  codes: [],
});
const answer = (status: number, grpcStatus?: number): TryOutcome => ({
  kind: 'response',
  status,
  grpcStatus,
});
function ask(outcome: TryOutcome, parts: Partial<RetryQuestion> = {}): string | number {
  const decision = decideRetry({
    policy: DEFAULTS,
    method: 'GET',
    codesOfRoute: false,
    outcome,
    sent: true,
    responseForwarded: false,
    bodyReplayable: true,
    triesMade: 1,
    remainingMs: undefined,
    waitMs: 0,
    ...parts,
  });
  return decision.retry ? decision.because : `not: ${decision.reason}`;
}
const KINDS = ['connect-failure', 'refused-stream', 'reset', 'per-try-timeout'] as const;
const ANY_OUTCOME: fc.Arbitrary<TryOutcome> = fc.oneof(
  fc.constantFrom(...KINDS).map((kind) => ({ kind })),
  fc
    .tuple(fc.integer({ min: 200, max: 599 }), fc.option(fc.nat(16), { nil: undefined }))
    .map(([status, grpcStatus]) => answer(status, grpcStatus)),
);
const EVERYTHING = on(
  '5xx',
  'gateway-error',
  'connect-failure',
  'connection-lost',
  'reset',
  'refused-stream',
  'retriable-4xx',
  'unavailable',
  'cancelled',
  'resource-exhausted',
  'deadline-exceeded',
  'internal',
);

describe('what is tried again', () => {
  const cases: [string, TryOutcome, RetryPolicy, string | number][] = [
    ['a failed connection by default', { kind: 'connect-failure' }, DEFAULTS, 'connect-failure'],
    ['a refused stream by default', { kind: 'refused-stream' }, DEFAULTS, 'refused-stream'],
    ['503 by default', answer(503), DEFAULTS, 503],
    ['gRPC UNAVAILABLE by default', answer(200, 14), DEFAULTS, 'unavailable'],
    ['gRPC CANCELLED by default', answer(200, 1), DEFAULTS, 'cancelled'],
    ['no success', answer(200), EVERYTHING, 'not: condition'],
    ['no gRPC success', answer(200, 0), EVERYTHING, 'not: condition'],
    ['a lost connection by default', { kind: 'reset' }, DEFAULTS, 'connection-lost'],
    ['no slow try by default', { kind: 'per-try-timeout' }, DEFAULTS, 'not: condition'],
    ['500 as 5xx', answer(500), on('5xx'), '5xx'],
    ['500 is no gateway error', answer(500), on('gateway-error'), 'not: condition'],
    ['502 as gateway error', answer(502), on('gateway-error'), 'gateway-error'],
    ['504 as gateway error', answer(504), on('gateway-error'), 'gateway-error'],
    ['a reset as 5xx', { kind: 'reset' }, on('5xx'), '5xx'],
    ['a slow try as reset', { kind: 'per-try-timeout' }, on('reset'), 'reset'],
    ['a conflict', answer(409), on('retriable-4xx'), 'retriable-4xx'],
    ['no other 4xx', answer(429), on('retriable-4xx'), 'not: condition'],
    ['a listed code', answer(429), { ...on(), codes: [429] }, 429],
    ['gRPC RESOURCE_EXHAUSTED', answer(200, 8), on('resource-exhausted'), 'resource-exhausted'],
    ['gRPC DEADLINE_EXCEEDED', answer(200, 4), on('deadline-exceeded'), 'deadline-exceeded'],
    ['gRPC INTERNAL', answer(200, 13), on('internal'), 'internal'],
  ];
  for (const [name, outcome, policy, expected] of cases) {
    test(name, () => assert.equal(ask(outcome, { policy }), expected));
  }
});

describe('what is never tried again', () => {
  test('what the client has begun to receive, whatever else is so', () => {
    fc.assert(
      fc.property(ANY_OUTCOME, (outcome) =>
        assert.equal(
          ask(outcome, { policy: EVERYTHING, responseForwarded: true }),
          'not: response-forwarded',
        ),
      ),
    );
  });

  test('a method that is not idempotent once the upstream may have acted', () => {
    for (const method of ['POST', 'PATCH', 'get', 'PURGE']) {
      for (const outcome of [answer(503), answer(500), { kind: 'reset' } as const]) {
        assert.equal(
          ask(outcome, { policy: { ...EVERYTHING, codes: [503] }, method }),
          'not: not-idempotent',
        );
      }
    }
  });

  test('what the upstream cannot have acted upon is, and so is what the policy allows', () => {
    const policy = EVERYTHING;
    assert.equal(ask({ kind: 'connect-failure' }, { policy, method: 'POST' }), 'connect-failure');
    assert.equal(ask({ kind: 'refused-stream' }, { policy, method: 'POST' }), 'refused-stream');
    assert.equal(
      ask({ kind: 'reset' }, { policy, method: 'POST', sent: false }),
      'connection-lost',
    );
    assert.equal(ask(answer(200, 14), { policy, method: 'POST' }), 'unavailable');
    const daring = { ...policy, retryNonIdempotent: true };
    assert.equal(ask({ kind: 'reset' }, { policy: daring, method: 'POST' }), 'connection-lost');
  });

  test('after the last try', () => {
    assert.equal(ask(answer(503), { triesMade: 2 }), 503);
    assert.equal(ask(answer(503), { triesMade: 3 }), 'not: attempts');
    const none = { ...DEFAULTS, attempts: 0 };
    assert.equal(ask(answer(503), { policy: none }), 'not: attempts');
  });

  test('a body that is not here any more', () => {
    assert.equal(ask(answer(503), { bodyReplayable: false }), 'not: body');
  });

  test('when the wait would take all the time that is left', () => {
    assert.equal(ask(answer(503), { remainingMs: 25, waitMs: 24 }), 503);
    assert.equal(ask(answer(503), { remainingMs: 25, waitMs: 25 }), 'not: deadline');
    assert.equal(ask(answer(503), { remainingMs: 0 }), 'not: deadline');
  });
});

describe('the retry of a route', () => {
  const retry = { codes: [500], attempts: 4, backoffMs: 100 };

  test('says codes and attempts, and keeps what cannot have been acted upon', () => {
    const policy = retriesOfRoute(retry, on('5xx'));
    assert.equal(ask(answer(500), { policy }), 500);
    assert.equal(ask(answer(503), { policy }), 'not: condition');
    assert.equal(ask({ kind: 'connect-failure' }, { policy }), 'connect-failure');
    assert.equal(policy.attempts, 4);
    assert.equal(retriesOfRoute(undefined, DEFAULTS), DEFAULTS);
  });

  test('says the least wait', () => {
    const waits = (random: number): number[] => {
      const next = retryWaits(retriesOfRoute(retry, DEFAULTS), () => random);
      return [next.next(), next.next(), next.next(), next.next()];
    };
    assert.deepEqual(waits(0), [100, 100, 100, 100]);
    assert.deepEqual(waits(1), [200, 400, 800, 1000]);
  });

  test('without a wait of its own leaves the policy its', () => {
    const policy = retriesOfRoute({ ...retry, backoffMs: undefined }, DEFAULTS);
    const next = retryWaits(policy, () => 1);
    assert.deepEqual(
      Array.from({ length: 6 }, () => next.next()),
      [25, 50, 100, 200, 250, 250],
    );
  });
});
