import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serviceOf } from './test-arbitraries.ts';
import {
  DEFAULT_TRAFFIC_POLICY,
  localizedService,
  type TrafficPlace,
  trafficSettingsFor,
} from './traffic-defaults.ts';
import type { TrafficPolicy, TrafficTarget } from './traffic-policy.ts';

const PLACE: TrafficPlace = {
  service: 'shop/web.test',
  port: 80,
  route: { key: 'http/shop/web', rule: 'checkout' },
};
const at = (target: TrafficTarget, connectMs: number): TrafficPolicy => ({
  namespace: 'shop',
  name: `p${connectMs}`,
  targets: [target],
  settings: { timeouts: { ...DEFAULT_TRAFFIC_POLICY.timeouts, connectMs } },
});
const SERVICE = { kind: 'service', service: 'shop/web.test', port: undefined } as const;
const ROUTE = { kind: 'route', route: 'http/shop/web', rule: undefined } as const;
const FROM_GENERAL_TO_SPECIFIC: readonly TrafficTarget[] = [
  SERVICE,
  { ...SERVICE, port: 80 },
  ROUTE,
  { ...ROUTE, rule: 'checkout' },
];

describe('trafficSettingsFor()', () => {
  test('gives the defaults where no policy holds', () => {
    const elsewhere: readonly TrafficTarget[] = [
      { ...SERVICE, service: 'shop/other.test' },
      { ...SERVICE, port: 81 },
      { ...ROUTE, route: 'grpc/shop/web' },
      { ...ROUTE, rule: 'cart' },
    ];
    const policies = elsewhere.map((target, index) => at(target, index + 1));
    assert.deepEqual(trafficSettingsFor(PLACE, policies), DEFAULT_TRAFFIC_POLICY);
  });

  test('takes rule before route, route before port, port before service, in whatever order they come', () => {
    const policies = FROM_GENERAL_TO_SPECIFIC.map((target, index) => at(target, index + 1));
    for (let count = 1; count <= policies.length; count++) {
      const here = policies.slice(0, count);
      assert.equal(trafficSettingsFor(PLACE, here).timeouts.connectMs, count);
      assert.equal(trafficSettingsFor(PLACE, here.toReversed()).timeouts.connectMs, count);
    }
  });

  test('takes each section whole from the most specific policy that has it', () => {
    const retries = { ...DEFAULT_TRAFFIC_POLICY.retries, attempts: 7 };
    const general = { ...at(SERVICE, 1), settings: { ...at(SERVICE, 1).settings, retries } };
    const settings = trafficSettingsFor(PLACE, [at(ROUTE, 2), general]);
    assert.equal(settings.timeouts.connectMs, 2);
    assert.equal(settings.retries.attempts, 7);
  });

  test('passes over policies of routes where no route sent the request', () => {
    const place = { ...PLACE, route: undefined };
    assert.equal(trafficSettingsFor(place, [at(ROUTE, 2), at(SERVICE, 1)]).timeouts.connectMs, 1);
  });
});

describe('localizedService()', () => {
  const { loadBalancing } = DEFAULT_TRAFFIC_POLICY;
  const service = serviceOf({
    hostname: 'web.test',
    loadBalancing: { mode: 'failover', preference: ['node'], health: 'allow-all' },
  });

  test('leaves the Service as it is unless the policy says something', () => {
    assert.equal(localizedService(service, loadBalancing), service);
  });

  test('puts the policy in the place of the Service, except on health', () => {
    const modes = (['failover', 'strict', 'none'] as const).map(
      (locality) => localizedService(service, { ...loadBalancing, locality }).loadBalancing,
    );
    assert.deepEqual(
      modes.map((one) => [one?.mode, one?.preference.length, one?.health]),
      [
        ['failover', 3, 'allow-all'],
        ['strict', 3, 'allow-all'],
        ['unspecified', 0, 'allow-all'],
      ],
    );
  });
});
