// Who goes through which waypoint, seen from whole translations: what agents are told, and what people are.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GatewayAddress } from '../../mesh/workload.ts';
import type { Gateway, Listener } from '../../runtime/kubernetes/gateway-objects.ts';
import type { Namespace, Pod, Service } from '../../runtime/kubernetes/objects.ts';
import {
  conditions,
  run,
  SETTINGS,
  serviceEntry,
  pod as shopPod,
  workloadEntry,
} from './test-entries.ts';
import { EMPTY_WORLD } from './test-world.ts';
import type { Translation } from './world.ts';
import { createTranslationMemo, translate } from './world.ts';

type Labels = Record<string, string>;
const USE = 'ambit-mesh.io/use-waypoint';
const FROM = 'ambit-mesh.io/use-waypoint-namespace';
const FOR = 'ambit-mesh.io/waypoint-for';

function gateway(
  changes: {
    name?: string;
    namespace?: string;
    labels?: Labels;
    className?: string;
    allowed?: NonNullable<Listener['allowedRoutes']>['namespaces'];
    ready?: boolean;
    leaving?: boolean;
  } = {},
): Gateway {
  const { name = 'waypoint', namespace = 'shop', labels = {}, ready = true } = changes;
  const listener = { name: 'mesh', port: 15008, protocol: 'HBONE' };
  return {
    metadata: {
      name,
      namespace,
      labels,
      ...(changes.leaving === true ? { deletionTimestamp: '2030-01-01T00:00:00Z' } : {}),
    },
    spec: {
      gatewayClassName: changes.className ?? 'ambit-waypoint',
      listeners: [
        changes.allowed === undefined
          ? listener
          : { ...listener, allowedRoutes: { namespaces: changes.allowed } },
      ],
    },
    status: { conditions: [{ type: 'Programmed', status: ready ? 'True' : 'False' }] },
  };
}

function service(labels: Labels = {}, more: Partial<Service> = {}): Service {
  return {
    metadata: { name: 'web', namespace: 'shop', uid: 'u-web', labels },
    spec: { clusterIP: '10.96.0.1', ports: [{ port: 80 }] },
    ...more,
  };
}

const pod = (labels: Labels = {}, spec: object = {}): Pod => shopPod('web-1', labels, spec);
const shop = (labels: Labels = {}): Map<string, Namespace> =>
  new Map([
    ['shop', { metadata: { name: 'shop', labels } }],
    ['infra', { metadata: { name: 'infra' } }],
  ]);

type Given = {
  gateways?: Gateway[];
  namespace?: Labels;
  service?: Labels;
  pod?: Labels;
};
function given({ gateways = [gateway()], ...labels }: Given): Translation {
  return run({
    gateways,
    namespaces: shop(labels.namespace),
    services: [service(labels.service)],
    pods: [pod(labels.pod)],
  });
}

const text = (address: GatewayAddress | undefined): string | undefined =>
  address?.by === 'hostname'
    ? `${address.namespace} ${address.hostname}:${address.port}`
    : undefined;
const ofService = ({ services }: Translation) => text(services[0]?.waypoint);
const ofPod = ({ workloads }: Translation) => text(workloads[0]?.waypoint);
const both = (it: Given) => {
  const translation = given(it);
  return [ofService(translation), ofPod(translation)];
};
const boundOf = (translation: Translation) =>
  translation.outcomes
    .filter(({ resource }) => resource.kind === 'Service')
    .flatMap(conditions)
    .map((one) => one.replace('ambit-mesh.io/WaypointBound=', ''));

const HERE = 'shop waypoint.shop.svc.cluster.local:15008';
const THERE = 'infra waypoint.infra.svc.cluster.local:15008';
const NAMED = { [USE]: 'waypoint' };
const ABROAD = { [USE]: 'waypoint', [FROM]: 'infra' };

describe('a waypoint', () => {
  test('of a namespace is for its services; by its own label for workloads, both or nothing', () => {
    const taking = (value?: string) =>
      both({
        gateways: [gateway({ labels: value === undefined ? {} : { [FOR]: value } })],
        namespace: NAMED,
      });
    assert.deepEqual(taking(), [HERE, undefined]);
    assert.deepEqual(taking('service'), [HERE, undefined]);
    assert.deepEqual(taking('workload'), [undefined, HERE]);
    assert.deepEqual(taking('all'), [HERE, HERE]);
    assert.deepEqual(taking('none'), [undefined, undefined]);
  });

  test('with a kind of traffic nobody knows is one for services', () => {
    const gateways = [gateway({ labels: { [FOR]: 'services' } })];
    assert.deepEqual(both({ gateways, namespace: NAMED }), [HERE, undefined]);
  });

  test('nobody asks for is for nobody', () => {
    const gateways = [gateway({ labels: { [FOR]: 'all' } })];
    assert.deepEqual(both({ gateways }), [undefined, undefined]);
    assert.deepEqual(both({ gateways, namespace: { [USE]: '' } }), [undefined, undefined]);
  });

  test('is chosen by an object before its namespace, which may want none', () => {
    const all = { [FOR]: 'all' };
    const gateways = [gateway({ labels: all }), gateway({ name: 'own', labels: all })];
    const own = 'shop own.shop.svc.cluster.local:15008';
    const labels = { [USE]: 'own' };
    assert.deepEqual(both({ gateways, namespace: NAMED, service: labels }), [own, HERE]);
    assert.deepEqual(both({ gateways, namespace: NAMED, pod: labels }), [HERE, own]);
    const none = { [USE]: 'none' };
    assert.deepEqual(both({ gateways, namespace: NAMED, service: none, pod: none }), [
      undefined,
      undefined,
    ]);
    assert.deepEqual(both({ gateways, namespace: none, service: labels }), [own, undefined]);
  });

  test('that is not there is still gone through: connections fail, none goes around it', () => {
    assert.deepEqual(both({ gateways: [], namespace: NAMED }), [HERE, HERE]);
    const leaving = [gateway({ leaving: true })];
    assert.deepEqual(both({ gateways: leaving, namespace: NAMED }), [HERE, HERE]);
    const { problems } = given({ gateways: [], namespace: NAMED });
    assert.deepEqual(
      problems.map(({ object, reason }) => [object, reason]),
      [['Namespace shop', 'WaypointMissing']],
    );
  });

  test('of another namespace must admit the one that asks, or connections fail without reaching it', () => {
    const labels = { [FOR]: 'all' };
    const to = (allowed?: NonNullable<Listener['allowedRoutes']>['namespaces']) =>
      both({
        gateways: [
          gateway({ namespace: 'infra', labels, ...(allowed === undefined ? {} : { allowed }) }),
        ],
        namespace: { ...ABROAD, team: 'shop' },
      });
    const nobody = 'infra waypoint.infra.svc.cluster.local.not-admitted.invalid:15008';
    assert.deepEqual(to(), [nobody, nobody]);
    assert.deepEqual(to({ from: 'Same' }), [nobody, nobody]);
    assert.deepEqual(to({ from: 'All' }), [THERE, THERE]);
    const selecting = (team: string) =>
      to({ from: 'Selector', selector: { matchLabels: { team } } });
    assert.deepEqual(selecting('shop'), [THERE, THERE]);
    assert.deepEqual(selecting('bank'), [nobody, nobody]);
    assert.deepEqual(to({ from: 'Selector' }), [nobody, nobody]);
  });

  test('must be a Gateway of the waypoint class', () => {
    const gateways = [gateway({ className: 'ambit-ingress' })];
    const [address] = both({ gateways, service: NAMED });
    assert.equal(address, 'shop waypoint.shop.svc.cluster.local.not-admitted.invalid:15008');
    assert.deepEqual(boundOf(given({ gateways, service: NAMED })), ['False NotAWaypoint']);
  });

  test('takes ServiceEntries and WorkloadEntries by the same labels', () => {
    const labels = { [USE]: 'waypoint' };
    const entry = serviceEntry({ hosts: ['api.example'], resolution: 'STATIC' });
    const other = workloadEntry({ address: '192.0.2.7' });
    const translation = run({
      gateways: [gateway({ labels: { [FOR]: 'all' } })],
      serviceEntries: [{ ...entry, metadata: { ...entry.metadata, labels } }],
      workloadEntries: [{ ...other, metadata: { ...other.metadata, labels } }],
    });
    assert.deepEqual([ofService(translation), ofPod(translation)], [HERE, HERE]);
    const [outcome] = translation.outcomes;
    assert.ok(conditions(outcome).includes('ambit-mesh.io/WaypointBound=True Bound'));
  });

  test('is never in front of itself', () => {
    const managed = { 'ambit-mesh.io/managed': 'waypoint' };
    const gateways = [gateway({ labels: { [FOR]: 'all' } })];
    assert.deepEqual(both({ gateways, namespace: NAMED, service: managed, pod: managed }), [
      undefined,
      undefined,
    ]);
  });

  test('is not in front of pods on their node’s address, nor of those that ended', () => {
    const translated = (one: Pod) =>
      run({
        gateways: [gateway({ labels: { [FOR]: 'all' } })],
        namespaces: shop(NAMED),
        pods: [one],
      });
    const onNode = translated(pod({}, { hostNetwork: true }));
    assert.equal(ofPod(onNode), undefined);
    assert.equal(onNode.waypointUses.size, 0);
    const ended = { ...pod(), status: { phase: 'Succeeded' as const, podIP: '10.0.0.7' } };
    assert.equal(translated(ended).waypointUses.size, 0);
  });

  test('knows how many go through it', () => {
    const { waypointUses } = given({
      gateways: [gateway({ labels: { [FOR]: 'all' } })],
      namespace: NAMED,
    });
    assert.deepEqual([...waypointUses], [['shop/waypoint', { services: 1, workloads: 1 }]]);
  });

  test('is taken over at the next translation of the same objects', () => {
    const memo = createTranslationMemo();
    const [object, own] = [service(), pod()];
    const at = (gateways: Gateway[], labels: Labels) => {
      const world = {
        ...EMPTY_WORLD,
        gateways,
        namespaces: shop(labels),
        services: [object],
        pods: [own],
      };
      const translation = translate(world, SETTINGS, memo);
      return [ofService(translation), ofPod(translation)];
    };
    const all = [gateway({ labels: { [FOR]: 'all' } })];
    assert.deepEqual(at(all, {}), [undefined, undefined]);
    assert.deepEqual(at(all, NAMED), [HERE, HERE]);
    assert.deepEqual(at([gateway()], NAMED), [HERE, undefined]);
    assert.deepEqual(at([gateway()], {}), [undefined, undefined]);
  });
});

describe('the pods of a waypoint', () => {
  const managed = (ready: boolean, kind = 'waypoint'): Pod => {
    const one = pod({ 'ambit-mesh.io/managed': kind, 'ambit-mesh.io/mode': 'none' });
    const status = ready ? ('True' as const) : ('False' as const);
    return { ...one, status: { ...one.status, conditions: [{ type: 'Ready', status }] } };
  };
  const protocolOf = (one: Pod) => {
    const namespaces = shop({ 'ambit-mesh.io/mode': 'ambient' });
    const [workload] = run({ namespaces, pods: [one] }).workloads;
    return [workload?.protocol, workload?.nativeTunnel];
  };

  test('take tunnels by themselves as soon as they are ready', () => {
    assert.deepEqual(protocolOf(managed(true)), ['hbone', true]);
    assert.deepEqual(protocolOf(managed(false)), ['tcp', false]);
  });

  test('of an ingress take none', () => {
    assert.deepEqual(protocolOf(managed(true, 'ingress')), ['tcp', false]);
  });
});

describe('a Service’s condition', () => {
  const WORKLOADS = [gateway({ labels: { [FOR]: 'workload' } })];

  test('says whether it goes through its waypoint, and if not why', () => {
    const says = (it: Given) => boundOf(given(it));
    assert.deepEqual(says({ service: NAMED }), ['True Bound']);
    assert.deepEqual(says({ namespace: NAMED }), ['True Bound']);
    assert.deepEqual(says({ gateways: [gateway({ ready: false })], service: NAMED }), [
      'True WaypointNotReady',
    ]);
    assert.deepEqual(says({ gateways: [], service: NAMED }), ['False WaypointMissing']);
    assert.deepEqual(says({ gateways: WORKLOADS, service: NAMED }), ['False UnsupportedTraffic']);
    const foreign = [gateway({ namespace: 'infra' })];
    assert.deepEqual(says({ gateways: foreign, service: ABROAD }), ['False WaypointNotAdmitted']);
  });

  test('is not there where nobody asked for one, or its waypoint is not for services', () => {
    assert.deepEqual(boundOf(given({})), []);
    assert.deepEqual(boundOf(given({ gateways: WORKLOADS, namespace: NAMED })), []);
  });

  test('is taken back when the label goes', () => {
    const status = {
      conditions: [{ type: 'ambit-mesh.io/WaypointBound', status: 'True' as const }],
    };
    const translation = run({ services: [service({}, { status })] });
    assert.deepEqual(boundOf(translation), ['False NotBound']);
  });
});

describe('a service whose requests a policy speaks of', () => {
  const targetRefs = [{ kind: 'Service', name: 'web' }];
  const policy = (spec: object, annotations: Labels = {}) => ({
    metadata: { name: 'p', namespace: 'shop', annotations },
    spec: { targetRefs, ...spec },
  });
  const bound = (policies: Parameters<typeof run>[0], labels: Labels = {}) => {
    const translation = run({ services: [service(labels)], namespaces: shop(), ...policies });
    return [ofService(translation) !== undefined, ...boundOf(translation)];
  };

  test('and that has no waypoint is reached by nobody: nobody could enforce the policy', () => {
    const closed = [true, 'False PolicyNeedsWaypoint'];
    assert.deepEqual(bound({ authorizationPolicies: [policy({ action: 'DENY' })] }), closed);
    assert.deepEqual(bound({ requestAuthentications: [policy({})] }), closed);
    const none = { [USE]: 'none' };
    assert.deepEqual(bound({ authorizationPolicies: [policy({})] }, none), closed);
  });

  test('is reached by its waypoint where it has one, and as ever by policies that only report', () => {
    const gateways = [gateway()];
    const held = bound({ gateways, authorizationPolicies: [policy({})] }, NAMED);
    assert.equal(held.includes('False PolicyNeedsWaypoint'), false);
    assert.deepEqual(bound({ authorizationPolicies: [policy({ action: 'AUDIT' })] }), [false]);
    const dry = policy({}, { 'ambit-mesh.io/dry-run': 'true' });
    assert.deepEqual(bound({ authorizationPolicies: [dry] }), [false]);
  });
});

describe('problems', () => {
  const found = (it: Given) =>
    given(it).problems.map(({ object, reason }) => `${object} ${reason}`);

  test('are told of pods that name a waypoint that is not there, or not for pods', () => {
    assert.deepEqual(found({ gateways: [], pod: NAMED }), ['Pod shop/web-1 WaypointMissing']);
    assert.deepEqual(found({ pod: NAMED }), ['Pod shop/web-1 UnsupportedTraffic']);
    const gateways = [gateway({ labels: { [FOR]: 'all' } })];
    assert.deepEqual(found({ gateways, pod: NAMED, namespace: NAMED }), []);
  });
});

describe('connections from ingress gateways', () => {
  test('go through the waypoint where the Service, or else its namespace, says so', () => {
    const through = (own: Labels, namespace: Labels) =>
      given({ service: { ...NAMED, ...own }, namespace }).services[0]?.ingressUseWaypoint;
    const yes = { 'ambit-mesh.io/ingress-use-waypoint': 'true' };
    const no = { 'ambit-mesh.io/ingress-use-waypoint': 'false' };
    assert.deepEqual(
      [through({}, {}), through(yes, {}), through({}, yes), through(no, yes)],
      [false, true, true, false],
    );
  });
});
