// Delta discovery without sockets: what a session sends, and that any history of changes, losses and reconnects ends
// with the agent knowing exactly what is published.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrustBundle } from '../../mesh/trust.ts';
import { DiscoveryState } from '../../runtime/discovery-state.ts';
import {
  TYPE_ADDRESS,
  TYPE_AUTHORIZATION,
  TYPE_ENROLMENT,
  TYPE_NAMESPACE,
} from '../../wire/discovery.ts';
import { TYPE_TRUST } from '../../wire/trust-resource.ts';
import { Store } from '../store.ts';
import { Session } from './session.ts';
import {
  ack,
  connect,
  enrolment,
  names,
  policy,
  publish,
  REQUEST,
  subscribe,
  workload,
} from './test-world.ts';

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
