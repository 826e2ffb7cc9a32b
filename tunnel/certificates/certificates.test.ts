// Certificates: when they are asked for, renewed, kept and forgotten. With a CA made by hand and a clock that stands still.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatIdentity } from '../../mesh/identity.ts';
import { until } from '../../node-agent/test-support/world.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Certificates } from './certificates.ts';
import type { Issue } from './held-certificate.ts';
import { bundleOf, ca, HOUR, other, pass, setUp, WEB } from './test-rig.ts';

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
      // one of them watches the clock
      await until(() => clock.pending() === 2);
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
    const certificates = new Certificates(
      { clock, log: silentLog, issue },
      { trustDomain: 'cluster.local', ttlSeconds: 3600 },
    );
    await assert.rejects(certificates.claim(WEB).current(), /instead of spiffe:.*web/);
    certificates.close();
  });

  test('that a connection waits for are asked for before those of pods that merely came', async () => {
    const asked: string[] = [];
    const answers: PromiseWithResolvers<void>[] = [];
    const issue: Issue = async (identity, csrPem) => {
      asked.push(formatIdentity(identity));
      const answer = Promise.withResolvers<void>();
      answers.push(answer);
      await answer.promise;
      return { chain: [await ca.sign(csrPem, identity), ca.rootPem] };
    };
    const certificates = new Certificates(
      { clock: new ManualClock(Date.now()), log: silentLog, issue },
      { trustDomain: 'cluster.local', ttlSeconds: 3600 },
    );
    const claims = Array.from({ length: 12 }, (_, i) => certificates.claim(other(i)));
    await until(() => asked.length === 8);
    const wanted = claims.at(-1)!.current();
    assert.equal(certificates.queue.waiting('realtime'), 1);
    // one place alone comes free
    answers[0]!.resolve();
    await until(() => asked.length === 9);
    assert.equal(asked[8], formatIdentity(other(11)));
    const all = Promise.all([wanted, ...claims.map((claim) => claim.current())]);
    for (let answered = 1; answered < 12; answered++) {
      await until(() => answers.length > answered);
      answers[answered]!.resolve();
    }
    await all;
    certificates.close();
  });

  test('whose pod leaves before its turn are not asked for', async () => {
    const { certificates, asked, state } = setUp();
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    const claims = Array.from({ length: 9 }, (_, i) => certificates.claim(other(i)));
    await until(() => asked.length === 8);
    claims.at(-1)!.release();
    gate.resolve();
    await Promise.all(claims.slice(0, 8).map((claim) => claim.current()));
    assert.equal(asked.length, 8);
    certificates.close();
  });

  test('failing to renew start again with short pauses after a success', async () => {
    const all = setUp();
    const { certificates, asked, clock, state } = all;
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    /** Tries within the minute after the renewal was due. */
    const tries = async (): Promise<number> => {
      const { svid } = await claim.current();
      await pass(all, svid.notBefore + 0.449 * HOUR - clock.now());
      const before = asked.length;
      state.fail = true;
      await pass(all, 60_000);
      return asked.length - before;
    };
    const fresh = await tries();
    assert.ok(fresh > 4, `${fresh} tries`);
    await pass(all, 600_000);
    state.fail = false;
    await pass(all, 150_000);
    assert.notEqual(await claim.current(), first);
    const again = await tries();
    assert.ok(again > 4, `${again} tries: as patient as before the success`);
    certificates.close();
  });

  test('whose renewal fails count as failing from four fifths of their life, and are used to the end', async () => {
    const all = setUp();
    const { certificates, state } = all;
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    certificates.believe([bundleOf([ca.rootPem])]);
    state.fail = true;
    await pass(all, 0.7 * HOUR);
    assert.equal(certificates.report()?.failing, 0);
    await pass(all, 0.15 * HOUR);
    assert.deepEqual(
      [certificates.report()?.failing, certificates.report()?.error],
      [1, 'the CA says no'],
    );
    assert.equal((await claim.current()).svid.chainPem, first.svid.chainPem);
    certificates.close();
  });

  test('are tried for at the latest when they end, whatever the pause between two tries', async () => {
    const all = setUp({ life: 200_000 });
    const { certificates, asked, clock, state } = all;
    const { svid } = await certificates.claim(WEB).current();
    state.fail = true;
    await pass(all, svid.notAfter - clock.now() - 1);
    const before = asked.length;
    await clock.advance(1);
    await until(() => asked.length > before);
    certificates.close();
  });
});

describe('the clock of the node', () => {
  test('set a day ahead: the certificate counts as ended, and a new one is asked for at once', async () => {
    const { certificates, asked, clock } = setUp();
    const claim = certificates.claim(WEB);
    await claim.current();
    clock.jump(25 * HOUR);
    await clock.advance(10_000);
    await until(() => asked.length === 2);
    assert.ok((await claim.current()).svid.notAfter > clock.now());
    certificates.close();
  });

  test('set a day back: nothing is asked for before half of the life is over by the new time', async () => {
    const { certificates, asked, clock } = setUp();
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    clock.jump(-25 * HOUR);
    await clock.advance(25 * HOUR);
    assert.equal(asked.length, 1);
    assert.equal(await claim.current(), first);
    await clock.advance(HOUR);
    await until(() => asked.length > 1);
    certificates.close();
  });
});
