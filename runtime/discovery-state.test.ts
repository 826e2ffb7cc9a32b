// What a proxy makes of responses: good resources are applied, bad ones are refused by name, and resuming is exact.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CAPTURE_EVERYTHING } from '../mesh/capture-options.ts';
import type { Enrolment } from '../mesh/enrolment.ts';
import type { Route } from '../mesh/route.ts';
import { policyOf } from '../mesh/test-arbitraries.ts';
import {
  encodeEnrolment,
  type Resource,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
} from '../wire/discovery.ts';
import { encodePolicy } from '../wire/policy-resource.ts';
import { encodeRoute, TYPE_ROUTE } from '../wire/route-resource.ts';
import { AGENT_TYPES, DiscoveryState, WAYPOINT_TYPES } from './discovery-state.ts';

function enrolment(podUid: string): Enrolment {
  return {
    podUid,
    workloadUid: `Kubernetes//Pod/shop/${podUid}`,
    name: podUid,
    namespace: 'shop',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
    addresses: [],
    capture: CAPTURE_EVERYTHING,
  };
}

const resource = (name: string, changes: Partial<Resource> = {}): Resource => ({
  name,
  version: `v-${name}`,
  aliases: [],
  typeUrl: TYPE_ENROLMENT,
  body: encodeEnrolment(enrolment(name)),
  ...changes,
});

const response = (
  resources: Resource[],
  removed: string[] = [],
  typeUrl: string = TYPE_ENROLMENT,
) => ({
  systemVersion: '1',
  typeUrl,
  resources,
  removed,
  nonce: '7',
});

describe('DiscoveryState', () => {
  test('applies a response and acknowledges its nonce', () => {
    const state = new DiscoveryState();
    const { answer, updates } = state.apply(response([resource('a'), resource('b')]));
    assert.deepEqual(
      [answer.nonce, answer.typeUrl, answer.error, updates],
      ['7', TYPE_ENROLMENT, undefined, 2],
    );
    assert.deepEqual([...state.snapshot.enrolments()].map(({ podUid }) => podUid).sort(), [
      'a',
      'b',
    ]);
  });

  const bad: [string, Resource, RegExp][] = [
    [
      'bytes that are no message',
      resource('x', { body: new Uint8Array([255, 255]) }),
      /^x: Cannot read/,
    ],
    [
      'a body under another name',
      resource('x', { body: encodeEnrolment(enrolment('y')) }),
      /named "y"/,
    ],
    ['a body of another type', resource('x', { typeUrl: TYPE_ADDRESS }), /its body is of type/],
  ];
  for (const [name, broken, message] of bad) {
    test(`${name}: refused by name, the good ones beside it are applied`, () => {
      const state = new DiscoveryState();
      const { answer, rejected } = state.apply(response([broken, resource('b')]));
      assert.match(answer.error?.message ?? '', message);
      assert.equal(answer.nonce, '7');
      assert.deepEqual(
        rejected.map(({ name }) => name),
        ['x'],
      );
      assert.deepEqual(
        [...state.snapshot.enrolments()].map(({ podUid }) => podUid),
        ['b'],
      );
      const resumed = state
        .openingRequests({ id: 'n', cluster: 'c' })
        .find(({ typeUrl }) => typeUrl === TYPE_ENROLMENT);
      assert.deepEqual(
        [...(resumed?.initialVersions ?? [])],
        [['b', 'v-b']],
        'what was refused is not had',
      );
    });
  }

  test('a refused update leaves what was known under its name', () => {
    const state = new DiscoveryState();
    state.apply(response([resource('a')]));
    state.apply(response([resource('a', { version: 'v2', body: new Uint8Array([255]) })]));
    assert.equal(state.snapshot.enrolment('a')?.podUid, 'a');
  });

  describe('a policy that cannot be read', () => {
    const policy = policyOf({ name: 'p', scope: 'workload' });
    const named = { name: 'shop/p', typeUrl: TYPE_AUTHORIZATION };
    const good = resource('shop/p', { ...named, version: 'v1', body: encodePolicy(policy) });
    // field 4, action 7: of a control plane that knows more than we do
    const newer = resource('shop/p', {
      ...named,
      version: 'v2',
      body: Buffer.concat([encodePolicy({ ...policy, action: 'allow' }), Buffer.of(0x20, 7)]),
    });
    const garbage = resource('shop/p', { ...named, body: Uint8Array.of(255) });
    const told = (state: DiscoveryState, ...resources: Resource[]): void =>
      void state.apply(response(resources, [], TYPE_AUTHORIZATION));
    const known = (state: DiscoveryState) => state.snapshot.policyByKey('shop/p');

    test('is stood in for by one that allows nothing, in its scope or else its namespace', () => {
      for (const [broken, scope] of [
        [newer, 'workload'],
        [garbage, 'namespace'],
      ] as const) {
        const state = new DiscoveryState();
        told(state, broken);
        const { action, rules, scope: found } = known(state) ?? assert.fail('nothing is known');
        assert.deepEqual([action, rules, found], ['allow', [], scope]);
      }
    });

    test('leaves the one that could be read', () => {
      const state = new DiscoveryState();
      told(state, good);
      told(state, newer);
      assert.deepEqual(known(state), policy);
    });

    test('is asked for again on reconnect, gives way to one that can be read, and can be removed', () => {
      const state = new DiscoveryState();
      told(state, newer);
      const resumed = state
        .openingRequests({ id: 'n', cluster: 'c' })
        .find(({ typeUrl }) => typeUrl === TYPE_AUTHORIZATION);
      assert.deepEqual([...(resumed?.initialVersions ?? [])], [['shop/p', '']]);
      told(state, good);
      assert.deepEqual(known(state), policy);
      const second = new DiscoveryState();
      told(second, garbage);
      second.apply(response([], ['shop/p'], TYPE_AUTHORIZATION));
      assert.equal(known(second), undefined);
    });

    test('is stood in for by whoever starts from what was kept, too', () => {
      const state = new DiscoveryState({ keepBodies: true });
      told(state, newer);
      const restarted = new DiscoveryState({ keepBodies: true });
      restarted.restore(state.resources());
      assert.deepEqual(known(restarted), known(state));
      assert.equal(known(restarted)?.action, 'allow');
    });
  });

  test('a response of a type that was not asked for is refused', () => {
    const { answer } = new DiscoveryState().apply(response([], [], 'type.googleapis.com/x'));
    assert.match(answer.error?.message ?? '', /was not asked for/);
  });

  test('removes what is named, and ignores names it does not know', () => {
    const state = new DiscoveryState();
    state.apply(response([resource('a')]));
    const before = state.snapshot;
    assert.equal(state.apply(response([], ['nobody'])).updates, 0);
    assert.equal(state.snapshot, before, 'no new snapshot without a change');
    state.apply(response([], ['a']));
    assert.equal(state.snapshot.enrolment('a'), undefined);
  });

  test('is complete once every type was heard of, be it empty', () => {
    const state = new DiscoveryState();
    const types = state.openingRequests({ id: 'n', cluster: 'c' }).map(({ typeUrl }) => typeUrl);
    assert.equal(types.length, 5);
    for (const typeUrl of types) {
      assert.equal(state.complete, false);
      state.apply(response([], [], typeUrl));
    }
    assert.equal(state.complete, true);
  });
});

describe('DiscoveryState of a waypoint', () => {
  const route: Route = {
    kind: 'http',
    namespace: 'shop',
    name: 'web',
    createdAt: 1,
    parents: [{ kind: 'service', service: 'shop/a.test', port: 80, clientsOf: undefined }],
    rules: [],
  };
  const good = (changes: Partial<Resource> = {}): Resource => ({
    name: 'http/shop/web',
    version: 'v1',
    aliases: [],
    typeUrl: TYPE_ROUTE,
    body: encodeRoute(route),
    ...changes,
  });
  const newer = good({
    version: 'v2',
    body: new TextEncoder().encode(JSON.stringify({ ...route, mode: 'new' })),
  });

  test('asks for routes and for no enrolments; an agent does not know routes', () => {
    const asked = (types: readonly string[]): string[] =>
      new DiscoveryState({ types })
        .openingRequests({ id: 'n', cluster: 'c' })
        .map(({ typeUrl }) => typeUrl);
    assert.deepEqual(asked(WAYPOINT_TYPES), WAYPOINT_TYPES);
    assert.equal(asked(WAYPOINT_TYPES).includes(TYPE_ENROLMENT), false);
    assert.equal(asked(AGENT_TYPES).includes(TYPE_ROUTE), false);
    const agent = new DiscoveryState();
    assert.match(
      agent.apply(response([good()], [], TYPE_ROUTE)).answer.error?.message ?? '',
      /was not asked for/,
    );
  });

  test('is complete when each of its own types was heard of', () => {
    const state = new DiscoveryState({ types: WAYPOINT_TYPES });
    for (const type of WAYPOINT_TYPES) {
      assert.equal(state.complete, false);
      state.apply(response([], [], type));
    }
    assert.ok(state.complete);
  });

  test('a route that cannot be read and was not known ends its requests with 500, until it can or goes', () => {
    const state = new DiscoveryState({ types: WAYPOINT_TYPES });
    const { answer } = state.apply(response([newer], [], TYPE_ROUTE));
    assert.match(answer.error?.message ?? '', /field "mode" is not known/);
    const [closed] = state.snapshot.routesOfService('shop/a.test');
    assert.equal(closed?.rules[0]?.filters[0]?.kind, 'broken');
    const requests = state.openingRequests({ id: 'n', cluster: 'c' });
    const resumed = requests.find(({ typeUrl }) => typeUrl === TYPE_ROUTE);
    assert.deepEqual([...(resumed?.initialVersions ?? [])], [['http/shop/web', '']]);
    state.apply(response([good()], [], TYPE_ROUTE));
    assert.deepEqual(state.snapshot.routesOfService('shop/a.test'), [route]);
    state.apply(response([], ['http/shop/web'], TYPE_ROUTE));
    assert.deepEqual(state.snapshot.routesOfService('shop/a.test'), []);
  });

  test('a route that was known stays when its update cannot be read', () => {
    const state = new DiscoveryState({ types: WAYPOINT_TYPES });
    state.apply(response([good()], [], TYPE_ROUTE));
    state.apply(response([newer], [], TYPE_ROUTE));
    assert.deepEqual(state.snapshot.routesOfService('shop/a.test'), [route]);
  });
});
