// What becomes of agents' reports: believed for their own node only, the newest wins, nothing is written twice.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EnrolmentReport } from '../mesh/enrolment.ts';
import { KubeError } from '../runtime/kubernetes/client.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { Pod } from '../runtime/kubernetes/objects.ts';
import { PODS } from '../runtime/kubernetes/resources.ts';
import { silentLog } from '../runtime/log.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { ReportWriter } from './reports.ts';
import type { Warning } from './status/events.ts';

const AGENT = { kind: 'agent', node: 'n1', pod: 'agent-1', userAgent: 'node-agent/1' } as const;

async function setup(seen?: Pod) {
  const client = new MemoryKube();
  const clock = new ManualClock();
  await client.create<Pod>(PODS, {
    metadata: { name: 'web', namespace: 'shop', uid: 'u1' },
    spec: { nodeName: 'n1', containers: [] },
  });
  const warnings: Warning[] = [];
  const writer = new ReportWriter({
    client,
    clock,
    log: silentLog,
    events: { warn: (warning) => warnings.push(warning), close: async () => {} },
    pod: () => seen,
  });
  const annotations = async () =>
    (await client.get<Pod>(PODS, 'web', 'shop'))?.metadata.annotations ?? {};
  const writes = () => client.calls.filter((call) => call === 'patch pods').length;
  return { client, clock, writer, warnings, annotations, writes };
}

const report = (changes: object = {}): EnrolmentReport =>
  ({
    podUid: 'u1',
    name: 'web',
    namespace: 'shop',
    state: 'enabled',
    ...changes,
  }) as EnrolmentReport;

const KEY = 'ambit-mesh.io/redirection';
const FAILED = { state: 'failed', reason: 'PortTaken', message: 'Port 15008 is taken' };

describe('ReportWriter', () => {
  test('enabled, failed and removed are written on the pod; a failure also as an Event', async () => {
    const { writer, clock, annotations, warnings } = await setup();
    writer.accept(AGENT, report());
    await clock.advance(0);
    assert.deepEqual(await annotations(), { [KEY]: 'enabled' });
    writer.accept(AGENT, report(FAILED));
    await clock.advance(0);
    assert.deepEqual(await annotations(), {
      [KEY]: 'failed',
      [`${KEY}-message`]: 'PortTaken: Port 15008 is taken',
    });
    assert.deepEqual(
      warnings.map(({ reason, message }) => [reason, message]),
      [['PortTaken', 'Port 15008 is taken']],
    );
    writer.accept(AGENT, report({ state: 'removed' }));
    await clock.advance(0);
    assert.deepEqual(await annotations(), {});
    await writer.close();
  });

  for (const [name, agent, changes] of [
    ['of another node', { ...AGENT, node: 'n2' }, {}],
    ['about an earlier pod of that name', AGENT, { podUid: 'u0' }],
    ['about a pod that is gone', AGENT, { name: 'gone' }],
  ] as const) {
    test(`a report ${name} writes nothing`, async () => {
      const { writer, clock, writes } = await setup();
      writer.accept(agent, report(changes));
      await clock.advance(0);
      assert.equal(writes(), 0);
      await writer.close();
    });
  }

  test('what is written already is not written again, unless our own last word was another', async () => {
    const stale: Pod = {
      metadata: { name: 'web', namespace: 'shop', uid: 'u1', annotations: {} },
      spec: { nodeName: 'n1', containers: [] },
    };
    const { writer, clock, annotations, writes } = await setup(stale);
    writer.accept(AGENT, report({ state: 'removed' }));
    await clock.advance(0);
    assert.equal(writes(), 0, 'there is nothing to remove');
    writer.accept(AGENT, report());
    await clock.advance(0);
    writer.accept(AGENT, report({ state: 'removed' }));
    await clock.advance(0);
    assert.deepEqual(await annotations(), {}, 'although the informer does not show "enabled" yet');
    await writer.close();
  });

  test('waits for Kubernetes, and then writes the newest word only', async () => {
    const { writer, client, clock, annotations, writes } = await setup();
    client.breakDown(new KubeError(0, 'Unreachable', 'down'));
    writer.accept(AGENT, report());
    await clock.advance(100);
    writer.accept(AGENT, report(FAILED));
    client.restore();
    await clock.advance(10_000);
    assert.equal((await annotations())[KEY], 'failed');
    assert.equal(writes(), 1);
    await writer.close();
    assert.equal(clock.pending(), 0);
  });
});
