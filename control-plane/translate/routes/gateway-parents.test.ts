// Routes for Gateways: which listeners take them, for which hosts, how many they have, and what the routes' status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Listener } from '../../../runtime/kubernetes/gateway-objects.ts';
import type { ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import { listenerKinds } from './gateway-parents.ts';
import { meetingHostnames } from './hostnames.ts';
import {
  GOOD,
  gateway,
  grpcRoute,
  onlyRoute,
  outcomeOf,
  route,
  run,
  statusOf,
  toGateway,
  toService,
} from './test-routes.ts';

const REFUSED = 'ResolvedRefs=True/ResolvedRefs';

type Attached = { status: string[]; listeners: string[] };

/** What becomes of an HTTPRoute of namespace shop at Gateway front. */
function attach(
  listeners: readonly Partial<Listener>[],
  ref: Partial<ParentReference> = {},
  hostnames: readonly string[] = [],
): Attached {
  const translation = run({
    gateways: [gateway('front', listeners)],
    httpRoutes: [route('r', { parentRefs: [toGateway('front', ref)], hostnames })],
  });
  return {
    status: statusOf(translation, 'r'),
    listeners: translation.routes.flatMap(({ parents }) =>
      parents.map((one) =>
        one.kind === 'listener' ? `${one.listener} ${one.hostnames.join(',')}`.trim() : '',
      ),
    ),
  };
}
const accepted = (...listeners: string[]): Attached => ({ status: [GOOD], listeners });
const refused = (reason: string): Attached => ({
  status: [`Accepted=False/${reason} ${REFUSED}`],
  listeners: [],
});

describe('routesOf(): Gateways as parents', () => {
  const two = [{ name: 'a' }, { name: 'b', port: 8080 }];

  test('every listener, or the one of a name, a port or both', () => {
    assert.deepEqual(attach(two), accepted('a', 'b'));
    assert.deepEqual(attach(two, { sectionName: 'b' }), accepted('b'));
    assert.deepEqual(attach(two, { port: 80 }), accepted('a'));
    assert.deepEqual(attach(two, { sectionName: 'b', port: 8080 }), accepted('b'));
    assert.deepEqual(attach(two, { sectionName: 'b', port: 80 }), refused('NoMatchingParent'));
    assert.deepEqual(attach(two, { sectionName: 'c' }), refused('NoMatchingParent'));
    assert.deepEqual(attach(two, { port: 81 }), refused('NoMatchingParent'));
  });

  test('namespaces as the listener allows: its own by default, all, or by label', () => {
    const from = (namespaces: object) => attach([{ allowedRoutes: { namespaces } }]);
    assert.deepEqual(attach([{ allowedRoutes: {} }]), refused('NotAllowedByListeners'));
    assert.deepEqual(from({ from: 'Same' }), refused('NotAllowedByListeners'));
    assert.deepEqual(from({ from: 'None' }), refused('NotAllowedByListeners'));
    assert.deepEqual(from({ from: 'All' }), accepted('http'));
    const named = (name: string) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } });
    assert.deepEqual(from({ from: 'Selector', selector: named('shop') }), accepted('http'));
    assert.deepEqual(
      from({ from: 'Selector', selector: named('ops') }),
      refused('NotAllowedByListeners'),
    );
    assert.deepEqual(from({ from: 'Selector' }), refused('NotAllowedByListeners'));
    const key = 'kubernetes.io/metadata.name';
    for (const [operator, values, takes] of [
      ['In', ['shop'], true],
      ['NotIn', ['shop'], false],
      ['Exists', [], true],
      ['DoesNotExist', [], false],
      ['Like', ['shop'], false],
    ] as const) {
      const selector = { matchExpressions: [{ key, operator, values }] };
      const outcome = from({ from: 'Selector', selector });
      assert.deepEqual(outcome, takes ? accepted('http') : refused('NotAllowedByListeners'));
    }
  });

  test('kinds as the protocol carries and the listener allows', () => {
    const kinds = (listener: Partial<Listener>): readonly string[] =>
      listenerKinds({ name: 'l', port: 1, protocol: 'HTTP', ...listener });
    assert.deepEqual(kinds({}), ['HTTPRoute', 'GRPCRoute']);
    assert.deepEqual(kinds({ allowedRoutes: { kinds: [{ kind: 'GRPCRoute' }] } }), ['GRPCRoute']);
    const foreign = { allowedRoutes: { kinds: [{ group: 'x.test', kind: 'HTTPRoute' }] } };
    assert.deepEqual(kinds(foreign), []);
    assert.deepEqual(kinds({ protocol: 'TLS', tls: { mode: 'Passthrough' } }), ['TLSRoute']);
    assert.deepEqual(kinds({ protocol: 'TLS' }), ['TLSRoute', 'TCPRoute']);
    assert.deepEqual(kinds({ protocol: 'HBONE' }), []);
    assert.deepEqual(attach([{ protocol: 'TLS' }]), refused('NotAllowedByListeners'));
  });

  test('hosts are those of route and listener together', () => {
    const one = (hostname: string | undefined, ...hostnames: string[]) =>
      attach([hostname === undefined ? {} : { hostname }], {}, hostnames);
    assert.deepEqual(one(undefined), accepted('http'));
    assert.deepEqual(one('a.test'), accepted('http a.test'));
    assert.deepEqual(one('*.test', 'a.test', 'b.else'), accepted('http a.test'));
    assert.deepEqual(one('a.test', 'b.test'), refused('NoMatchingListenerHostname'));
  });

  test('a Gateway of another class, of none or that is not there is not ours: nothing is said', () => {
    const httpRoutes = [route('r', { parentRefs: [toGateway('front')] })];
    for (const gateways of [
      [gateway('front', [{}], 'other')],
      [gateway('front', [{}], 'nobody')],
      [],
    ]) {
      const { outcomes, routes, attachedRoutes } = run({ gateways, httpRoutes });
      assert.deepEqual([outcomes, routes, attachedRoutes.size], [[], [], 0]);
    }
  });

  test('the namespace of a Gateway is the route’s own by default, and is echoed as it was written', () => {
    const own = { ...gateway('front', [{}]), metadata: { name: 'front', namespace: 'shop' } };
    const translation = run({
      gateways: [own],
      httpRoutes: [route('r', { parentRefs: [{ name: 'front' }] })],
    });
    assert.deepEqual(outcomeOf(translation, 'r').parents[0]?.parentRef, { name: 'front' });
    assert.deepEqual(statusOf(translation, 'r'), [GOOD]);
  });

  test('an HTTPRoute and a GRPCRoute share no host of a listener: the older has it', () => {
    const parentRefs = [toGateway('front')];
    const http = route('h', { parentRefs, hostnames: ['*.test'] });
    const grpc = (hostname: string, year: number) =>
      grpcRoute(
        'g',
        { parentRefs, hostnames: [hostname] },
        { creationTimestamp: `${year}-01-01T00:00:00Z` },
      );
    const both = (grpcRoute: ReturnType<typeof grpc>) => {
      const gateways = [gateway('front', [{}])];
      const translation = run({ gateways, httpRoutes: [http], grpcRoutes: [grpcRoute] });
      return [...statusOf(translation, 'h'), ...statusOf(translation, 'g')];
    };
    const lost = `Accepted=False/Conflicted ${REFUSED}`;
    assert.deepEqual(both(grpc('a.test', 2027)), [GOOD, lost]);
    assert.deepEqual(both(grpc('a.test', 2025)), [lost, GOOD]);
    assert.deepEqual(both(grpc('a.else', 2025)), [GOOD, GOOD]);
  });

  test('accepted routes are counted for each listener, whether their references are good or not', () => {
    const listeners = [
      { name: 'a' },
      { name: 'b', port: 8080 },
      { name: 'c', port: 81, protocol: 'TCP' },
    ];
    const bad = {
      parentRefs: [toGateway('front', { sectionName: 'a' })],
      rules: [{ backendRefs: [{ name: 'nobody', port: 1 }] }],
    };
    const twice = [toGateway('front', { sectionName: 'a' }), toGateway('front', { port: 80 })];
    const { attachedRoutes } = run({
      gateways: [gateway('front', listeners)],
      httpRoutes: [
        route('r1', { parentRefs: [toGateway('front')] }),
        route('r2', bad),
        route('r3', { parentRefs: twice }),
        route('r4', { parentRefs: [toGateway('front', { sectionName: 'c' })] }),
      ],
    });
    assert.deepEqual(Object.fromEntries(attachedRoutes), {
      'infra/front/a': 3,
      'infra/front/b': 1,
      'infra/front/c': 0,
    });
  });

  test('what a Gateway’s routes refer to elsewhere needs a grant, what a Service’s do does not', () => {
    const parentRefs = [toService('web'), toGateway('front')];
    const rules = [{ backendRefs: [{ name: 'api', namespace: 'ops', port: 80 }] }];
    const cluster = {
      gateways: [gateway('front', [{}])],
      httpRoutes: [route('r', { parentRefs, rules })],
    };
    const without = run(cluster);
    assert.deepEqual(statusOf(without, 'r'), [
      GOOD,
      'Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted',
    ]);
    const targets = without.routes.map(({ parents, rules: [rule] }) => [
      parents[0]?.kind,
      rule?.backends[0]?.target.kind,
    ]);
    assert.deepEqual(targets, [
      ['service', 'service'],
      ['listener', 'invalid'],
    ]);
    const from = { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' };
    const to = { group: '', kind: 'Service', name: 'api' };
    const granted = (changes: { from?: object; to?: object; namespace?: string }) =>
      statusOf(
        run({
          ...cluster,
          referenceGrants: [
            {
              metadata: { name: 'g', namespace: changes.namespace ?? 'ops' },
              spec: { from: [{ ...from, ...changes.from }], to: [{ ...to, ...changes.to }] },
            },
          ],
        }),
        'r',
      )[1];
    assert.equal(granted({}), GOOD);
    assert.equal(granted({ to: { name: undefined } }), GOOD);
    for (const near of [
      { namespace: 'shop' },
      { from: { group: '' } },
      { from: { kind: 'GRPCRoute' } },
      { from: { namespace: 'ops' } },
      { to: { group: 'x.test' } },
      { to: { kind: 'Secret' } },
      { to: { name: 'web' } },
    ]) {
      assert.match(granted(near) ?? '', /RefNotPermitted/, JSON.stringify(near));
    }
  });

  test('a TCPRoute takes no notice of hostnames', () => {
    const tcp = route('t', { parentRefs: [toGateway('front')] });
    const listener = { protocol: 'TCP', hostname: 'a.test' };
    const translation = run({ gateways: [gateway('front', [listener])], tcpRoutes: [tcp] });
    assert.deepEqual(onlyRoute(translation).parents, [
      { kind: 'listener', gateway: 'infra/front', listener: 'http', hostnames: [] },
    ]);
  });
});

describe('meetingHostnames()', () => {
  for (const [listener, hosts, met] of [
    [undefined, [], []],
    ['', ['A.test'], ['a.test']],
    ['a.test', [], ['a.test']],
    ['a.test', ['a.test', 'b.test'], ['a.test']],
    ['*.test', ['a.test', 'x.y.test'], ['a.test', 'x.y.test']],
    ['*.test', ['test'], undefined],
    ['a.test', ['*.test'], ['a.test']],
    ['*.a.test', ['*.test'], ['*.a.test']],
    ['*.test', ['*.a.test'], ['*.a.test']],
    ['*.test', ['*.else'], undefined],
    ['*.foo.test', ['barfoo.test'], undefined],
  ] as const) {
    test(`${listener} and ${hosts.join(', ')}`, () => {
      assert.deepEqual(meetingHostnames(listener, hosts), met);
    });
  }
});
