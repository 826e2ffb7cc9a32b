// Certificates: when they are asked for, renewed, kept and forgotten. With a CA made by hand and a clock that stands still.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { formatIdentity, type Identity, parseIdentity } from '../mesh/identity.ts';
import type { TrustBundle } from '../mesh/trust.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { bundleId, fingerprintOf } from '../runtime/trust.ts';
import type { Credentials } from '../tunnel/contexts.ts';
import { createTestCa, type TestCa } from '../tunnel/test-ca.ts';
import type { PeerTrust } from '../tunnel/trust.ts';
import { Certificates } from './certificates.ts';
import type { Issue } from './held-certificate.ts';

const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');
const HOUR = 3_600_000;

let ca: TestCa;
before(async () => {
  ca = await createTestCa();
});

/** Certificates with a CA that counts, and can be told to fail, to wait, or to sign with another root. */
function setUp(settings: { life?: number; onTrust?: (trust: PeerTrust) => void } = {}) {
  // certificates carry whole seconds
  const clock = new ManualClock(Math.floor(Date.now() / 1000) * 1000);
  const asked: string[] = [];
  const state: {
    fail: boolean;
    gate: Promise<void> | undefined;
    running: number;
    most: number;
    signer: TestCa;
  } = { fail: false, gate: undefined, running: 0, most: 0, signer: ca };
  const issue: Issue = async (identity, csrPem) => {
    asked.push(formatIdentity(identity));
    state.most = Math.max(state.most, ++state.running);
    await state.gate;
    state.running--;
    if (state.fail) throw new Error('the CA says no');
    const notBefore = new Date(clock.now());
    const notAfter = new Date(clock.now() + (settings.life ?? HOUR));
    const leaf = await state.signer.sign(csrPem, identity, { notBefore, notAfter });
    return { chain: [leaf, state.signer.rootPem] };
  };
  const certificates = new Certificates(
    { clock, log: silentLog, issue, onTrust: settings.onTrust ?? (() => {}) },
    { trustDomain: 'cluster.local', ttlSeconds: 3600, random: () => 0.5 },
  );
  return { clock, asked, state, certificates };
}

function bundleOf(roots: readonly string[], more: Partial<TrustBundle> = {}): TrustBundle {
  const nothing = { aliases: [], retiring: [], renewWithinMs: 0, crls: [] };
  return { trustDomain: 'cluster.local', roots, ...nothing, ...more };
}

/** The roots that handshakes with these credentials believe. */
function believed({ trust }: Credentials): string[] {
  return trust.rootsPem.toSorted();
}

function other(index: number): Identity {
  return { ...WEB, serviceAccount: `other-${index}` };
}

/** Lets time pass in steps, each request of a step answered within it. */
async function pass(
  { clock, certificates }: { clock: ManualClock; certificates: Certificates },
  ms: number,
): Promise<void> {
  const step = ms / 200;
  for (let i = 0; i < 200; i++) {
    await clock.advance(step);
    await until(() => certificates.queue.running === 0);
  }
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

describe('whom to believe', () => {
  let next: TestCa;
  before(async () => {
    next = await createTestCa();
  });

  test('before discovery told, it is what came with the certificate', async () => {
    const { certificates } = setUp();
    const { svid } = await certificates.claim(WEB).current();
    assert.deepEqual(svid.roots, [ca.rootPem]);
    assert.equal(certificates.report(), undefined, 'there is nobody to report to');
    certificates.close();
  });

  test('a root that joins is believed by the next handshake, and only then reported', async () => {
    const { certificates, asked } = setUp();
    const claim = certificates.claim(WEB);
    const first = await claim.current();
    const told: unknown[] = [];
    claim.onRenewed((credentials) => told.push(credentials));
    certificates.believe([bundleOf([ca.rootPem, next.rootPem])]);
    assert.equal(certificates.report()?.bundle, '');
    await until(() => certificates.report()?.bundle !== '');
    const present = await claim.current();
    assert.deepEqual(believed(present), [ca.rootPem, next.rootPem].toSorted());
    assert.equal(present.svid.chainPem, first.svid.chainPem, 'the certificate stays');
    assert.deepEqual([told, asked.length], [[present], 1]);
    assert.deepEqual(certificates.report(), {
      bundle: bundleId([ca.rootPem, next.rootPem]),
      retiring: [],
      rootsInUse: [fingerprintOf(ca.rootPem)],
      earliestEnd: first.svid.notAfter,
      failing: 0,
      error: '',
    });
    certificates.believe([bundleOf([ca.rootPem, next.rootPem])]);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told.length, 1, 'contexts are made once a change');
    certificates.close();
  });

  test('a root that is about to leave: certificates under it are renewed within the time told', async () => {
    const { certificates, asked, clock, state } = setUp();
    const claim = certificates.claim(WEB);
    await claim.current();
    state.signer = next;
    const roots = [ca.rootPem, next.rootPem];
    const retiring = [fingerprintOf(ca.rootPem)];
    certificates.believe([bundleOf(roots, { retiring, renewWithinMs: 60_000 })]);
    await until(() => certificates.report()?.bundle !== '');
    await clock.advance(29_000);
    assert.equal(asked.length, 1);
    await clock.advance(2000);
    await until(() => certificates.report()?.rootsInUse[0] === fingerprintOf(next.rootPem));
    certificates.believe([bundleOf([next.rootPem])]);
    await until(() => certificates.report()?.bundle === bundleId([next.rootPem]));
    assert.deepEqual(believed(await claim.current()), [next.rootPem], 'the old one is gone');
    certificates.close();
  });

  test('a CA that answers under the leaving root once more is asked again', async () => {
    const { certificates, asked, clock, state } = setUp();
    await certificates.claim(WEB).current();
    const retiring = [fingerprintOf(ca.rootPem)];
    const roots = [ca.rootPem, next.rootPem];
    certificates.believe([bundleOf(roots, { retiring, renewWithinMs: 2000 })]);
    await until(() => certificates.report()?.bundle !== '');
    await clock.advance(1000);
    await until(() => asked.length === 2 && state.running === 0);
    state.signer = next;
    await until(() => clock.pending() > 1);
    await clock.advance(1000);
    await until(() => certificates.report()?.rootsInUse[0] === fingerprintOf(next.rootPem));
    certificates.close();
  });

  test('our own root is believed even when discovery does not name it yet', async () => {
    const { certificates } = setUp();
    const claim = certificates.claim(WEB);
    await claim.current();
    certificates.believe([bundleOf([next.rootPem])]);
    await until(() => certificates.report()?.bundle !== '');
    assert.deepEqual(believed(await claim.current()), [next.rootPem, ca.rootPem].toSorted());
    certificates.close();
  });

  test('a certificate under a root that has left already is renewed too', async () => {
    const { certificates, clock, state } = setUp();
    const claim = certificates.claim(WEB);
    certificates.believe([bundleOf([ca.rootPem, next.rootPem])]);
    certificates.believe([bundleOf([next.rootPem])]);
    await claim.current();
    state.signer = next;
    await clock.advance(1000);
    await until(() => certificates.report()?.rootsInUse[0] === fingerprintOf(next.rootPem));
    certificates.close();
  });

  test('other names of our trust domain, and other trust domains under their own roots only', async () => {
    const { certificates } = setUp();
    const claim = certificates.claim(WEB);
    await claim.current();
    const partner = { ...bundleOf([next.rootPem]), trustDomain: 'partner.test' };
    certificates.believe([bundleOf([ca.rootPem], { aliases: ['old.test'] }), partner]);
    await until(() => certificates.report()?.bundle !== '');
    const { trust } = await claim.current();
    const now = Date.now();
    const leadsTo = async (from: TestCa, domain: string): Promise<boolean> => {
      const { chainPem } = await from.svid(`spiffe://${domain}/ns/a/sa/b`);
      return trust.pathTo(domain, new X509Certificate(chainPem), now) !== undefined;
    };
    assert.ok(trust.sameDomain('cluster.local', 'old.test'));
    assert.ok(await leadsTo(ca, 'old.test'));
    assert.ok(await leadsTo(next, 'partner.test'));
    assert.ok(!(await leadsTo(next, 'cluster.local')));
    assert.ok(!(await leadsTo(ca, 'partner.test')));
    assert.ok(!(await leadsTo(ca, 'elsewhere.test')));
    certificates.close();
  });

  test('a revocation list counts at once, for new handshakes and live tunnels; one of garbage changes nothing', async () => {
    const told: number[] = [];
    const { certificates } = setUp({ onTrust: (trust) => told.push(trust.revocations.size) });
    const claim = certificates.claim(WEB);
    await claim.current();
    const list = await ca.crl([await ca.svid(other(1))]);
    certificates.believe([bundleOf([ca.rootPem], { crls: [list] })]);
    await until(() => told.length === 1);
    assert.equal((await claim.current()).trust.revocations.size, 1);
    const garbage = '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n';
    certificates.believe([bundleOf([ca.rootPem], { crls: [garbage] })]);
    assert.match(certificates.report()?.error ?? '', /Cannot read the trust bundle/);
    assert.equal((await claim.current()).trust.revocations.size, 1);
    certificates.close();
  });

  test('a bundle that cannot be read changes nothing, and is reported', async () => {
    const { certificates } = setUp();
    const claim = certificates.claim(WEB);
    await claim.current();
    certificates.believe([bundleOf([ca.rootPem])]);
    await until(() => certificates.report()?.bundle !== '');
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    certificates.believe([bundleOf([broken])]);
    assert.equal(certificates.report()?.bundle, bundleId([ca.rootPem]));
    assert.match(certificates.report()?.error ?? '', /Cannot read the trust bundle/);
    assert.deepEqual(believed(await claim.current()), [ca.rootPem]);
    certificates.close();
  });
});
