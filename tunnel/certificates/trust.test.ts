// Whom certificates are believed under: roots that come and go, other trust domains, revocation. With a CA made by hand and
// a clock that stands still.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { until } from '../../node-agent/test-support/world.ts';
import { bundleId, fingerprintOf } from '../../runtime/trust.ts';
import { createTestCa, type TestCa } from '../test-ca.ts';
import { believed, bundleOf, ca, other, setUp, WEB } from './test-rig.ts';

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
