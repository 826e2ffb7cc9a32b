// Ring hash, Maglev and what they go by: even shares, little movement, the same in every waypoint.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../../mesh/address.ts';
import type { Endpoint } from '../../../mesh/balance.ts';
import type { HeaderList, HttpRequest } from '../../../mesh/http-request.ts';
import type { HashSource } from '../../../mesh/traffic-policy.ts';
import type { Balancer } from './balancer.ts';
import { hash32, rehash } from './hash.ts';
import { hashKeyOf } from './hash-key.ts';
import { maglev } from './maglev.ts';
import { ringHash } from './ring-hash.ts';
import { ANYONE, countsOf, endpoint, endpoints, generator, uidOf } from './test-endpoints.ts';

const NOBODY: Balancer = { pick: () => undefined };
const KINDS = { 'ring-hash': ringHash, maglev } as const;
const NO_ONE: ReadonlySet<string> = new Set();
const at = (hash: number) => ({ hash, avoid: NO_ONE });
const HASHES = Array.from({ length: 4000 }, (_, index) => hash32(`client-${index}`));
const ownersOf = (balancer: Balancer, candidates: readonly Endpoint[]): string[] =>
  HASHES.map((hash) => uidOf(balancer.pick(candidates, at(hash))));

for (const [name, make] of Object.entries(KINDS)) {
  describe(name, () => {
    test('keeps a hash where it is, in any order of candidates and in every waypoint', () => {
      const candidates = endpoints(20);
      const owners = ownersOf(make(NOBODY), candidates);
      const other = make(NOBODY);
      assert.deepEqual(ownersOf(other, candidates.toReversed()), owners);
      assert.deepEqual(ownersOf(other, candidates), owners);
    });

    test('spreads evenly, and by size', () => {
      const counts = countsOf(make(NOBODY), endpoints(10), HASHES.length, (i) => at(HASHES[i]!));
      for (const one of endpoints(10)) {
        const count = counts[one.workload.uid] ?? 0;
        assert.ok(count > 280 && count < 520, `${one.workload.uid} has ${count} of 4000`);
      }
      const unequal = [endpoint('small', 1), endpoint('large', 3)];
      const shares = countsOf(make(NOBODY), unequal, HASHES.length, (i) => at(HASHES[i]!));
      assert.ok(Math.abs((shares['large'] ?? 0) - 3000) < 300, JSON.stringify(shares));
    });

    test('moves little more than the requests of an endpoint that goes', () => {
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 30 }), fc.nat(29), (count, which) => {
          const candidates = endpoints(count);
          const gone = `e${which % count}`;
          const left = candidates.filter((one) => uidOf(one) !== gone);
          const balancer = make(NOBODY);
          const before = ownersOf(balancer, candidates);
          const after = ownersOf(balancer, left);
          const moved = HASHES.filter(
            (_, i) => before[i] !== gone && before[i] !== after[i],
          ).length;
          // Maglev trades a few percent of movement for its even shares (section 5.3 of its paper)
          assert.ok(moved <= (name === 'ring-hash' ? 0 : HASHES.length * 0.05), `${moved} moved`);
          assert.ok(!after.includes(gone));
        }),
        { numRuns: 15 },
      );
    });

    test('leads a retry to another endpoint, the same each time', () => {
      const balancer = make(NOBODY);
      for (const hash of HASHES.slice(0, 200)) {
        const first = uidOf(balancer.pick(endpoints(5), at(hash)));
        const retry = { hash, avoid: new Set([first]) };
        const second = uidOf(balancer.pick(endpoints(5), retry));
        assert.notEqual(second, first);
        assert.equal(uidOf(balancer.pick(endpoints(5), retry)), second);
      }
    });

    test('leaves a request without a hash to another balancer', () => {
      const other = endpoint('other');
      const balancer = make({ pick: () => other });
      assert.equal(balancer.pick(endpoints(3), ANYONE), other);
    });

    test('knows several sets of candidates at once', () => {
      const balancer = make(NOBODY);
      const sets = [2, 3, 4, 5, 6, 7].map(endpoints);
      const owners = sets.map((set) => uidOf(balancer.pick(set, at(12_345))));
      assert.deepEqual(
        sets.map((set) => uidOf(balancer.pick(set, at(12_345)))),
        owners,
      );
    });
  });
}

describe('hash32()', () => {
  test('stays what it is: clients move when it changes', () => {
    assert.deepEqual(
      ['', 'a', 'ambit', 'é', '10.0.0.1'].map((text) => hash32(text)),
      [0, 721651713, 2915518945, 3366485651, 362955043],
    );
    assert.notEqual(hash32('a', 1), hash32('a'));
  });

  test('fills its 32 bits evenly', () => {
    const buckets = new Array<number>(16).fill(0);
    for (const hash of HASHES) buckets[hash >>> 28] = (buckets[hash >>> 28] ?? 0) + 1;
    for (const count of buckets) assert.ok(count > 180 && count < 320, String(count));
    assert.equal(new Set(HASHES.map((hash) => rehash(hash, 1))).size, HASHES.length);
  });
});

describe('what a request is kept in place by', () => {
  const request = (headers: HeaderList, query?: string): HttpRequest => ({
    method: 'GET',
    scheme: 'http',
    authority: 'web',
    path: '/',
    query,
    headers,
  });
  const from = { identity: undefined, ip: parseIp('10.0.0.1') };
  const keyed = (source: HashSource | undefined, headers: HeaderList = [], query?: string) =>
    hashKeyOf(source, request(headers, query), from, generator());
  const COOKIE = { by: 'cookie', name: 'sid', ttlMs: 90_000, path: '/shop' } as const;

  test('is a header, a query parameter, the address or a cookie', () => {
    const hash = hash32('u7');
    assert.equal(keyed({ by: 'header', name: 'x-user' }, [['x-user', 'u7']]).hash, hash);
    assert.equal(keyed({ by: 'query', name: 'user' }, [], 'a=1&user=u7').hash, hash);
    assert.equal(keyed({ by: 'source-ip' }).hash, hash32('10.0.0.1'));
    assert.equal(keyed(COOKIE, [['cookie', 'a=b; sid="u7"; sid=x']]).hash, hash);
    assert.deepEqual(keyed(COOKIE, [['cookie', 'sid=u7']]).setCookie, undefined);
  });

  test('is nothing where the request has none', () => {
    const nothing = { hash: undefined, setCookie: undefined };
    assert.deepEqual(keyed(undefined), nothing);
    assert.deepEqual(keyed({ by: 'header', name: 'x-user' }), nothing);
    assert.deepEqual(keyed({ by: 'query', name: 'user' }, [], undefined), nothing);
    assert.deepEqual(keyed({ ...COOKIE, ttlMs: undefined }, [['cookie', 'xsid=1']]), nothing);
  });

  test('is a new cookie where the policy says how long it lives', () => {
    const { hash, setCookie = '' } = keyed(COOKIE);
    const [, value = ''] =
      /^sid=([0-9a-f]{16}); Max-Age=90; Path=\/shop; HttpOnly$/.exec(setCookie) ?? [];
    assert.equal(hash, hash32(value));
    assert.equal(keyed(COOKIE, [['cookie', `sid=${value}`]]).hash, hash);
    const session = keyed({ ...COOKIE, ttlMs: 0, path: undefined }).setCookie ?? '';
    assert.match(session, /^sid=[0-9a-f]{16}; HttpOnly$/);
  });
});
