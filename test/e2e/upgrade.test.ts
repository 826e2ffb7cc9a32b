// The node agents replaced by a rollout, as an upgrade does it, under traffic: nothing is refused and nothing is cut.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DaemonSet, Pod } from '../../runtime/kubernetes/objects.ts';
import { DAEMON_SETS, PODS } from '../../runtime/kubernetes/resources.ts';
import { MODE, REDIRECTION, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { type Counts, faultsOf, openEchoes, startPod, tallyWhen } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const TALK = 'talk';
const SYSTEM = 'ambit-system';
const LOAD = { namespace: TALK, name: 'load' };
const AGENTS = {
  namespace: SYSTEM,
  labelSelector: 'app.kubernetes.io/name=ambit-node-agent',
} as const;
const CONNECTIONS = 30;
const RATE = 20;

sandboxSuite('an upgrade of the node agents', (sandbox) => {
  test('refuses no new connection, and cuts none that ends within the grace', async () => {
    await openEchoes(sandbox(), TALK, { [MODE]: 'ambient' });
    await startPod(sandbox(), {
      ...LOAD,
      image: 'load',
      variables: {
        URL: `http://echo.${TALK}.svc.cluster.local:8080/`,
        RATE: String(RATE),
        LINE_HOST: `echo.${TALK}.svc.cluster.local`,
        CONNECTIONS: String(CONNECTIONS),
        // some of them are open at any moment, and all of them end within the agents' grace
        LIFETIME: '5s',
      },
    });
    await redirectionOfAll(sandbox(), TALK, 'enabled');
    const before = await tallyWhen(
      sandbox(),
      LOAD,
      ({ connections, requests }) => connections.opened >= CONNECTIONS && requests.ok > RATE,
    );
    const old = new Set((await agents(sandbox())).map(({ metadata }) => metadata.uid));
    // what `kubectl rollout restart` writes
    await sandbox().client.patch<DaemonSet>(DAEMON_SETS, 'ambit-node-agent', SYSTEM, {
      spec: {
        template: {
          metadata: {
            annotations: { 'kubectl.kubernetes.io/restartedAt': new Date().toISOString() },
          },
        },
      },
    });
    await waitFor<Pod>(
      sandbox().client,
      PODS,
      { ...AGENTS, timeoutMs: 120_000 },
      (pods) => pods.length === old.size && pods.every(({ metadata }) => !old.has(metadata.uid)),
    );
    await sandbox().rolledOut(SYSTEM);
    const after = await tallyWhen(
      sandbox(),
      LOAD,
      ({ requests }) => requests.ok > before.requests.ok + 5 * RATE,
    );
    assert.deepEqual(
      losses(after),
      losses(before),
      `${JSON.stringify(after)}:\n${await faultsOf(sandbox(), LOAD)}`,
    );
    assert.ok(after.connections.opened > before.connections.opened);
  });

  test('leaves every pod enrolled all along, as far as Kubernetes was told', async () => {
    const { items } = await sandbox().client.list<Pod>(PODS, { namespace: TALK });
    for (const { metadata } of items) assert.equal(metadata.annotations?.[REDIRECTION], 'enabled');
  });
});

async function agents({ client }: Sandbox): Promise<readonly Pod[]> {
  return (await client.list<Pod>(PODS, AGENTS)).items;
}

function losses({ requests, connections, messages }: Counts): object {
  // `ended` are those that lived their life to its end
  const { dropped, refused } = connections;
  return { failed: requests.failed, dropped, refused, wrong: messages.wrong };
}
