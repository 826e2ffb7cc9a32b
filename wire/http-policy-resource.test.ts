import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { authorizeRequest } from '../mesh/authorize-request.ts';
import type { HttpPolicy } from '../mesh/http-policy.ts';
import {
  ANY_FACTS,
  ANY_HTTP_POLICY,
  ANY_REQUEST_AUTHENTICATION,
  customPolicyOf,
  factsOf,
  httpPolicyOf,
  providerOf,
  ruleOf,
} from '../mesh/test-http-policies.ts';
import { encodeJson } from './checked-json.ts';
import { closedHttpPolicy, decodeHttpPolicy, encodeHttpPolicy } from './http-policy-resource.ts';
import { DecodeError } from './protobuf.ts';
import {
  closedRequestAuthentication,
  decodeRequestAuthentication,
  encodeRequestAuthentication,
} from './request-authentication-resource.ts';

const evaluate = (text: string): boolean | undefined =>
  text === 'broken' ? undefined : text === 'yes';
const absent = <T extends object>(value: T): T => structuredClone(value);

/** Any policy with any one of its values, wherever it stands, replaced by something else. */
const ANY_DAMAGED = fc
  .tuple(ANY_HTTP_POLICY, fc.nat(), fc.jsonValue({ maxDepth: 1 }))
  .map(([policy, where, junk]) => {
    const copy = JSON.parse(JSON.stringify(policy)) as Record<string, unknown>;
    const spots: { holder: Record<string, unknown>; key: string }[] = [];
    const visit = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const key of Object.keys(value)) {
        const holder = value as Record<string, unknown>;
        spots.push({ holder, key });
        visit(holder[key]);
      }
    };
    visit(copy['rules']);
    const spot = spots[where % Math.max(spots.length, 1)];
    if (spot !== undefined) spot.holder[spot.key] = junk;
    return { policy, body: encodeJson(copy), junk };
  });

describe('a policy', () => {
  test('is the same after it travelled', () => {
    fc.assert(
      fc.property(ANY_HTTP_POLICY, (policy) => {
        assert.deepEqual(decodeHttpPolicy(encodeHttpPolicy(policy)), absent(policy));
      }),
    );
  });

  test('of other bytes is refused with a DecodeError, and what stands in for it allows nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.string(), ANY_FACTS, (body, name, facts) => {
        assert.throws(() => decodeHttpPolicy(body), DecodeError);
        const closed = closedHttpPolicy(name, body);
        assert.equal(authorizeRequest([closed], facts, { evaluate }).verdict, 'deny');
      }),
    );
  });

  test('with a part of its rules damaged is refused, or reads what it can and never lets more through', () => {
    let read = 0;
    let unreadable = 0;
    fc.assert(
      fc.property(ANY_DAMAGED, ANY_FACTS, ({ policy, body }, facts) => {
        let damaged: HttpPolicy;
        try {
          damaged = decodeHttpPolicy(body);
        } catch (error) {
          assert.ok(error instanceof DecodeError);
          return;
        }
        read++;
        if (!JSON.stringify(damaged).includes('"unreadable","why":"policy.rules')) return;
        unreadable++;
        const before = authorizeRequest([policy], facts, { evaluate }).verdict;
        if (before === 'allow') return;
        assert.notEqual(authorizeRequest([damaged], facts, { evaluate }).verdict, 'allow');
      }),
      { numRuns: 2000 },
    );
    assert.ok(read > 100 && unreadable > 50, `${read} read, ${unreadable} with a part unreadable`);
  });

  test('with a field or an attribute of another version is stricter by it', () => {
    const test = { attribute: 'request.phase-of-moon', not: false, values: ['full'] };
    const body = { ...httpPolicyOf({}), rules: [{ clauses: [{ part: 'to', anyOf: [[test]] }] }] };
    const decide = (action: string): string =>
      authorizeRequest([decodeHttpPolicy(encodeJson({ ...body, action }))], factsOf(), {
        evaluate,
      }).verdict;
    assert.deepEqual([decide('allow'), decide('deny')], ['deny', 'deny']);
    assert.throws(
      () => decodeHttpPolicy(encodeJson({ ...body, mode: 'x' })),
      /policy: field "mode" is not known/,
    );
    assert.throws(
      () => decodeHttpPolicy(encodeJson({ ...body, action: 'maybe' })),
      /policy\.action is not one of allow/,
    );
  });

  test('whose provider cannot be read asks nobody, and denies', () => {
    const policy = { ...customPolicyOf(providerOf()), provider: { ...providerOf(), port: 0 } };
    const decision = authorizeRequest([decodeHttpPolicy(encodeJson(policy))], factsOf(), {
      evaluate,
    });
    assert.deepEqual([decision.verdict, decision.basis], ['deny', 'provider-unknown']);
    assert.match(decision.reason, /provider.port/);
  });

  test('that is refused holds at the targets that can be read, else in its namespace', () => {
    const policy = { ...httpPolicyOf({ rules: [ruleOf()] }), action: 'maybe' };
    const closed = closedHttpPolicy('shop/p', encodeJson(policy));
    assert.deepEqual([closed.namespace, closed.name], ['shop', 'p']);
    assert.deepEqual(closed.targets, policy.targets);
    const nowhere = closedHttpPolicy(
      'shop/p',
      encodeJson({ ...policy, targets: [{ kind: 'moon' }] }),
    );
    assert.deepEqual(nowhere.targets, [{ kind: 'namespace', namespace: 'shop' }]);
  });
});

describe('a request authentication', () => {
  test('is the same after it travelled', () => {
    fc.assert(
      fc.property(ANY_REQUEST_AUTHENTICATION, (policy) => {
        assert.deepEqual(
          decodeRequestAuthentication(encodeRequestAuthentication(policy)),
          absent(policy),
        );
      }),
    );
  });

  test('of other bytes is refused, and what stands in for it says that it is broken', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
        assert.throws(() => decodeRequestAuthentication(body), DecodeError);
        const closed = closedRequestAuthentication('shop/r', body);
        assert.notEqual(closed.broken, undefined);
        assert.deepEqual(closed.targets, [{ kind: 'namespace', namespace: 'shop' }]);
      }),
    );
  });

  test('with a field of another version is refused whole', () => {
    const body = { namespace: 'shop', name: 'r', targets: [], rules: [], audience: 'x' };
    assert.throws(() => decodeRequestAuthentication(encodeJson(body)), /policy: field "audience"/);
    const rules = [{ issuer: 'x', keys: { kind: 'guessed' } }];
    assert.throws(
      () =>
        decodeRequestAuthentication(
          encodeJson({ namespace: 'shop', name: 'r', targets: [], rules }),
        ),
      /rules\[0\]/,
    );
  });
});
