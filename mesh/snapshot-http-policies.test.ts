// Policies for requests in a Snapshot: built by changes it finds the same as a naive search over what is left, and what
// nobody changed stays the same object.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { HttpPolicy } from './http-policy.ts';
import { policyKey } from './policy.ts';
import { isInReach, type PolicyPlace } from './policy-target.ts';
import type { ResourceUpdate } from './resource-update.ts';
import { emptySnapshot } from './snapshot.ts';
import { serviceOf } from './test-arbitraries.ts';
import { ANY_HTTP_POLICY, ANY_REQUEST_AUTHENTICATION } from './test-http-policies.ts';

const UPDATE: fc.Arbitrary<ResourceUpdate> = fc.oneof(
  ANY_HTTP_POLICY.map((policy) => ({ kind: 'http-policy', policy }) as const),
  ANY_HTTP_POLICY.map((one) => ({ kind: 'http-policy-removed', name: policyKey(one) }) as const),
  ANY_REQUEST_AUTHENTICATION.map((policy) => ({ kind: 'request-authentication', policy }) as const),
  ANY_REQUEST_AUTHENTICATION.map(
    (one) => ({ kind: 'request-authentication-removed', name: policyKey(one) }) as const,
  ),
);
const PLACES: readonly PolicyPlace[] = ['shop', 'ops'].flatMap((namespace) =>
  [undefined, 'shop/web.test', 'ops/job.test'].map((service) => ({
    gateway: `${namespace}/waypoint`,
    gatewayClass: 'ambit-waypoint',
    service,
  })),
);

describe('policies for requests in a Snapshot', () => {
  test('are at each place those that a search over all of them finds', () => {
    fc.assert(
      fc.property(fc.array(fc.array(UPDATE, { maxLength: 5 }), { maxLength: 6 }), (batches) => {
        let snapshot = emptySnapshot;
        const policies = new Map<string, HttpPolicy>();
        const tokens = new Map<string, unknown>();
        for (const batch of batches) {
          snapshot = snapshot.apply(batch);
          for (const one of batch) {
            if (one.kind === 'http-policy') policies.set(policyKey(one.policy), one.policy);
            if (one.kind === 'http-policy-removed') policies.delete(one.name);
            if (one.kind === 'request-authentication') tokens.set(policyKey(one.policy), one);
            if (one.kind === 'request-authentication-removed') tokens.delete(one.name);
          }
          for (const place of PLACES) {
            const expected = [...policies.values()]
              .filter(({ targets }) => targets.some((target) => isInReach(target, place)))
              .toSorted((a, b) => (policyKey(a) < policyKey(b) ? -1 : 1));
            assert.deepEqual(snapshot.httpPoliciesAt(place), expected);
          }
        }
        assert.equal([...snapshot.requestAuthentications()].length, tokens.size);
      }),
    );
  });

  test('stay the same objects while others change', () => {
    const [place] = PLACES as [PolicyPlace];
    const policy: HttpPolicy = {
      namespace: 'shop',
      name: 'a',
      targets: [{ kind: 'gateway', gateway: place.gateway }],
      action: 'allow',
      rules: [],
      dryRun: false,
    };
    const first = emptySnapshot.apply([{ kind: 'http-policy', policy }]);
    const second = first.apply([{ kind: 'service', service: serviceOf({ hostname: 'a.test' }) }]);
    assert.equal(second.httpPoliciesAt(place), first.httpPoliciesAt(place));
    assert.deepEqual(second.requestPolicySources(), first.requestPolicySources());
    const third = second.apply([{ kind: 'http-policy', policy: { ...policy, name: 'b' } }]);
    assert.notEqual(third.requestPolicySources()[0], first.requestPolicySources()[0]);
    assert.equal(third.requestPolicySources()[1], first.requestPolicySources()[1]);
  });
});
