import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AttachedPolicies, isInReach, type PolicyPlace } from './policy-target.ts';
import { ANY_TARGET } from './test-http-policies.ts';

const ANY_PLACE: fc.Arbitrary<PolicyPlace> = fc.record({
  gateway: fc.constantFrom('shop/waypoint', 'ops/waypoint', 'shop/other'),
  gatewayClass: fc.constantFrom('ambit-waypoint', 'ambit'),
  service: fc.constantFrom(undefined, 'shop/a.test', 'ops/b.test', 'shop/b.test'),
});

test('a place gets the policies that have it in reach, each once, by name, whatever else there is', () => {
  const policy = fc.record({
    namespace: fc.constantFrom('shop', 'ops'),
    name: fc.string({ minLength: 1, maxLength: 2 }),
    targets: fc.array(ANY_TARGET, { maxLength: 3 }),
  });
  let found = 0;
  fc.assert(
    fc.property(
      fc.uniqueArray(policy, { selector: ({ namespace, name }) => `${namespace}/${name}` }),
      ANY_PLACE,
      (policies, place) => {
        const attached = new AttachedPolicies(policies);
        const expected = policies.filter(({ targets }) =>
          targets.some((target) => isInReach(target, place)),
        );
        const name = (one: (typeof policies)[number]): string => `${one.namespace}/${one.name}`;
        assert.deepEqual(attached.of(place).map(name), expected.map(name).toSorted());
        assert.equal(attached.of({ ...place }), attached.of(place));
        found += expected.length;
      },
    ),
  );
  assert.ok(found > 0);
});

test('a namespace is its whole name', () => {
  const target = { kind: 'namespace', namespace: 'shop' } as const;
  const place = { gateway: 'shopping/w', gatewayClass: 'c', service: 'shop-b/a.test' };
  assert.equal(isInReach(target, place), false);
  assert.equal(isInReach(target, { ...place, service: 'shop/a.test' }), true);
});
