// Certificates: when they are asked for, renewed, kept and forgotten. With a CA made by hand and a clock that stands still.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { formatIdentity, type Identity, parseIdentity } from '../mesh/identity.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { createTestCa, type TestCa } from '../tunnel/test-ca.ts';
import { Certificates, type Issue } from './certificates.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const HOUR = 3_600_000;

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

/** Certificates with a CA that counts, and can be told to fail or to wait. */
function setUp(settings: { life?: number } = {}) {
  // certificates carry whole seconds
  const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  const asked: string[] = [];
  const state: { fail: boolean; gate: Promise<void> | undefined; running: number; most: number } = {
    fail: false,
    gate: undefined,
    running: 0,
    most: 0,
  };
  const issue: Issue = async (identity, csrPem) => {
    asked.push(formatIdentity(identity));
    state.most = Math.max(state.most, ++state.running);
    await state.gate;
    state.running--;
    if (state.fail) throw new Error('the CA says no');
    const notBefore = new Date(clock.now());
    const notAfter = new Date(clock.now() + (settings.life ?? HOUR));
    return { chain: [await ca.sign(csrPem, identity, { notBefore, notAfter }), ca.rootPem] };
  };
  const certificates = new Certificates(
    { clock, log: silentLog, issue },
    { ttlSeconds: 3600, random: () => 0.5 },
  );
  return { clock, asked, state, certificates };
}

function other(index: number): Identity {
  return { ...WEB, serviceAccount: `other-${index}` };
}

/** Lets key generation and signing, which leave the event loop, come back. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('Certificates', () => {
  test('are asked for once an identity, however many pods claim it', async () => {
    const { certificates, asked } = setUp();
    const claims = Array.from({ length: 5 }, () => certificates.claim(WEB));
    const all = await Promise.all(claims.map((claim) => claim.current()));
    assert.equal(asked.length, 1);
    assert.ok(all.every((credentials) => credentials === all[0]));
    certificates.close();
  });

  test('are renewed before half of their life is over, and the holders told', async () => {
    const { certificates, asked, clock } = setUp();
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    const renewed = Promise.withResolvers<unknown>();
    claim.onRenewed(renewed.resolve);
    await clock.advance(0.44 * HOUR);
    assert.equal(asked.length, 1);
    await clock.advance(0.02 * HOUR);
    assert.notEqual(await renewed.promise, first);
    assert.notEqual((await claim.current()).svid.keyPem, first.svid.keyPem);
    certificates.close();
  });

  test('are kept while they are valid, whatever the CA does', async () => {
    const { certificates, asked, clock, state } = setUp();
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    state.fail = true;
    await clock.advance(0.46 * HOUR);
    await until(() => asked.length >= 2 && state.running === 0);
    assert.equal(await claim.current(), first);
    await clock.advance(0.6 * HOUR);
    await until(() => state.running === 0);
    await assert.rejects(claim.current(), { code: 'IDENTITY_ERROR' });
    certificates.close();
  });

  test('that fail are tried again after 1, 2, 4 ... seconds, and then used', async () => {
    const { certificates, asked, clock, state } = setUp();
    state.fail = true;
    const claim = certificates.claim(WEB);
    await assert.rejects(claim.current(), /the CA says no/);
    for (const [index, wait] of [1000, 2000, 4000].entries()) {
      await clock.advance(wait - 1);
      assert.equal(asked.length, index + 1);
      await clock.advance(1);
      await until(() => asked.length === index + 2);
      await until(() => clock.pending() > 0);
    }
    state.fail = false;
    await clock.advance(8000);
    await until(() => asked.length === 5);
    assert.deepEqual((await claim.current()).svid.identity, WEB);
    certificates.close();
  });

  test('fail at once between two tries, with the reason of the last', async () => {
    const { certificates, asked, state } = setUp();
    state.fail = true;
    const claim = certificates.claim(WEB);
    await assert.rejects(claim.current());
    await assert.rejects(claim.current(), /Cannot get a certificate for .*web: the CA says no/);
    assert.equal(asked.length, 1);
    certificates.close();
  });

  test('are forgotten with the last pod, and asked for anew with the next', async () => {
    const { certificates, asked, clock } = setUp();
    const [a, b] = [certificates.claim(WEB), certificates.claim(WEB)];
    await a.current();
    a.release();
    assert.equal([...certificates.held()].length, 1);
    b.release();
    assert.equal([...certificates.held()].length, 0);
    assert.equal(clock.pending(), 0);
    await certificates.claim(WEB).current();
    assert.equal(asked.length, 2);
    certificates.close();
  });

  test('are signed at most eight at a time', async () => {
    const { certificates, asked, state } = setUp();
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    const claims = Array.from({ length: 20 }, (_, i) => certificates.claim(other(i)));
    await until(() => asked.length === 8);
    gate.resolve();
    await Promise.all(claims.map((claim) => claim.current()));
    assert.deepEqual([state.most, asked.length], [8, 20]);
    certificates.close();
  });

  test('of another identity than asked for are refused', async () => {
    const clock = new ManualClock(Date.now());
    const issue: Issue = async (_, csrPem) => ({
      chain: [await ca.sign(csrPem, other(1)), ca.rootPem],
    });
    const certificates = new Certificates({ clock, log: silentLog, issue }, { ttlSeconds: 3600 });
    await assert.rejects(certificates.claim(WEB).current(), /instead of spiffe:.*web/);
    certificates.close();
  });
});
