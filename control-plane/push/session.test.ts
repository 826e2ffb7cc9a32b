// Delta discovery without sockets: what a session sends, and that any history of changes, losses and reconnects ends
// with the agent knowing exactly what is published.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../../mesh/address.ts';
import { CAPTURE_EVERYTHING } from '../../mesh/capture-options.ts';
import type { MeshNamespace, Mode } from '../../mesh/namespace.ts';
import type { AuthorizationPolicy } from '../../mesh/policy.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { ANY_TRUST_BUNDLE, workloadOf } from '../../mesh/test-arbitraries.ts';
import type { TrustBundle } from '../../mesh/trust.ts';
import type { Workload } from '../../mesh/workload.ts';
import { DiscoveryState } from '../../runtime/discovery-state.ts';
import {
  type DeltaRequest,
  type DeltaResponse,
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
  TYPE_NAMESPACE,
} from '../../wire/discovery.ts';
import { TYPE_TRUST } from '../../wire/trust-resource.ts';
import { type Publication, Store } from '../store.ts';
import type { PlacedEnrolment } from '../translate/world.ts';
import { Session } from './session.ts';

function workload(name: string, changes: Partial<Workload> = {}): Workload {
  return workloadOf({
    uid: `Kubernetes//Pod/shop/${name}`,
    node: 'n1',
    addresses: [parseIp('10.0.0.1')],
    ...changes,
  });
}

const policy = (name: string, dryRun = false): AuthorizationPolicy => ({
  name,
  namespace: 'shop',
  scope: 'namespace',
  action: 'deny',
  rules: [],
  dryRun,
});

const enrolment = (podUid: string, node: string): PlacedEnrolment => ({
  node,
  enrolment: {
    podUid,
    workloadUid: `Kubernetes//Pod/shop/${podUid}`,
    name: podUid,
    namespace: 'shop',
    identity: { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
    addresses: [parseIp('10.0.0.1')],
    capture: CAPTURE_EVERYTHING,
  },
});

type World = {
  workloads?: readonly Workload[];
  policies?: readonly AuthorizationPolicy[];
  namespaces?: readonly MeshNamespace[];
  enrolments?: readonly PlacedEnrolment[];
  trust?: readonly TrustBundle[];
};

function publish(store: Store, world: World): Publication {
  store.publish({
    workloads: [],
    services: [],
    policies: [],
    namespaces: [],
    enrolments: [],
    trust: [],
    ...world,
  });
  return store.current;
}

const REQUEST: Omit<DeltaRequest, 'typeUrl'> = {
  node: undefined,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: '',
  error: undefined,
};

function subscribe(store: Store, node = 'n1'): Session {
  const session = new Session({ publication: store.current }, { node });
  for (const typeUrl of [
    TYPE_ADDRESS,
    TYPE_AUTHORIZATION,
    TYPE_ENROLMENT,
    TYPE_NAMESPACE,
    TYPE_TRUST,
  ]) {
    session.receive({ ...REQUEST, typeUrl });
  }
  return session;
}

/** Subscribed to everything; trust, which comes first, is acknowledged already. */
function connect(store: Store, node = 'n1'): Session {
  const session = subscribe(store, node);
  ack(session, session.next());
  return session;
}

function ack(session: Session, response: DeltaResponse | undefined, message?: string) {
  assert.ok(response);
  const { typeUrl, nonce } = response;
  const error = message === undefined ? undefined : { code: 3, message };
  return session.receive({ ...REQUEST, typeUrl, nonce, error });
}

const names = (response: DeltaResponse | undefined) => response?.resources.map(({ name }) => name);

describe('Session', () => {
  test('sends policies, addresses, namespaces, enrolments in this order, each once even if there is nothing', () => {
    const store = new Store();
    publish(store, {});
    const session = connect(store);
    const types = Array.from({ length: 5 }, () => session.next());
    assert.deepEqual(
      types.map((response) => response?.typeUrl),
      [TYPE_AUTHORIZATION, TYPE_ADDRESS, TYPE_NAMESPACE, TYPE_ENROLMENT, undefined],
    );
    assert.equal(session.inSync, false);
    for (const response of types.slice(0, 4)) ack(session, response);
    assert.equal(session.inSync, true);
  });

  test('sends whom to believe before anything else, and waits until that is taken', () => {
    const store = new Store();
    const bundle: TrustBundle = {
      trustDomain: 'cluster.local',
      roots: ['A'],
      aliases: [],
      retiring: [],
      renewWithinMs: 0,
      crls: [],
    };
    publish(store, { trust: [bundle] });
    const session = subscribe(store);
    const first = session.next();
    assert.deepEqual([first?.typeUrl, names(first)], [TYPE_TRUST, ['cluster.local']]);
    session.publish(
      publish(store, { trust: [{ ...bundle, roots: ['A', 'B'] }], workloads: [workload('a')] }),
    );
    assert.equal(session.next(), undefined, 'nothing goes out before the roots are taken');
    ack(session, first);
    assert.equal(session.next()?.typeUrl, TYPE_TRUST);
  });

  test('sends only what changed or vanished', () => {
    const store = new Store();
    publish(store, { workloads: [workload('a'), workload('b'), workload('c')] });
    const session = connect(store);
    for (let i = 0; i < 4; i++) ack(session, session.next());
    session.publish(
      publish(store, { workloads: [workload('a'), workload('b', { health: 'unhealthy' })] }),
    );
    const response = session.next();
    assert.deepEqual(names(response), ['Kubernetes//Pod/shop/b']);
    assert.deepEqual(response?.removed, ['Kubernetes//Pod/shop/c']);
  });

  test('has one response of a type on its way, and sends the newest when that is answered', () => {
    const store = new Store();
    publish(store, {});
    const session = connect(store);
    for (let i = 0; i < 4; i++) ack(session, session.next());
    session.publish(publish(store, { workloads: [workload('a')] }));
    const first = session.next();
    session.publish(publish(store, { workloads: [workload('a', { node: 'n2' }), workload('b')] }));
    session.publish(publish(store, { workloads: [workload('a', { node: 'n3' })] }));
    assert.equal(session.next(), undefined);
    ack(session, first);
    const second = session.next();
    assert.deepEqual(names(second), ['Kubernetes//Pod/shop/a'], 'b came and went unseen');
    assert.deepEqual(second?.removed, []);
    ack(session, second);
    assert.equal(session.inSync, true);
  });

  test('later types wait for what earlier ones have still to bring', () => {
    const store = new Store();
    publish(store, {});
    const session = connect(store);
    for (let i = 0; i < 4; i++) ack(session, session.next());
    session.publish(publish(store, { policies: [policy('p')] }));
    const first = session.next();
    const attached = workload('a', { authorizationPolicies: ['shop/q'] });
    session.publish(
      publish(store, { policies: [policy('p'), policy('q')], workloads: [attached] }),
    );
    assert.equal(session.next(), undefined, 'the workload may not come before its policy');
    ack(session, first);
    assert.equal(session.next()?.typeUrl, TYPE_AUTHORIZATION);
    assert.equal(session.next()?.typeUrl, TYPE_ADDRESS);
  });

  test('shows an agent only the enrolments of its own node', () => {
    const store = new Store();
    publish(store, { enrolments: [enrolment('u1', 'n1'), enrolment('u2', 'n2')] });
    const session = connect(store, 'n2');
    session.next();
    session.next();
    session.next();
    assert.deepEqual(names(session.next()), ['u2']);
  });

  test('splits what is large, and is in sync only after the last part', () => {
    const store = new Store();
    const workloads = Array.from({ length: 3000 }, (_, i) =>
      workload(`pod-${i}`, { canonicalName: 'x'.repeat(2000) }),
    );
    publish(store, { workloads });
    const session = connect(store);
    ack(session, session.next());
    const parts = [];
    for (
      let response = session.next();
      response?.typeUrl === TYPE_ADDRESS;
      response = session.next()
    ) {
      parts.push(response.resources.length);
      assert.equal(session.acked(TYPE_ADDRESS), 0);
      ack(session, response);
    }
    assert.ok(parts.length > 2, `${parts.length} parts`);
    assert.equal(
      parts.reduce((a, b) => a + b),
      3000,
    );
    assert.equal(session.acked(TYPE_ADDRESS), store.current.version);
  });

  test('a refused resource is not sent again until it changes, and leaves the agent out of sync', () => {
    const store = new Store();
    publish(store, { workloads: [workload('a')] });
    const session = connect(store);
    ack(session, session.next());
    const receipt = ack(session, session.next(), 'a: no');
    assert.deepEqual(receipt, { kind: 'nack', typeUrl: TYPE_ADDRESS, message: 'a: no' });
    ack(session, session.next());
    ack(session, session.next());
    assert.equal(session.next(), undefined);
    assert.equal(session.inSync, false);
    session.publish(publish(store, { workloads: [workload('a', { node: 'n9' })] }));
    ack(session, session.next());
    assert.equal(session.inSync, true);
  });

  test('takes a policy away only once no workload of the agent names it any more', () => {
    const store = new Store();
    publish(store, {
      policies: [policy('p')],
      workloads: [workload('a', { authorizationPolicies: ['shop/p'] })],
    });
    const session = connect(store);
    for (let next = session.next(); next !== undefined; next = session.next()) ack(session, next);
    session.publish(publish(store, { workloads: [workload('a')] }));
    const address = session.next();
    assert.deepEqual([address?.typeUrl, names(address)?.length], [TYPE_ADDRESS, 1]);
    assert.equal(session.next(), undefined, 'the agent may still name it');
    ack(session, address);
    const removal = session.next();
    assert.deepEqual([removal?.typeUrl, removal?.removed], [TYPE_AUTHORIZATION, ['shop/p']]);
    ack(session, removal);
    assert.equal(session.inSync, true);
  });

  test('answers with a nonce nobody waits for, or of a type nobody knows, change nothing', () => {
    const store = new Store();
    publish(store, {});
    const session = connect(store);
    session.next();
    const stale = session.receive({ ...REQUEST, typeUrl: TYPE_AUTHORIZATION, nonce: '99' });
    const unknown = session.receive({ ...REQUEST, typeUrl: 'x' });
    assert.deepEqual([stale.kind, unknown.kind], ['ignored', 'ignored']);
    assert.equal(session.acked(TYPE_AUTHORIZATION), 0);
  });

  test('a policy that takes the place of another leaves no moment without one, however slow the agent', () => {
    const store = new Store();
    publish(store, { policies: [policy('p0')], workloads: [workload('a')] });
    const state = new DiscoveryState();
    const session = new Session({ publication: store.current }, { node: 'n1' });
    for (const request of state.openingRequests({ id: 'x', cluster: 'c' }))
      session.receive(request);
    let seen = 0;
    const deliver = (): boolean => {
      const response = session.next();
      if (response === undefined) return false;
      session.receive(state.apply(response).answer);
      if (state.complete) {
        seen++;
        assert.notEqual([...state.snapshot.policies()].length, 0);
      }
      return true;
    };
    while (deliver());
    for (let i = 1; i <= 60; i++) {
      // some of them together with a change of the workload, after which policies may go
      const node = i % 5 === 0 ? `n${i}` : 'n1';
      session.publish(
        publish(store, { policies: [policy(`p${i}`)], workloads: [workload('a', { node })] }),
      );
      // an agent that takes one response while several changes come
      if (i % 3 === 0) deliver();
    }
    while (deliver());
    assert.deepEqual(
      [...state.snapshot.policies()].map(({ name }) => name),
      ['p60'],
    );
    assert.ok(seen > 20, `${seen} snapshots`);
  });
});

/** All that a snapshot knows, in an order of its own. */
function contentOf(snapshot: Snapshot) {
  const byText = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  return {
    workloads: [...snapshot.workloads()].toSorted(byText),
    policies: [...snapshot.policies()].toSorted(byText),
    namespaces: ['m', 'n'].map((name) => snapshot.namespace(name)),
    enrolments: [...snapshot.enrolments()].toSorted(byText),
    trust: [...snapshot.trustBundles()].toSorted(byText),
  };
}

describe('Session with DiscoveryState', () => {
  // Moreover: at no moment does a workload name a policy that the agent does not know.
  const choice = fc.record({
    workloads: fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(2)), {
      selector: ([name]) => name,
    }),
    policies: fc.uniqueArray(fc.tuple(fc.constantFrom('p', 'q'), fc.boolean()), {
      selector: ([name]) => name,
    }),
    namespaces: fc.uniqueArray(
      fc.tuple(fc.constantFrom('m', 'n'), fc.constantFrom<Mode[]>('ambient', 'none', 'unset')),
      { selector: ([name]) => name },
    ),
    enrolments: fc.uniqueArray(
      fc.tuple(fc.constantFrom('u', 'v', 'w'), fc.constantFrom('n1', 'n2')),
      {
        selector: ([uid]) => uid,
      },
    ),
    trust: fc.uniqueArray(ANY_TRUST_BUNDLE, { selector: ({ trustDomain }) => trustDomain }),
  });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('publish' as const), world: choice }),
    fc.record({ kind: fc.constant('deliver' as const), count: fc.nat(3) }),
    fc.record({ kind: fc.constant('reconnect' as const) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  );
  const worldOf = (chosen: {
    workloads: [string, number][];
    policies: [string, boolean][];
    namespaces: [string, Mode][];
    enrolments: [string, string][];
    trust: TrustBundle[];
  }): Required<World> => ({
    workloads: chosen.workloads.map(([name, n]) => {
      // each names some of the policies there are
      const some = chosen.policies.slice(0, n).map(([policyName]) => `shop/${policyName}`);
      return workload(name, { node: `n${n}`, authorizationPolicies: some });
    }),
    policies: chosen.policies.map(([name, dryRun]) => policy(name, dryRun)),
    namespaces: chosen.namespaces.map(([name, mode]) => ({ name, mode })),
    enrolments: chosen.enrolments.map(([uid, node]) => enrolment(uid, node)),
    trust: chosen.trust,
  });

  test('any history of changes, slow answers, reconnects and restarts ends with the published state', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), choice, (steps, last) => {
        let store = new Store();
        let world: Required<World> = {
          workloads: [],
          policies: [],
          namespaces: [],
          enrolments: [],
          trust: [],
        };
        publish(store, world);
        const state = new DiscoveryState();
        const open = (): Session => {
          const session = new Session({ publication: store.current }, { node: 'n1' });
          for (const request of state.openingRequests({ id: 'x', cluster: 'c' }))
            session.receive(request);
          return session;
        };
        const deliver = (): boolean => {
          const response = session.next();
          if (response === undefined) return false;
          session.receive(state.apply(response).answer);
          const { snapshot } = state;
          for (const one of state.complete ? snapshot.workloads() : []) {
            assert.deepEqual(snapshot.unknownPoliciesOf(one), [], 'refused for want of a policy');
          }
          return true;
        };
        let session = open();
        for (const one of steps) {
          if (one.kind === 'publish') {
            world = worldOf(one.world);
            session.publish(publish(store, world));
          } else if (one.kind === 'deliver') {
            for (let i = 0; i < one.count; i++) deliver();
          } else {
            if (one.kind === 'restart') {
              store = new Store();
              publish(store, world);
            }
            // what was on its way is lost
            session.next();
            session = open();
          }
        }
        world = worldOf(last);
        session.publish(publish(store, world));
        while (deliver()) assert.equal(session.acked('x' as never), 0);
        const rebuilt = new DiscoveryState();
        const fresh = new Session({ publication: store.current }, { node: 'n1' });
        for (const request of rebuilt.openingRequests({ id: 'x', cluster: 'c' }))
          fresh.receive(request);
        for (let r = fresh.next(); r !== undefined; r = fresh.next())
          fresh.receive(rebuilt.apply(r).answer);
        assert.deepEqual(contentOf(state.snapshot), contentOf(rebuilt.snapshot));
        assert.equal(contentOf(state.snapshot).workloads.length, world.workloads.length);
        assert.ok(session.inSync && state.complete);
      }),
      { numRuns: 500 },
    );
  });
});
