// Routes for Services: which Services and ports take them, for whose clients, and what their status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONTROLLER_NAME } from '../../../mesh/waypoint.ts';
import type { ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import {
  GOOD,
  grpcRoute,
  messageOf,
  onlyRoute,
  outcomeOf,
  route,
  run,
  statusOf,
  toService,
} from './test-routes.ts';

const WEB = 'shop/web.shop.svc.cluster.local';
const REFUSED = 'ResolvedRefs=True/ResolvedRefs';

describe('routesOf(): Services as parents', () => {
  const cases: [what: string, ref: ParentReference, ports: (number | undefined)[] | string][] = [
    ['a Service: every port', toService('web'), [undefined]],
    ['a port by number', toService('web', { port: 8080 }), [8080]],
    ['a port by name', toService('web', { sectionName: 'admin' }), [8080]],
    ['a port by both', toService('web', { sectionName: 'admin', port: 8080 }), [8080]],
    ['the core group by its old name', toService('web', { group: 'core' }), [undefined]],
    [
      'name and number that differ',
      toService('web', { sectionName: 'http', port: 8080 }),
      'NoMatchingParent',
    ],
    ['a port that is not there', toService('web', { port: 81 }), 'NoMatchingParent'],
    ['a Service that is not there', toService('nobody'), 'NoMatchingParent'],
    ['a headless Service', toService('headless'), 'UnsupportedValue'],
    ['an ExternalName', toService('outside'), 'UnsupportedValue'],
  ];
  for (const [what, ref, expected] of cases) {
    test(what, () => {
      const translation = run({ httpRoutes: [route('r', { parentRefs: [ref] })] });
      assert.deepEqual(outcomeOf(translation, 'r').parents[0]?.parentRef, ref, 'echoed exactly');
      if (typeof expected === 'string') {
        assert.deepEqual(translation.routes, []);
        assert.deepEqual(statusOf(translation, 'r'), [`Accepted=False/${expected} ${REFUSED}`]);
        return;
      }
      assert.deepEqual(statusOf(translation, 'r'), [GOOD]);
      assert.deepEqual(
        onlyRoute(translation).parents,
        expected.map((port) => ({ kind: 'service', service: WEB, port, clientsOf: undefined })),
      );
    });
  }

  test('a route of another namespace is for clients of its own, and needs nobody’s permission', () => {
    const ref = toService('web', { namespace: 'shop' });
    const rules = [{ backendRefs: [{ name: 'web', namespace: 'shop', port: 80 }] }];
    const consumer = route('r', { parentRefs: [ref], rules }, { namespace: 'ops' });
    const translation = run({ httpRoutes: [consumer] });
    assert.deepEqual(statusOf(translation, 'r'), [GOOD]);
    const { parents, rules: made } = onlyRoute(translation);
    assert.deepEqual(parents, [
      { kind: 'service', service: WEB, port: undefined, clientsOf: 'ops' },
    ]);
    assert.equal(made[0]?.backends[0]?.target.kind, 'service');
  });

  test('hostnames of a route say nothing about Services', () => {
    const translation = run({ httpRoutes: [route('r', { hostnames: ['else.test'] })] });
    assert.deepEqual(statusOf(translation, 'r'), [GOOD]);
  });

  test('several parents have an entry each, good or bad, and the good ones hold', () => {
    const parentRefs = [toService('web', { port: 80 }), toService('nobody'), toService('api')];
    const translation = run({ httpRoutes: [route('r', { parentRefs })] });
    assert.deepEqual(statusOf(translation, 'r'), [
      GOOD,
      `Accepted=False/NoMatchingParent ${REFUSED}`,
      GOOD,
    ]);
    assert.equal(onlyRoute(translation).parents.length, 2);
  });

  test('parents of other kinds are nobody’s business of ours', () => {
    const parentRefs = [
      { group: 'example.test', kind: 'Thing', name: 'x' },
      { group: '', kind: 'ServiceImport', name: 'x' },
    ];
    assert.deepEqual(run({ httpRoutes: [route('r', { parentRefs })] }).outcomes, []);
  });

  test('a route that had a parent of ours, and has none any more, is told of with none', () => {
    const parents = [{ parentRef: toService('web'), controllerName: CONTROLLER_NAME }];
    const left = { ...route('r', { parentRefs: [] }), status: { parents } };
    assert.deepEqual(outcomeOf(run({ httpRoutes: [left] }), 'r').parents, []);
  });

  test('says whether a waypoint applies it', () => {
    const httpRoutes = [route('r')];
    assert.match(messageOf(run({ httpRoutes }), 'r', 'Programmed'), /no waypoint. Label it/);
    assert.match(
      messageOf(run({ httpRoutes, waypoint: 'waypoint.shop' }), 'r', 'Programmed'),
      /^Waypoint waypoint.shop applies it/,
    );
  });
});

describe('routesOf(): several kinds on one Service', () => {
  const kinds = ['grpcRoutes', 'httpRoutes', 'tlsRoutes', 'tcpRoutes'] as const;
  for (const [index, best] of kinds.entries()) {
    test(`${best} win over all that come after them, whichever is older`, () => {
      const cluster = Object.fromEntries(
        kinds
          .slice(index)
          .map((kind, age) => [
            kind,
            [route(kind, {}, { creationTimestamp: `200${9 - age}-01-01T00:00:00Z` })],
          ]),
      );
      const translation = run(cluster);
      assert.deepEqual(statusOf(translation, best), [GOOD]);
      for (const loser of kinds.slice(index + 1)) {
        assert.deepEqual(statusOf(translation, loser), [`Accepted=False/Conflicted ${REFUSED}`]);
      }
      assert.deepEqual(onlyRoute(translation).name, best);
    });
  }

  test('only on the ports they share', () => {
    const grpc = grpcRoute('g', { parentRefs: [toService('web', { port: 8080 })] });
    const translation = run({ grpcRoutes: [grpc], httpRoutes: [route('h')] });
    assert.deepEqual(statusOf(translation, 'h'), [GOOD]);
    assert.match(messageOf(translation, 'h', 'Accepted'), /port 8080 of Service/);
    const http = translation.routes.find(({ kind }) => kind === 'http');
    assert.deepEqual(
      http?.parents.map((parent) => (parent.kind === 'service' ? parent.port : '')),
      [80],
    );
  });

  test('a consumer’s route does not meet the producer’s', () => {
    const parentRefs = [toService('web', { namespace: 'shop' })];
    const consumer = route('h', { parentRefs }, { namespace: 'ops' });
    const translation = run({ grpcRoutes: [grpcRoute('g')], httpRoutes: [consumer] });
    assert.deepEqual(
      [...statusOf(translation, 'g'), ...statusOf(translation, 'h')],
      [GOOD, 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs'],
    );
    assert.equal(translation.routes.length, 2);
  });

  test('a route that is refused takes nothing from others', () => {
    const rules = [{ filters: [{ type: 'Unheard' }] }];
    const translation = run({ grpcRoutes: [grpcRoute('g', { rules })], httpRoutes: [route('h')] });
    assert.deepEqual(statusOf(translation, 'h'), [GOOD]);
  });
});
