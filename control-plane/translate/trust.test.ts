// ConfigMaps to trust bundles: whose roots, what of a bad source stays in force, and what is told about it.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { createTestCa } from '../../tunnel/test-ca.ts';
import type { RotationStatus } from '../../wire/rotation.ts';
import { type TrustMemo, type TrustWorld, trustOf } from './trust.ts';

const SETTINGS = {
  namespace: 'ambit-system',
  trustDomain: 'cluster.local',
  trustDomainAliases: ['old.test'],
};
const NOTHING: TrustWorld = {
  roots: undefined,
  rotation: undefined,
  crls: undefined,
  foreign: undefined,
};
const LIST = '-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n';
const map = (data: Record<string, string>): ConfigMap => ({ metadata: {}, data });

let [first, second, leaf] = ['', '', ''];
before(async () => {
  const ca = await createTestCa();
  [first, second] = [ca.rootPem, (await createTestCa()).rootPem];
  leaf = (await ca.svid('spiffe://cluster.local/ns/a/sa/b')).chainPem;
});

const read = (world: Partial<TrustWorld>, memo: TrustMemo = new Map()) =>
  trustOf({ ...NOTHING, ...world }, SETTINGS, memo);

describe('trustOf()', () => {
  test('our roots come with our aliases, and with what the CA says is leaving', () => {
    const rotation = { retiring: ['ff'], renewWithinMs: 5000 } as unknown as RotationStatus;
    const { bundles, problems } = read({
      roots: map({ 'root-cert.pem': first + second, 'ca-crl.pem': LIST }),
      crls: map({ 'mine.pem': LIST + LIST }),
      rotation,
    });
    assert.deepEqual(problems, []);
    assert.deepEqual(bundles, [
      {
        trustDomain: 'cluster.local',
        roots: [first, second],
        aliases: ['old.test'],
        retiring: ['ff'],
        renewWithinMs: 5000,
        crls: [LIST, LIST, LIST],
      },
    ]);
  });

  test('before the CA has published anything there is no bundle, and nothing to complain of', () => {
    assert.deepEqual(read({}), { bundles: [], problems: [] });
  });

  test('other trust domains have their own roots, never ours or under our names', () => {
    const { bundles, problems } = read({
      roots: map({ 'root-cert.pem': first }),
      foreign: map({
        'partner.test': second,
        'cluster.local': second,
        'old.test': second,
        'Not a domain': second,
      }),
    });
    assert.deepEqual(
      bundles.map(({ trustDomain, roots }) => [trustDomain, roots]),
      [
        ['cluster.local', [first]],
        ['partner.test', [second]],
      ],
    );
    assert.equal(problems.length, 3);
    assert.ok(problems.every(({ object }) => object.endsWith('ambit-trust-bundles')));
  });

  for (const [name, bad] of [
    ['garbage', 'garbage'],
    ['a certificate that cannot be read', first.replaceAll(/[A-Za-z]{4}\n/g, '\n')],
    ['nothing', ''],
  ] as const) {
    test(`a root turned to ${name} leaves the last good one in force, and is told`, () => {
      const memo: TrustMemo = new Map();
      read({ roots: map({ 'root-cert.pem': first }) }, memo);
      const { bundles, problems } = read({ roots: map({ 'root-cert.pem': bad }) }, memo);
      assert.deepEqual(bundles[0]?.roots, [first]);
      assert.match(problems[0]?.message ?? '', /stays in force/);
    });
  }

  test('the CA’s ConfigMap deleted: what it said holds until it is written again', () => {
    const memo: TrustMemo = new Map();
    read({ roots: map({ 'root-cert.pem': first, 'ca-crl.pem': LIST }) }, memo);
    for (let i = 0; i < 2; i++) {
      const { bundles, problems } = read({}, memo);
      assert.deepEqual([bundles[0]?.roots, bundles[0]?.crls, problems], [[first], [LIST], []]);
    }
  });

  test('a certificate that is not a CA is no root', () => {
    const { bundles, problems } = read({ roots: map({ 'root-cert.pem': leaf }) });
    assert.deepEqual(bundles, []);
    assert.match(problems[0]?.message ?? '', /not a CA/);
  });

  test('a revocation list turned to garbage does not bring revoked certificates back', () => {
    const memo: TrustMemo = new Map();
    const roots = map({ 'root-cert.pem': first });
    read({ roots, crls: map({ a: LIST }) }, memo);
    const broken = read({ roots, crls: map({ a: `${LIST}-----BEGIN X509 CRL-----` }) }, memo);
    assert.deepEqual(broken.bundles[0]?.crls, [LIST]);
    assert.equal(broken.problems[0]?.reason, 'TrustUnreadable');
    const removed = read({ roots }, memo);
    assert.deepEqual(removed.bundles[0]?.crls, [], 'taking it away is the way to end it');
  });
});
