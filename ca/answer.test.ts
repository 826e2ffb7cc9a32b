// The journey of a request under pressure: floods, a hanging API server, callers that go. Each refusal has its own code
// and reason, and costs nobody else anything.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TokenAnswer } from '../runtime/kubernetes/token-review.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { type AnswerParts, answerCall, type CertificateAnswer } from './answer.ts';
import { Gate } from './gate.ts';
import { Limits } from './limits.ts';

const SETTINGS = { trustDomain: 'cluster.local', trustedNodeAccounts: [] };
const NOW = 1_700_000_000_000;
const never = new AbortController().signal;

/** The caller's token is its pod's UID; all are pods of shop/web. */
function setUp(review?: (token: string) => Promise<TokenAnswer>) {
  const clock = new ManualClock(NOW);
  const refused: string[] = [];
  let [issued, reviewed] = [0, 0];
  const parts: AnswerParts = {
    log: silentLog,
    clock,
    gate: new Gate({ maxRunning: 4, maxWaiting: 8 }),
    limits: new Limits({ clock }),
    cluster: { pod: () => undefined, runsOn: () => false },
    counters: { issued: () => void issued++, refused: (reason) => void refused.push(reason) },
    review: async (token) => {
      reviewed++;
      if (review !== undefined) return review(token);
      const pod = { name: token, uid: token };
      return {
        kind: 'caller',
        caller: { namespace: 'shop', serviceAccount: 'web', pod, node: undefined },
      };
    },
    // what is signed is issue.test.ts's business
    issue: async () => ({ chain: ['leaf', 'root'], serial: '01', notAfter: NOW }),
  };
  const ask = (token = 'a', address = '10.0.0.1', signal = never): Promise<CertificateAnswer> =>
    answerCall(
      { token, address, signal, csrPem: '', ttlSeconds: 0, impersonated: undefined },
      parts,
      SETTINGS,
    );
  return { clock, parts, refused, ask, count: () => ({ issued, reviewed }) };
}

const codeOf = (answer: CertificateAnswer): string =>
  answer.kind === 'issued' ? 'OK' : answer.code;

describe('a certificate request', () => {
  test('of an address with too many under way is refused before anybody is asked whose it is', async () => {
    const gate = Promise.withResolvers<TokenAnswer>();
    const { ask, refused, parts } = setUp(() => gate.promise);
    const flood = Array.from({ length: 200 }, () => ask());
    const other = ask('b', '10.0.0.2');
    assert.equal(refused.filter((reason) => reason === 'AddressQueueFull').length, 200 - 64);
    gate.resolve({ kind: 'refused', reason: 'no' });
    const codes = (await Promise.all(flood)).map(codeOf);
    assert.ok(codes.every((code) => code === 'RESOURCE_EXHAUSTED' || code === 'UNAUTHENTICATED'));
    assert.notEqual(codeOf(await other), 'OK');
    assert.deepEqual([parts.gate.running, parts.gate.waiting], [0, 0]);
    assert.notEqual(refused.at(-1), 'AddressQueueFull', 'the other address was let in');
  });

  test('beyond the queue is refused as such, by a code of its own', async () => {
    const gate = Promise.withResolvers<TokenAnswer>();
    const { ask, refused } = setUp(() => gate.promise);
    const all = Array.from({ length: 20 }, (_, i) => ask('a', `10.0.0.${i}`));
    gate.resolve({ kind: 'refused', reason: 'no' });
    await Promise.all(all);
    assert.equal(refused.filter((reason) => reason === 'TooManyRequests').length, 20 - 12);
  });

  test('of a caller that asks for too many is refused; other callers and later ones are served', async () => {
    const { ask, refused, clock } = setUp();
    for (let i = 0; i < 512; i++) assert.equal(codeOf(await ask()), 'OK');
    assert.equal(codeOf(await ask()), 'RESOURCE_EXHAUSTED');
    assert.equal(refused.at(-1), 'CallerRateLimited');
    assert.equal(codeOf(await ask('b')), 'OK');
    await clock.advance(1000);
    assert.equal(codeOf(await ask()), 'OK');
  });

  test('that Kubernetes does not answer about is given up as unavailable, and its place comes back', async () => {
    const { ask, clock, parts, refused } = setUp(() => new Promise(() => {}));
    const all = Array.from({ length: 4 }, () => ask());
    await clock.advance(7999);
    assert.equal(parts.gate.running, 4);
    await clock.advance(1);
    assert.deepEqual((await Promise.all(all)).map(codeOf), Array(4).fill('UNAVAILABLE'));
    assert.deepEqual([parts.gate.running, clock.pending()], [0, 0]);
    assert.deepEqual(refused, Array(4).fill('Fault'));
  });

  test('whose caller goes while it waits is forgotten: nothing is asked and nothing signed for it', async () => {
    const gate = Promise.withResolvers<TokenAnswer>();
    const { ask, count, parts, refused } = setUp(() => gate.promise);
    const busy = Array.from({ length: 4 }, (_, i) => ask('a', `10.0.1.${i}`));
    const gone = new AbortController();
    const waiting = ask('b', '10.0.0.2', gone.signal);
    assert.equal(parts.gate.waiting, 1);
    gone.abort(new Error('gone'));
    assert.equal(codeOf(await waiting), 'CANCELLED');
    assert.deepEqual([parts.gate.waiting, refused], [0, ['Cancelled']]);
    gate.resolve({ kind: 'refused', reason: 'no' });
    await Promise.all(busy);
    assert.deepEqual(count(), { issued: 0, reviewed: 4 });
  });

  test('a thousand at once from a hundred nodes that start together are all served', async () => {
    const { ask, parts } = setUp();
    // an agent has eight under way, and tries again what was refused
    const agent = async (index: number): Promise<void> => {
      for (let left = 10; left > 0; ) {
        const answer = await ask(`agent-${index}`, `10.1.${index}.1`);
        if (answer.kind === 'issued') left--;
        else {
          assert.equal(answer.code, 'RESOURCE_EXHAUSTED');
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    };
    await Promise.all(Array.from({ length: 100 }, (_, index) => agent(index)));
    assert.deepEqual([parts.gate.running, parts.gate.waiting], [0, 0]);
  });
});
