// `ambit waypoint` against a cluster in memory: what is written, what is said, what is refused.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import type { Namespace, Service } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS, NAMESPACES, SERVICES } from '../../runtime/kubernetes/resources.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { applyWaypoint, deleteWaypoints, listWaypoints, waitForWaypoint } from './change.ts';
import { waypointManifest } from './manifest.ts';
import { sortedRows } from './rows.ts';

const USE = 'ambit-mesh.io/use-waypoint';
const WISH = { name: 'waypoint', namespace: 'shop', for: undefined };
const PLAIN = { enrollNamespace: false, overwrite: false };
const ENROLLING = { enrollNamespace: true, overwrite: false };

async function setUp(labels: Record<string, string> = { 'ambit-mesh.io/mode': 'ambient' }) {
  const client = new MemoryKube();
  const clock = new ManualClock();
  const told: string[] = [];
  const warned: string[] = [];
  await client.create<Namespace>(NAMESPACES, { metadata: { name: 'shop', labels } });
  const parts = {
    client,
    clock,
    tell: (line: string) => void told.push(line),
    warn: (line: string) => void warned.push(line),
  };
  const gateway = (name = 'waypoint') => client.get<Gateway>(GATEWAYS, name, 'shop');
  const namespace = async () => (await client.get<Namespace>(NAMESPACES, 'shop'))?.metadata.labels;
  const program = async (status: 'True' | 'False', message: string): Promise<void> => {
    await client.patch(GATEWAYS, 'waypoint', 'shop', {
      status: { conditions: [{ type: 'Programmed', status, reason: 'Pending', message }] },
    });
    await clock.advance(500);
  };
  return { client, clock, told, warned, parts, gateway, namespace, program };
}

describe('applyWaypoint()', () => {
  test('makes a Gateway with one HBONE listener, and tells how to use it', async () => {
    const { parts, gateway, told, warned } = await setUp();
    await applyWaypoint(parts, WISH, PLAIN);
    const { spec, metadata } = (await gateway()) ?? assert.fail();
    assert.equal(spec.gatewayClassName, 'ambit-waypoint');
    assert.deepEqual(spec.listeners, [{ name: 'mesh', port: 15008, protocol: 'HBONE' }]);
    assert.equal(metadata.labels, undefined);
    assert.match(
      told.join('\n'),
      /kubectl label namespace shop ambit-mesh.io\/use-waypoint=waypoint/,
    );
    assert.deepEqual(warned, []);
    await applyWaypoint(parts, { ...WISH, for: 'all' }, PLAIN);
    assert.equal((await gateway())?.metadata.labels?.['ambit-mesh.io/waypoint-for'], 'all');
  });

  test('lets the namespace use it, and says when that is not in the mesh', async () => {
    const { parts, namespace, warned } = await setUp({
      'ambit-mesh.io/use-waypoint-namespace': 'x',
    });
    await applyWaypoint(parts, WISH, ENROLLING);
    assert.deepEqual(await namespace(), { [USE]: 'waypoint' });
    assert.match(warned.join(), /shop is not in the mesh/);
  });

  test('leaves a namespace to its other waypoint unless that is to be overwritten', async () => {
    const { parts, namespace, gateway } = await setUp({ [USE]: 'other' });
    await assert.rejects(applyWaypoint(parts, WISH, ENROLLING), /it uses other.*--overwrite/);
    assert.equal(await gateway(), undefined, 'nothing is made by halves');
    await applyWaypoint(parts, WISH, { ...ENROLLING, overwrite: true });
    assert.deepEqual(await namespace(), { [USE]: 'waypoint' });
  });

  test('refuses a namespace that is not there, and the name of another Gateway', async () => {
    const { parts, client } = await setUp();
    await assert.rejects(
      applyWaypoint(parts, { ...WISH, namespace: 'gone' }, PLAIN),
      /namespace "gone" does not exist/,
    );
    const ingress = waypointManifest(WISH);
    await client.create(GATEWAYS, {
      ...ingress,
      spec: { ...ingress.spec, gatewayClassName: 'ambit-ingress' },
    });
    await assert.rejects(applyWaypoint(parts, WISH, PLAIN), /of class ambit-ingress has that name/);
  });

  test('says what to install where there is no Gateway API', async () => {
    const { parts, client } = await setUp();
    client.apply = async () => {
      throw new KubeError(404, 'NotFound', 'the server could not find the requested resource');
    };
    await assert.rejects(applyWaypoint(parts, WISH, PLAIN), /Gateway API is not installed/);
  });
});

describe('waitForWaypoint()', () => {
  test('tells each reason once, and ends when it is programmed', async () => {
    const { parts, program, told } = await setUp();
    await applyWaypoint(parts, WISH, PLAIN);
    told.length = 0;
    const waiting = waitForWaypoint(parts, WISH, 0);
    await program('False', 'Its proxy starts');
    await program('False', 'Its proxy starts');
    await program('True', 'Its proxy serves');
    assert.equal((await waiting).programmed, 'True');
    assert.deepEqual(told, ['waiting: Waiting for the control plane', 'waiting: Its proxy starts']);
  });

  test('gives up with the reason and where to look', async () => {
    const { parts, program, clock } = await setUp();
    await applyWaypoint(parts, WISH, PLAIN);
    const waiting = waitForWaypoint(parts, WISH, 3000);
    const ended = assert.rejects(
      waiting,
      /not ready after 3 s \(Pending\): Its proxy starts.*describe/,
    );
    await program('False', 'Its proxy starts');
    for (let step = 0; step < 8; step++) await clock.advance(500);
    await ended;
  });
});

describe('deleteWaypoints()', () => {
  test('deletes what is named, warns of who still names it, and fails for what is not there', async () => {
    const { parts, client, gateway, warned } = await setUp({ [USE]: 'waypoint' });
    await applyWaypoint(parts, WISH, PLAIN);
    warned.length = 0;
    await client.create<Service>(SERVICES, {
      metadata: { name: 'web', namespace: 'shop', labels: { [USE]: 'waypoint' } },
      spec: {},
    });
    await client.create<Service>(SERVICES, {
      metadata: { name: 'web', namespace: 'bank', labels: { [USE]: 'waypoint' } },
      spec: {},
    });
    await assert.rejects(
      deleteWaypoints(parts, 'shop', ['gone', 'waypoint']),
      /Cannot delete shop\/gone/,
    );
    assert.equal(await gateway(), undefined);
    assert.deepEqual(
      warned.map((line) => line.split(' still ')[0]),
      ['namespace shop', 'service shop/web'],
    );
  });
});

test('only waypoints are listed, of one namespace or all', async () => {
  const { parts, client } = await setUp();
  await client.create<Namespace>(NAMESPACES, { metadata: { name: 'bank' } });
  await applyWaypoint(parts, WISH, PLAIN);
  await applyWaypoint(parts, { ...WISH, namespace: 'bank', for: 'workload' }, PLAIN);
  const other = waypointManifest({ ...WISH, name: 'edge' });
  await client.create(GATEWAYS, { ...other, spec: { ...other.spec, gatewayClassName: 'x' } });
  const shown = async (namespace?: string) =>
    sortedRows(await listWaypoints(client, namespace)).map(
      (row) => `${row.namespace}/${row.name} ${row.for} ${row.programmed}`,
    );
  assert.deepEqual(await shown(), [
    'bank/waypoint workload Unknown',
    'shop/waypoint service Unknown',
  ]);
  assert.deepEqual(await shown('shop'), ['shop/waypoint service Unknown']);
});
