import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { AuthorizationPolicy, PolicyMatch } from '../../mesh/policy.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import type { Service } from '../../mesh/service.ts';
import { emptySnapshot, type Snapshot } from '../../mesh/snapshot.ts';
import { matchOf, serviceOf, workloadOf } from '../../mesh/test-arbitraries.ts';
import type { Workload } from '../../mesh/workload.ts';
import { CommandFailure } from '../exit.ts';
import { renderExplanation } from '../render/explain.ts';
import { plainStyle } from '../render/style.ts';
import { type ConnectionExplanation, explainConnection } from './evaluate.ts';
import { findDestination, findSource } from './places.ts';

const KEY = 'shop/cart.shop.svc.cluster.local';
const HTTP = { servicePort: 80, targetPort: 8080, appProtocol: 'http11' } as const;

const pod = (name: string, ip: string, more: Partial<Workload> = {}): Workload => ({
  ...workloadOf({ uid: `k//Pod/shop/${name}` }),
  name,
  workloadName: name,
  namespace: 'shop',
  serviceAccount: name,
  node: 'node-1',
  addresses: [parseIp(ip)],
  ...more,
});
const WEB = pod('web', '10.0.0.1');
const CART = pod('cart-1', '10.0.0.2', {
  services: new Map([[KEY, [HTTP]]]),
  workloadName: 'cart',
});
const SERVICE = serviceOf({
  hostname: 'cart.shop.svc.cluster.local',
  vips: [{ network: WEB.network, ip: parseIp('10.96.0.7'), prefixLength: undefined }],
  ports: [HTTP],
  canonical: true,
});

function world(
  workloads: readonly Workload[] = [WEB, CART],
  policies: readonly AuthorizationPolicy[] = [],
  services: readonly Service[] = [SERVICE],
): Snapshot {
  return emptySnapshot.apply([
    ...workloads.map((workload): ResourceUpdate => ({ kind: 'workload', workload })),
    ...services.map((service): ResourceUpdate => ({ kind: 'service', service })),
    ...policies.map((policy): ResourceUpdate => ({ kind: 'policy', policy })),
  ]);
}

const allowing = (match: Partial<PolicyMatch>): AuthorizationPolicy => ({
  name: 'only',
  namespace: 'shop',
  scope: 'namespace',
  action: 'allow',
  dryRun: false,
  rules: [{ clauses: [{ matches: [matchOf(match)] }] }],
});

function explainTo(snapshot: Snapshot, to: string, source = WEB): ConnectionExplanation {
  const from = findSource(`shop/${source.name}`, 'default', snapshot);
  const destination = findDestination(to, from, snapshot);
  return explainConnection({ source: from, to: destination.to, snapshot, at: () => snapshot });
}

describe('FROM and TO', () => {
  const snapshot = world([WEB, CART, pod('cart-2', '10.0.0.3', { workloadName: 'cart' })]);
  const to = (text: string): string => {
    const { to: found } = findDestination(text, WEB, snapshot);
    return `${found.ip}:${found.port}`;
  };

  test('a pod is found by its name, and by the name of what made it', () => {
    assert.equal(findSource('web', 'shop', snapshot).uid, WEB.uid);
    assert.equal(findSource('pod/web', 'shop', snapshot).uid, WEB.uid);
    assert.equal(findSource('shop/cart', 'default', snapshot).uid, CART.uid);
  });

  for (const [text, expected] of [
    ['cart', '10.96.0.7:80'],
    ['cart:80', '10.96.0.7:80'],
    ['cart.shop', '10.96.0.7:80'],
    ['cart.shop.svc.cluster.local:443', '10.96.0.7:443'],
    ['10.96.0.7', '10.96.0.7:80'],
    ['10.0.0.2', '10.0.0.2:8080'],
    ['shop/cart-1', '10.0.0.2:8080'],
    ['cart-1:9', '10.0.0.2:9'],
    ['[fd00::1]:80', 'fd00::1:80'],
    ['192.0.2.1:443', '192.0.2.1:443'],
  ] as const) {
    test(`"${text}" means ${expected}`, () => assert.equal(to(text), expected));
  }

  for (const text of ['nowhere', '192.0.2.1', 'shop/nowhere:80', 'cart:0', 'cart:99999', 'web']) {
    test(`"${text}" is refused with what to do`, () => {
      assert.throws(() => to(text), CommandFailure);
    });
  }
});

describe('a connection', () => {
  test('between two pods of the mesh goes through a tunnel, as the caller', () => {
    const { verdict, endpoints } = explainTo(world(), 'cart');
    assert.equal(verdict, 'allowed');
    assert.deepEqual(
      endpoints.map(({ workload, via, callerIdentity }) => [workload, via, callerIdentity]),
      [['shop/cart-1', 'tunnel', 'spiffe://cluster.local/ns/shop/sa/web']],
    );
  });

  test('is denied by the policy that denies, and says what would have to change', () => {
    const policy = allowing({ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'gone' }] });
    const explained = explainTo(world([WEB, CART], [policy]), 'cart');
    assert.equal(explained.verdict, 'denied');
    const text = renderExplanation({ ...explained, resolution: '' }, plainStyle);
    assert.match(text, /shop\/only \(ALLOW\) does not match/);
    assert.match(text, /-> For shop\/only to allow it, .*shop\/gone, but is shop\/web/);
  });

  test('of a caller outside the mesh carries no identity', () => {
    const outside = { ...WEB, protocol: 'tcp' } as const;
    const policy = allowing({ namespaces: [{ kind: 'exact', value: 'shop' }] });
    const { verdict, endpoints } = explainTo(world([outside, CART], [policy]), 'cart');
    assert.deepEqual(
      [verdict, endpoints[0]?.via, endpoints[0]?.callerIdentity],
      ['denied', 'tcp', undefined],
    );
    assert.equal(endpoints[0]?.address, '10.0.0.2:8080');
  });

  test('to a pod outside the mesh is checked by nobody', () => {
    const cart = { ...CART, protocol: 'tcp' } as const;
    const policy = allowing({ namespaces: [{ kind: 'exact', value: 'nobody' }] });
    const { verdict, endpoints } = explainTo(world([WEB, cart], [policy]), 'cart');
    assert.deepEqual([verdict, endpoints[0]?.outcome.result], ['allowed', 'unchecked']);
  });

  test('to a service with several endpoints shows all that may be chosen, and why not the others', () => {
    const sick = pod('cart-2', '10.0.0.3', { services: CART.services, health: 'unhealthy' });
    const well = pod('cart-3', '10.0.0.4', { services: CART.services });
    const { endpoints, leftOut } = explainTo(world([WEB, CART, sick, well]), 'cart');
    assert.deepEqual(endpoints.map(({ workload }) => workload).sort(), [
      'shop/cart-1',
      'shop/cart-3',
    ]);
    assert.deepEqual(leftOut, [{ workload: 'shop/cart-2', why: 'unhealthy' }]);
  });

  test('that some endpoints take and others do not depends', () => {
    const other = pod('cart-2', '10.0.0.3', {
      services: CART.services,
      authorizationPolicies: ['shop/missing'],
    });
    assert.equal(explainTo(world([WEB, CART, other]), 'cart').verdict, 'depends');
  });

  test('to a service without a healthy endpoint fails as the data plane says it', () => {
    const sick = { ...CART, health: 'unhealthy' } as const;
    const { verdict, failure, leftOut } = explainTo(world([WEB, sick]), 'cart');
    assert.deepEqual([verdict, failure?.code], ['failed', 'NO_HEALTHY_ENDPOINT']);
    assert.equal(leftOut.length, 1);
  });

  test('to a port the service has not fails', () => {
    assert.equal(explainTo(world(), 'cart:81').failure?.code, 'NO_HEALTHY_ENDPOINT');
  });

  test('behind a waypoint that is not there fails closed', () => {
    const waypoint = {
      by: 'hostname',
      namespace: 'shop',
      hostname: 'waypoint.shop',
      port: 15008,
    } as const;
    const { failure } = explainTo(world([WEB, CART], [], [{ ...SERVICE, waypoint }]), 'cart');
    assert.equal(failure?.code, 'WAYPOINT_UNAVAILABLE');
  });

  test('to what the mesh does not know passes, unless the namespace may reach known places only', () => {
    assert.equal(explainTo(world(), '192.0.2.1:443').verdict, 'allowed');
    const strict = { ...WEB, outboundPolicy: 'registry-only' } as const;
    const { failure } = explainTo(world([strict, CART]), '192.0.2.1:443');
    assert.equal(failure?.code, 'DESTINATION_BLOCKED');
  });

  test('to the agent itself is refused', () => {
    assert.equal(explainTo(world(), '127.0.0.1:15001').failure?.code, 'RECURSION');
  });
});
