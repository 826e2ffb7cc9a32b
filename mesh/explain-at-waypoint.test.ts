// What a waypoint makes of a request, explained: the verdict is the data path's own.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { authorizeRequest } from './authorize-request.ts';
import { explainAtWaypoint, type WaypointExplanation } from './explain-at-waypoint.ts';
import type { ResourceUpdate } from './resource-update.ts';
import type { Route } from './route.ts';
import { emptySnapshot } from './snapshot.ts';
import {
  ANY_FACTS,
  ANY_HTTP_POLICY,
  customPolicyOf,
  factsOf,
  httpPolicyOf,
  providerOf,
  ruleOf,
} from './test-http-policies.ts';
import { backendTo, EMPTY_RULE, matching, REGEX, routeOf } from './test-routes.ts';

const PLACE = { gateway: 'shop/waypoint', gatewayClass: 'ambit-waypoint', service: 'shop/a.test' };
const HERE = [{ kind: 'gateway', gateway: 'shop/waypoint' }] as const;
const evaluate = (): undefined => undefined;

function explain(updates: readonly ResourceUpdate[], facts = factsOf()): WaypointExplanation {
  const snapshot = emptySnapshot.apply(updates);
  return explainAtWaypoint({ place: PLACE, facts, snapshot, evaluate, regex: REGEX });
}

const policy = (
  one: Extract<ResourceUpdate, { kind: 'http-policy' }>['policy'],
): ResourceUpdate => ({
  kind: 'http-policy',
  policy: one,
});

const route = (parts: Partial<Route>): ResourceUpdate => ({
  kind: 'route',
  route: routeOf({
    namespace: 'shop',
    name: 'r',
    parents: [{ kind: 'service', service: PLACE.service, port: undefined, clientsOf: undefined }],
    ...parts,
  }),
});

describe('explainAtWaypoint()', () => {
  test('has the very decision of the data path', () => {
    const policies = fc.uniqueArray(ANY_HTTP_POLICY, {
      selector: ({ namespace, name }) => `${namespace}/${name}`,
      maxLength: 4,
    });
    fc.assert(
      fc.property(policies, ANY_FACTS, (all, facts) => {
        const here = all
          .map((one) => ({ ...one, targets: HERE }))
          .toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
        const explained = explain(here.map(policy), facts);
        const decision = authorizeRequest(here, facts, { evaluate });
        assert.deepEqual(explained.authorization.decision, decision);
        const verdicts = { allow: 'allowed', deny: 'denied', ask: 'asked' } as const;
        assert.equal(explained.verdict, verdicts[decision.verdict]);
      }),
    );
  });

  test('says which policy denies, and what would have to change', () => {
    const path = { attribute: 'request.path', not: false } as const;
    const deny = httpPolicyOf({
      rules: [ruleOf({ ...path, values: [{ kind: 'prefix', value: '/a' }] })],
    });
    const { verdict, authorization } = explain([policy(deny)]);
    assert.equal(verdict, 'denied');
    assert.match(authorization.policies[0]?.change ?? '', /must no longer match GET \/a/);
  });

  test('says which route and rule, and where they lead', () => {
    const rule = { ...EMPTY_RULE, backends: [backendTo('b', 9), backendTo('c', 1)] };
    const elsewhere = { ...EMPTY_RULE, matches: [matching({ path: '/b' })] };
    const { route: found, verdict } = explain([route({ rules: [elsewhere, rule] })]);
    assert.equal(verdict, 'allowed');
    assert.ok(found.kind === 'matched');
    assert.deepEqual([found.route, found.rule], ['http/shop/r', '1']);
    assert.deepEqual(
      found.backends.map(({ percent }) => percent),
      [90, 10],
    );
    assert.deepEqual(explain([route({ rules: [elsewhere] })]).route, {
      kind: 'unmatched',
      routes: ['http/shop/r'],
    });
    assert.equal(explain([route({ rules: [elsewhere] })]).verdict, 'unrouted');
    assert.deepEqual(explain([]).route, { kind: 'no-routes' });
  });

  test('a token policy that cannot be read denies; who is asked is not guessed', () => {
    const tokens = { namespace: 'shop', name: 't', targets: HERE, rules: [] };
    const broken = explain([
      { kind: 'request-authentication', policy: { ...tokens, broken: 'it is new' } },
    ]);
    assert.deepEqual([broken.verdict, broken.broken], ['denied', 'shop/t: it is new']);
    const asked = explain([policy(customPolicyOf(providerOf()))]);
    assert.equal(asked.verdict, 'asked');
    const filter = {
      kind: 'external-auth',
      protocol: 'http',
      target: backendTo('b').target,
      pathPrefix: '',
      allowedHeaders: [],
      allowedResponseHeaders: [],
      maxBodyBytes: 0,
    } as const;
    const filtered = explain([route({ rules: [{ ...EMPTY_RULE, filters: [filter] }] })]);
    assert.equal(filtered.verdict, 'asked');
  });
});
