import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../mesh/address.ts';
import { inCidr } from '../../mesh/cidr.ts';
import { type AddressWish, assignAddresses } from './auto-address.ts';

const wish = (key: string, ...assigned: string[]): AddressWish => ({ key, assigned });
const V4 = { ip: parseIp('240.240.0.0'), prefixLength: 16 };
const V6 = { ip: parseIp('2001:2::'), prefixLength: 48 };
const WISHES = fc.uniqueArray(
  fc.record({
    key: fc.string({ maxLength: 12 }),
    // few numbers, so that hosts claim the same; some are no addresses of ours
    assigned: fc.array(
      fc.oneof(
        fc.integer({ min: 0, max: 5 }).map((n) => `240.240.0.${n}`),
        fc.constantFrom('10.0.0.1', '240.240.255.255', '2001:2::1', 'x', ''),
      ),
      { maxLength: 2 },
    ),
  }),
  { selector: ({ key }) => key, maxLength: 30 },
);

describe('addresses for hosts that have none', () => {
  test('every host has one of each family, of the ranges, and no two share any', () => {
    fc.assert(
      fc.property(WISHES, (wishes) => {
        const all = [...assignAddresses(wishes).values()];
        assert.equal(all.length, wishes.length);
        for (const [v4, v6] of all) {
          assert.ok(v4 !== undefined && inCidr(v4, V4) && v4 !== '240.240.0.0');
          assert.ok(v6 !== undefined && inCidr(v6, V6));
          assert.notEqual(v4, '240.240.255.255');
        }
        assert.equal(new Set(all.flat()).size, 2 * wishes.length);
      }),
    );
  });

  test('what a status says is kept, and assigning again changes nothing', () => {
    fc.assert(
      fc.property(WISHES, (wishes) => {
        const first = assignAddresses(wishes);
        const again = assignAddresses(
          wishes.map(({ key }) => wish(key, ...(first.get(key) ?? []))),
        );
        assert.deepEqual(new Map(again), new Map(first));
      }),
    );
  });

  test('a host keeps its address when others come and go', () => {
    fc.assert(
      fc.property(WISHES, WISHES, (wishes, others) => {
        const first = assignAddresses(wishes);
        const kept = wishes.map(({ key }) => wish(key, ...(first.get(key) ?? [])));
        const fresh = others.filter(({ key }) => !first.has(key)).map(({ key }) => wish(key));
        const later = assignAddresses([...fresh, ...kept]);
        for (const { key } of wishes) assert.deepEqual(later.get(key), first.get(key));
      }),
    );
  });

  test('two that say they have the same: the older one has it', () => {
    const found = assignAddresses([wish('old', '240.240.1.1'), wish('new', '240.240.1.1')]);
    assert.equal(found.get('old')?.[0], '240.240.1.1');
    assert.notEqual(found.get('new')?.[0], '240.240.1.1');
  });

  test('when the range is full, the youngest have none', () => {
    const wishes = Array.from({ length: 65_540 }, (_, index) => wish(`h${index}`));
    const found = assignAddresses(wishes);
    assert.equal(found.size, 65_534);
    assert.equal(found.has('h0'), true);
    assert.equal(found.has('h65539'), false);
  });
});
