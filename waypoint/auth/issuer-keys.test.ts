import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { KeySource } from '../../mesh/request-authentication.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { ISSUER, jwksOf, jwtRuleOf, makeKey, signToken, type TestKey } from './test-issuer.ts';
import { TokenVerifier } from './verify-token.ts';

const MINUTE = 60_000;
const URI = 'https://id.test/keys';
const FETCHED: KeySource = { kind: 'fetched', uri: URI, timeoutMs: 5000 };
const log = createLog({ component: 'test', level: 'off' });

let key: TestKey;
let next: TestKey;
before(async () => {
  key = await makeKey('k1');
  next = await makeKey('k2');
});

/** An issuer whose answers a test sets, and the verifier that asks it. */
function world(source: KeySource = FETCHED) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const state = { answer: (): Promise<string> | string => jwksOf(key) };
  const keys = new IssuerKeys({
    clock,
    log,
    fetch: async (url) => {
      asked.push(url);
      return new TextEncoder().encode(await state.answer());
    },
  });
  const verifier = new TokenVerifier({ clock, keys });
  const rule = jwtRuleOf(source);
  // what a token says of its time must not be in the way of the times of its keys
  const exp = Math.floor(clock.now() / 1000) + 10 * 24 * 3600;
  const verify = async (by: TestKey = key): Promise<string> => {
    const token = await signToken({ key: by, nowMs: clock.now(), claims: { exp } });
    const verdict = await verifier.verify([rule], token);
    return verdict.kind === 'verified' ? 'good' : verdict.why;
  };
  return { clock, asked, state, keys, verifier, rule, verify };
}
const away = (): Promise<string> => Promise.reject(new Error('away'));

describe('keys that are fetched', () => {
  test('are fetched once for all who wait, and kept', async () => {
    const { verify, asked } = world();
    const results = await Promise.all(Array.from({ length: 20 }, () => verify()));
    assert.deepEqual(new Set(results), new Set(['good']));
    assert.deepEqual(asked, [URI]);
  });

  test('are fetched anew ahead of their time, while requests go by the old ones', async () => {
    const { verify, asked, clock, state } = world();
    await verify();
    await clock.advance(14 * MINUTE);
    await verify();
    assert.equal(asked.length, 1);
    await clock.advance(2 * MINUTE);
    let answer: (text: string) => void = () => {};
    state.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    assert.equal(await verify(), 'good');
    assert.equal(asked.length, 2);
    answer(jwksOf(next));
    await clock.advance(0);
    assert.equal(await verify(next), 'good');
    assert.equal(asked.length, 2);
    state.answer = () => jwksOf(next);
    await clock.advance(31_000);
    assert.match(await verify(key), /no key/);
  });

  test('hold on while their issuer is away, for a day and no longer', async () => {
    const { verify, asked, clock, state } = world();
    await verify();
    state.answer = away;
    await clock.advance(23 * 60 * MINUTE);
    assert.equal(await verify(), 'good');
    await clock.advance(61 * MINUTE);
    assert.match(await verify(), /not to be had/);
    state.answer = () => jwksOf(key);
    await clock.advance(MINUTE);
    assert.equal(await verify(), 'good');
    assert.equal(asked.length, 4);
  });

  test('that were never had let nobody in, and cost one fetch a cooldown', async () => {
    const { verify, asked, clock, state } = world();
    state.answer = away;
    for (let i = 0; i < 10; i++) assert.match(await verify(), /not to be had/);
    assert.equal(asked.length, 1);
    await clock.advance(31_000);
    await verify();
    assert.equal(asked.length, 2);
    state.answer = () => jwksOf(key);
    await clock.advance(31_000);
    assert.equal(await verify(), 'good');
  });

  test('that are slow are given up on in time', async () => {
    const { verify, clock, state } = world();
    const fetching = Promise.withResolvers<void>();
    state.answer = () => {
      fetching.resolve();
      return new Promise(() => {});
    };
    const waiting = verify();
    await fetching.promise;
    await clock.advance(0);
    await clock.advance(5000);
    assert.match(await waiting, /not to be had/);
  });

  test('are asked for early when a token names one that is not there: once a cooldown', async () => {
    const { verify, asked, clock, state } = world();
    await verify();
    await clock.advance(31_000);
    state.answer = () => jwksOf(key, next);
    assert.equal(await verify(next), 'good');
    assert.equal(asked.length, 2);
    const unknown = await makeKey('k3');
    for (let i = 0; i < 10; i++) assert.match(await verify(unknown), /no key/);
    assert.equal(asked.length, 2);
    await clock.advance(31_000);
    await Promise.all(Array.from({ length: 10 }, () => verify(unknown)));
    assert.equal(asked.length, 3);
  });

  test('that were taken back no longer vouch for tokens verified before', async () => {
    const { verifier, rule, clock, state, asked } = world();
    const token = await signToken({ key, nowMs: clock.now() });
    assert.equal((await verifier.verify([rule], token)).kind, 'verified');
    assert.equal((await verifier.verify([rule], token)).kind, 'verified');
    state.answer = () => jwksOf(next);
    await clock.advance(21 * MINUTE);
    assert.equal((await verifier.verify([rule], token)).kind, 'refused');
    assert.equal(asked.length, 2);
  });
});

describe('an answer', () => {
  test('that is no key set, or too much of one, changes nothing', async () => {
    const { verify, clock, state } = world();
    await verify();
    const many = JSON.stringify({ keys: Array.from({ length: 101 }, () => key.jwk) });
    const bad = [
      many,
      `{"keys":[${' '.repeat(1024 * 1024)}]}`,
      '{',
      'null',
      '[]',
      '{"keys":{}}',
      '{"keys":[1]}',
      '{"__proto__":{"keys":[]}}',
      '<html>',
    ];
    for (const answer of bad) {
      await clock.advance(21 * MINUTE);
      state.answer = () => answer;
      assert.equal(await verify(), 'good', answer.slice(0, 40));
    }
    await clock.advance(21 * MINUTE);
    state.answer = () => '{"keys":[]}';
    assert.match(await verify(), /no key/);
  });

  test('with a shared secret or a private key in it gives no way in', async () => {
    const { verify, state } = world();
    const secret = { kty: 'oct', k: 'c2VjcmV0', alg: 'HS256', kid: 'k1' };
    state.answer = () => JSON.stringify({ keys: [secret] });
    assert.match(await verify(), /no key/);
  });
});

describe('where keys come from', () => {
  test('an issuer’s own configuration says where its keys are', async () => {
    const { verify, asked, state } = world({ kind: 'discovered', issuer: ISSUER, timeoutMs: 5000 });
    state.answer = () =>
      asked.length === 1 ? JSON.stringify({ issuer: ISSUER, jwks_uri: URI }) : jwksOf(key);
    assert.equal(await verify(), 'good');
    assert.deepEqual(asked, ['https://id.test/.well-known/openid-configuration', URI]);
  });

  test('a configuration of another issuer, or to no web address, is not followed', async () => {
    for (const told of [
      { issuer: 'https://evil.test', jwks_uri: URI },
      { issuer: ISSUER, jwks_uri: 'file:///etc/passwd' },
      { issuer: ISSUER },
    ]) {
      const { verify, asked, state } = world({
        kind: 'discovered',
        issuer: ISSUER,
        timeoutMs: 5000,
      });
      state.answer = () => JSON.stringify(told);
      assert.match(await verify(), /not to be had/);
      assert.equal(asked.length, 1);
    }
  });

  test('inline keys are never fetched, and bad ones let nobody in', async () => {
    const { verify, asked } = world({ kind: 'inline', jwks: jwksOf(key) });
    assert.equal(await verify(), 'good');
    const bad = world({ kind: 'inline', jwks: '{"keys":"none"}' });
    assert.match(await bad.verify(), /not to be had/);
    assert.deepEqual([asked, bad.asked], [[], []]);
  });

  test('what no rule asks for any more is forgotten', async () => {
    const { verify, asked, keys, clock } = world();
    await verify();
    keys.retain([FETCHED]);
    await verify();
    assert.equal(asked.length, 1);
    keys.retain([]);
    await verify();
    assert.equal(asked.length, 2);
    keys.close();
    assert.equal(clock.pending(), 0);
  });
});

test('a token is verified once, and the verifier remembers a bounded number of them', async () => {
  const { verifier, rule, clock } = world({ kind: 'inline', jwks: jwksOf(key) });
  const token = await signToken({ key, nowMs: clock.now() });
  const first = await verifier.verify([rule], token);
  const again = await verifier.verify([rule], token);
  assert.ok(first.kind === 'verified' && again.kind === 'verified');
  assert.equal(again.token, first.token);
  const narrow = { ...rule, audiences: ['other'] };
  assert.equal((await verifier.verify([narrow], token)).kind, 'refused');
  await clock.advance(3600_000 + 61_000);
  assert.equal((await verifier.verify([rule], token)).kind, 'refused');
});
