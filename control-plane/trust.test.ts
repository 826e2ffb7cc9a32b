// The control plane's part in a rotation: tell the CA what agents say, only while one goes on, and renew its own
// certificate when its root leaves.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { TrustReport } from '../mesh/trust.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { ConfigMap } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS } from '../runtime/kubernetes/resources.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { bundleId, fingerprintOf } from '../runtime/trust.ts';
import { createTestCa, type TestCa } from '../tunnel/test-ca.ts';
import { ROOT_MAP, ROTATION_MAP, type RotationStatus, readMeshTrust } from '../wire/rotation.ts';
import type { ProxyConnection } from './push/connection.ts';
import { followTrust } from './trust.ts';

const NAMESPACE = 'ambit-system';
const SETTINGS = {
  namespace: NAMESPACE,
  pod: 'cp-1',
  trustDomain: 'cluster.local',
  trustDomainAliases: [],
};
const KEY = 'agents.cp-1';
const IDENTITY = 'spiffe://cluster.local/ns/ambit-system/sa/ambit-control-plane';

let [old, next]: TestCa[] = [];
before(async () => {
  [old, next] = [await createTestCa(), await createTestCa()];
});

async function setUp() {
  const client = new MemoryKube();
  const clock = new ManualClock();
  const agents: ProxyConnection[] = [];
  let changes = 0;
  const trust = followTrust(
    { client, clock, log: silentLog, proxies: () => agents },
    SETTINGS,
    () => void changes++,
  );
  await trust.synced;
  let renewals = 0;
  trust.renewNow(() => void renewals++);
  const write = async (name: string, data: Record<string, string | null>): Promise<void> => {
    const present = await client.get<ConfigMap>(CONFIG_MAPS, name, NAMESPACE);
    if (present !== undefined) await client.patch(CONFIG_MAPS, name, NAMESPACE, { data });
    else
      await client.create(CONFIG_MAPS, { metadata: { name, namespace: NAMESPACE }, data } as never);
    await clock.advance(0);
  };
  const phase = (value: RotationStatus['phase'], retiring: readonly string[] = []) =>
    write(ROTATION_MAP, {
      status: JSON.stringify({
        phase: value,
        since: '2030-01-01T00:00:00Z',
        request: 'r',
        roots: [],
        retiring,
        renewWithinMs: 0,
        bundle: 'b',
      }),
    });
  const say = (pod: string, report: Partial<TrustReport>): void => {
    const whole = {
      bundle: '',
      retiring: [],
      rootsInUse: [],
      earliestEnd: 0,
      failing: 0,
      error: '',
    };
    agents.push({
      proxy: { kind: 'agent', node: `n-${pod}`, pod, userAgent: '' },
      trust: () => ({ ...whole, ...report }),
    } as unknown as ProxyConnection);
    trust.heard();
  };
  const written = async () =>
    readMeshTrust((await client.get<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, NAMESPACE))?.data?.[KEY]);
  const hold = async (ca: TestCa): Promise<void> => {
    const { chainPem, keyPem, notAfter } = await ca.svid(IDENTITY);
    trust.holds({ chainPem, keyPem, notAfter, rootsPem: ca.rootPem });
  };
  return {
    client,
    clock,
    trust,
    write,
    phase,
    say,
    written,
    hold,
    counts: () => ({ changes, renewals }),
  };
}

describe('the words of agents', () => {
  test('are written where the CA reads them while a root is rotated, this replica’s own among them', async () => {
    const { clock, trust, write, phase, say, written, hold } = await setUp();
    await write(ROOT_MAP, { 'root-cert.pem': old!.rootPem });
    await hold(old!);
    await phase('steady');
    say('a', { bundle: 'x', rootsInUse: ['r'] });
    await clock.advance(60_000);
    assert.deepEqual(await written(), [], 'nothing is written outside a rotation');
    await phase('distributing');
    await clock.advance(1000);
    const own = {
      pod: 'cp-1',
      node: '',
      bundle: bundleId([old!.rootPem]),
      retiring: [],
      rootsInUse: [fingerprintOf(old!.rootPem)],
    };
    const a = { pod: 'a', node: 'n-a', bundle: 'x', retiring: [], rootsInUse: ['r'] };
    assert.deepEqual(await written(), [own, a]);
    say('b', { bundle: 'y' });
    await clock.advance(1000);
    assert.deepEqual(
      (await written()).map(({ pod }) => pod),
      ['cp-1', 'a', 'b'],
    );
    await trust.close();
    assert.equal(clock.pending(), 0);
  });

  test('are written once a second however many speak, and not again when nothing is new', async () => {
    const { client, clock, trust, phase, say } = await setUp();
    await phase('distributing');
    for (let i = 0; i < 50; i++) say(`a-${i}`, {});
    await clock.advance(1000);
    const writes = () => client.calls.filter((call) => call === 'patch configmaps').length;
    assert.equal(writes(), 1);
    trust.heard();
    await clock.advance(10_000);
    assert.equal(writes(), 1);
    await trust.close();
  });

  test('that cannot be written are written later, and in the next rotation anew', async () => {
    const { client, clock, trust, write, phase, say, written } = await setUp();
    await phase('distributing');
    const patch = client.patch.bind(client);
    client.patch = () => Promise.reject(new Error('down'));
    say('a', { bundle: 'x' });
    await clock.advance(3000);
    client.patch = patch;
    await clock.advance(5000);
    assert.equal((await written()).length, 1);
    await phase('steady');
    await write(ROTATION_MAP, { [KEY]: null });
    await phase('distributing');
    await clock.advance(1000);
    assert.equal((await written()).length, 1);
    await trust.close();
  });
});

describe('the own certificate', () => {
  test('is renewed when its root leaves, until it is under another one', async () => {
    const { clock, trust, phase, hold, counts } = await setUp();
    await hold(old!);
    await phase('renewing', [fingerprintOf(old!.rootPem)]);
    assert.equal(counts().renewals, 1);
    // a replica of the CA that has not switched yet
    await hold(old!);
    await clock.advance(2000);
    assert.ok(counts().renewals > 1);
    await hold(next!);
    const before = counts().renewals;
    await clock.advance(60_000);
    assert.equal(counts().renewals, before);
    await trust.close();
    assert.equal(clock.pending(), 0);
  });
});
