// Any history of changes, losses and reconnects ends with the proxy, agent or waypoint, knowing exactly what is published for
// it, and at no moment does it know a workload without the policies that it names.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Mode } from '../../mesh/namespace.ts';
import { type Route, routeKey } from '../../mesh/route.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { ANY_ROUTE } from '../../mesh/test-any-route.ts';
import { ANY_TRUST_BUNDLE } from '../../mesh/test-arbitraries.ts';
import type { TrustBundle } from '../../mesh/trust.ts';
import { AGENT_TYPES, DiscoveryState, WAYPOINT_TYPES } from '../../runtime/discovery-state.ts';
import { Store } from '../store.ts';
import { Session } from './session.ts';
import { enrolment, policy, publish, type World, workload } from './test-world.ts';

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
    routes: fc.uniqueArray(ANY_ROUTE, { selector: routeKey, maxLength: 3 }),
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
    routes: Route[];
    trust: TrustBundle[];
  }): Required<Omit<World, 'listeners'>> => ({
    workloads: chosen.workloads.map(([name, n]) => {
      // each names some of the policies there are
      const some = chosen.policies.slice(0, n).map(([policyName]) => `shop/${policyName}`);
      return workload(name, { node: `n${n}`, authorizationPolicies: some });
    }),
    policies: chosen.policies.map(([name, dryRun]) => policy(name, dryRun)),
    namespaces: chosen.namespaces.map(([name, mode]) => ({ name, mode })),
    enrolments: chosen.enrolments.map(([uid, node]) => enrolment(uid, node)),
    routes: chosen.routes,
    trust: chosen.trust,
  });

  const PROXIES = [
    { kind: 'agent', types: AGENT_TYPES, node: 'n1' },
    { kind: 'waypoint', types: WAYPOINT_TYPES, node: undefined },
  ] as const;
  for (const { kind, types, node } of PROXIES) {
    test(`any history of changes, slow answers, reconnects and restarts ends with the published state (${kind})`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 40 }), choice, (steps, last) => {
          let store = new Store();
          let world: Required<Omit<World, 'listeners'>> = {
            workloads: [],
            policies: [],
            namespaces: [],
            enrolments: [],
            routes: [],
            trust: [],
          };
          publish(store, world);
          const state = new DiscoveryState({ types });
          const open = (): Session => {
            const session = new Session({ publication: store.current }, { node });
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
          const rebuilt = new DiscoveryState({ types });
          const fresh = new Session({ publication: store.current }, { node });
          for (const request of rebuilt.openingRequests({ id: 'x', cluster: 'c' }))
            fresh.receive(request);
          for (let r = fresh.next(); r !== undefined; r = fresh.next())
            fresh.receive(rebuilt.apply(r).answer);
          assert.deepEqual(contentOf(state.snapshot), contentOf(rebuilt.snapshot));
          assert.equal(contentOf(state.snapshot).workloads.length, world.workloads.length);
          assert.ok(session.inSync && state.complete);
          const known = contentOf(state.snapshot);
          if (kind === 'agent') assert.deepEqual(known.routes, []);
          else {
            assert.equal(known.routes.length, world.routes.length);
            assert.deepEqual(known.enrolments, []);
          }
        }),
        { numRuns: 300 },
      );
    });
  }
});

/** All that a snapshot knows, in an order of its own. */
function contentOf(snapshot: Snapshot) {
  const byText = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  return {
    workloads: [...snapshot.workloads()].toSorted(byText),
    policies: [...snapshot.policies()].toSorted(byText),
    namespaces: ['m', 'n'].map((name) => snapshot.namespace(name)),
    enrolments: [...snapshot.enrolments()].toSorted(byText),
    routes: [...snapshot.routes()].toSorted(byText),
    trust: [...snapshot.trustBundles()].toSorted(byText),
  };
}
