// What happens to enrolled traffic when a part of the mesh is away: nothing for control plane and CA, and nothing in clear
// text while a node agent is.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { DEPLOYMENTS, PODS } from '../../runtime/kubernetes/resources.ts';
import { linkEvidence } from '../../sandbox/demo/link-evidence.ts';
import { allEncrypted, MODE, podIps, podWhere, redirectionOfAll } from '../support/enrolled.ts';
import { killProgram } from '../support/kill.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { type Counts, faultsOf, openEchoes, startPod, tallyWhen } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const STEADY = 'steady';
const SYSTEM = 'ambit-system';
const LOAD = { namespace: STEADY, name: 'load', image: 'load' } as const;
const RATE = 20;
const LONGEST_CAPTURE_MS = 60_000;

sandboxSuite('outages', (sandbox) => {
  before(async () => {
    await openEchoes(sandbox(), STEADY, { [MODE]: 'ambient' });
    const echo = `echo.${STEADY}.svc.cluster.local`;
    await startPod(sandbox(), {
      ...LOAD,
      variables: {
        URL: `http://${echo}:8080/`,
        RATE: String(RATE),
        LINE_HOST: echo,
        CONNECTIONS: '10',
        LIFETIME: '1s',
      },
    });
    await redirectionOfAll(sandbox(), STEADY, 'enabled');
    await allEncrypted(sandbox(), await podIps(sandbox(), STEADY));
  });

  for (const [part, deployment] of [
    ['control plane', 'ambit-control-plane'],
    ['certificate authority', 'ambit-ca'],
  ] as const) {
    test(`while the ${part} is away, enrolled pods open new connections, all encrypted, and ambit status says what is wrong`, async () => {
      const since = await tally(sandbox());
      await scale(sandbox(), deployment, 0);
      try {
        await nothingLost(sandbox(), since);
        await allEncrypted(sandbox(), await podIps(sandbox(), STEADY));
        const { code, stdout } = await sandbox().ambit('status', '-o', 'json');
        assert.equal(code, 1);
        const { problems } = JSON.parse(stdout) as { problems: { object: string }[] };
        assert.ok(problems.some(({ object }) => object === `Deployment ${SYSTEM}/${deployment}`));
      } finally {
        await scale(sandbox(), deployment, 1);
      }
      // and none when it came back
      assert.deepEqual(losses(since, await tally(sandbox())), NONE);
    });
  }

  test('while a node agent is away its pods send nothing in clear text; once it is back they are served again', async () => {
    const { spec } = await podWhere(sandbox(), LOAD, () => true);
    const agent = await agentOn(sandbox(), spec.nodeName);
    const ips = await podIps(sandbox(), STEADY);
    const since = await tally(sandbox());
    const recovered = new AbortController();
    const capture = sandbox().captureLink(LONGEST_CAPTURE_MS, recovered.signal);
    await killProgram(sandbox(), agent, 'node-agent');
    // its connections were in the agent: they go with it
    const { connections } = await tallyWhen(
      sandbox(),
      LOAD,
      ({ connections: now }) => now.dropped > since.connections.dropped,
    );
    assert.ok(connections.dropped > 0);
    await podWhere(sandbox(), agent, (pod) => restartsOf(pod) === 1 && isReady(pod));
    const back = await tally(sandbox());
    await nothingLost(sandbox(), back);
    recovered.abort();
    const { packets, dropped } = await capture;
    assert.equal(dropped, 0);
    const evidence = linkEvidence(packets, ips);
    assert.ok(evidence.tunnelSegments > 0);
    assert.deepEqual([evidence.otherSegments, evidence.clearText], [0, undefined]);
    const { items } = await sandbox().client.list<Pod>(PODS, { namespace: STEADY });
    assert.deepEqual(items.map(restartsOf), [0, 0, 0]);
  });
});

const NONE = { failed: 0, dropped: 0, refused: 0, wrong: 0 };

function losses(from: Counts, to: Counts): typeof NONE {
  return {
    failed: to.requests.failed - from.requests.failed,
    dropped: to.connections.dropped - from.connections.dropped,
    refused: to.connections.refused - from.connections.refused,
    wrong: to.messages.wrong - from.messages.wrong,
  };
}

/** From `since` on, and for the next two seconds. */
async function nothingLost(sandbox: Sandbox, since: Counts): Promise<void> {
  const lost = losses(since, await wentOn(sandbox));
  if (isDeepStrictEqual(lost, NONE)) return;
  assert.deepEqual(lost, NONE, `${JSON.stringify(lost)}:\n${await faultsOf(sandbox, LOAD)}`);
}

function tally(sandbox: Sandbox): Promise<Counts> {
  return tallyWhen(sandbox, LOAD, () => true);
}

/** Two seconds' worth of new connections from now on. */
async function wentOn(sandbox: Sandbox): Promise<Counts> {
  const since = await tally(sandbox);
  return tallyWhen(
    sandbox,
    LOAD,
    ({ requests, messages }) =>
      requests.ok > since.requests.ok + 2 * RATE && messages.echoed > since.messages.echoed,
  );
}

async function scale(sandbox: Sandbox, deployment: string, replicas: number): Promise<void> {
  await sandbox.client.patch(DEPLOYMENTS, deployment, SYSTEM, { spec: { replicas } });
  await sandbox.rolledOut(SYSTEM);
  const where = { namespace: SYSTEM, labelSelector: `app.kubernetes.io/name=${deployment}` };
  await waitFor(sandbox.client, PODS, where, (pods) => pods.length === replicas);
}

type Name = { readonly namespace: string; readonly name: string };

async function agentOn({ client }: Sandbox, node: string | undefined): Promise<Name> {
  const labelSelector = 'app.kubernetes.io/name=ambit-node-agent';
  const { items } = await client.list<Pod>(PODS, { namespace: SYSTEM, labelSelector });
  return {
    namespace: SYSTEM,
    name: items.find(({ spec }) => spec.nodeName === node)!.metadata.name!,
  };
}

function restartsOf({ status }: Pod): number {
  return (status?.containerStatuses ?? []).reduce((sum, one) => sum + one.restartCount, 0);
}

function isReady({ status }: Pod): boolean {
  return (status?.conditions ?? []).some((one) => one.type === 'Ready' && one.status === 'True');
}
