// The replicas of a waypoint, and the endpoints behind it, go in turn while requests go through, on new and on kept
// connections: what ends in order loses none, what is killed only what was under way.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import { openWaypoint } from '../conformance/mesh-stage.ts';
import { USE_WAYPOINT } from '../conformance/names.ts';
import { MODE, REDIRECTION } from '../support/enrolled.ts';
import { killProgram } from '../support/kill.ts';
import { kubectlMissing } from '../support/kubectl.ts';
import type { PodName } from '../support/pod-api.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { type Counts, faultsOf, openEchoes, startPod, tallyWhen } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const SHOP = 'shop';
const WAYPOINT = 'waypoint';
const REPLICAS = 'gateway.networking.k8s.io/gateway-name=waypoint';
const ECHOES = 'app=echo';
const RATE = 25;
const KEPT = 5;
/** Enough of them for every kept connection to be used many times, and for whatever is late to show. */
const AFTERWARDS = 8 * RATE;

sandboxSuite(
  'a waypoint under load',
  (sandbox) => {
    let loads: readonly PodName[];
    before(async () => {
      await openEchoes(sandbox(), SHOP, { [MODE]: 'ambient', [USE_WAYPOINT]: WAYPOINT });
      await openWaypoint(sandbox(), SHOP, WAYPOINT);
      await twoReady(sandbox(), REPLICAS);
      await enrolled(sandbox(), ECHOES);
      // one in each zone
      const nodes = await sandbox().nodes();
      loads = await Promise.all(nodes.map((node) => startLoad(sandbox(), node)));
      await nothingLost(sandbox(), loads, await tallies(sandbox(), loads));
    });

    test('loses no request when its replicas are deleted in turn', async () => {
      const since = await tallies(sandbox(), loads);
      for (const { metadata } of await podsOf(sandbox(), REPLICAS)) {
        await sandbox().kubectl(['delete', 'pod', '-n', SHOP, metadata.name ?? '']);
        await twoReady(sandbox(), REPLICAS);
      }
      await nothingLost(sandbox(), loads, since);
    });

    test('loses no request when it is rolled out anew', async () => {
      const since = await tallies(sandbox(), loads);
      const old = new Set((await podsOf(sandbox(), REPLICAS)).map(({ metadata }) => metadata.uid));
      await sandbox().kubectl(['rollout', 'restart', '-n', SHOP, `deployment/${WAYPOINT}`]);
      await twoReady(sandbox(), REPLICAS, (pod) => !old.has(pod.metadata.uid));
      await nothingLost(sandbox(), loads, since);
    });

    test('loses what was under way in a replica that is killed, and nothing that is asked again', async () => {
      for (const { metadata } of await podsOf(sandbox(), REPLICAS)) {
        const pod = { namespace: SHOP, name: metadata.name ?? '' };
        await onlyTheMoment(sandbox(), loads, REPLICAS, () =>
          killProgram(sandbox(), pod, 'waypoint'),
        );
      }
    });

    test('saves what it can of requests to an endpoint that is killed', async () => {
      for (const { metadata } of await podsOf(sandbox(), ECHOES)) {
        const pod = { namespace: SHOP, name: metadata.name ?? '' };
        await onlyTheMoment(sandbox(), loads, ECHOES, () =>
          killProgram(sandbox(), pod, 'sandbox/apps/echo'),
        );
      }
    });
  },
  kubectlMissing(),
);

async function startLoad(sandbox: Sandbox, node: string): Promise<PodName> {
  const pod = { namespace: SHOP, name: `load-${node}` };
  await startPod(sandbox, {
    ...pod,
    node,
    image: 'load',
    variables: {
      URL: `http://echo.${SHOP}.svc.cluster.local:8080/`,
      RATE: String(RATE),
      KEPT: String(KEPT),
      RETRIES: '1',
    },
  });
  await enrolled(sandbox, `app=${pod.name}`);
  return pod;
}

async function podsOf({ client }: Sandbox, labelSelector: string): Promise<readonly Pod[]> {
  return (await client.list<Pod>(PODS, { namespace: SHOP, labelSelector })).items;
}

function enrolled({ client }: Sandbox, labelSelector: string): Promise<readonly Pod[]> {
  return waitFor<Pod>(client, PODS, { namespace: SHOP, labelSelector }, (pods) =>
    pods.every(({ metadata }) => metadata.annotations?.[REDIRECTION] === 'enabled'),
  );
}

/** Two of them, and none on its way out. */
function twoReady(
  { client }: Sandbox,
  labelSelector: string,
  holds: (pod: Pod) => boolean = () => true,
): Promise<readonly Pod[]> {
  const isReady = ({ status }: Pod): boolean =>
    (status?.conditions ?? []).some((one) => one.type === 'Ready' && one.status === 'True');
  return waitFor<Pod>(
    client,
    PODS,
    { namespace: SHOP, labelSelector },
    (pods) => pods.length === 2 && pods.every((pod) => isReady(pod) && holds(pod)),
  );
}

function tallies(sandbox: Sandbox, loads: readonly PodName[]): Promise<readonly Counts[]> {
  return Promise.all(loads.map((load) => tallyWhen(sandbox, load, () => true)));
}

type Losses = { readonly failed: number; readonly wrong: number; readonly retried: number };

function losses(from: readonly Counts[], to: readonly Counts[]): Losses {
  const lost = (which: keyof Losses): number =>
    to.reduce((sum, { requests }, i) => sum + requests[which] - (from[i]?.requests[which] ?? 0), 0);
  return { failed: lost('failed'), wrong: lost('wrong'), retried: lost('retried') };
}

/** The counts when every client has been answered {@link AFTERWARDS} times more. */
function afterwards(sandbox: Sandbox, loads: readonly PodName[]): Promise<readonly Counts[]> {
  return Promise.all(
    loads.map(async (load) => {
      const from = await tallyWhen(sandbox, load, () => true);
      const enough = from.requests.ok + AFTERWARDS;
      return tallyWhen(sandbox, load, ({ requests }) => requests.ok > enough);
    }),
  );
}

/** Not one failed or had to be asked again, from `since` on and for a while from now. */
async function nothingLost(
  sandbox: Sandbox,
  loads: readonly PodName[],
  since: readonly Counts[],
): Promise<void> {
  const lost = losses(since, await afterwards(sandbox, loads));
  const faults = await Promise.all(loads.map((load) => faultsOf(sandbox, load)));
  assert.deepEqual(lost, { failed: 0, wrong: 0, retried: 0 }, faults.join('\n'));
}

/** A kill costs second tries at most, and once it is over not even these. */
async function onlyTheMoment(
  sandbox: Sandbox,
  loads: readonly PodName[],
  of: string,
  kill: () => Promise<void>,
): Promise<void> {
  const since = await tallies(sandbox, loads);
  await kill();
  const moment = await afterwards(sandbox, loads);
  const lost = losses(since, moment);
  process.stderr.write(`# ${of}: ${JSON.stringify(lost)}\n`);
  const faults = await Promise.all(loads.map((load) => faultsOf(sandbox, load)));
  assert.deepEqual({ ...lost, retried: 0 }, { failed: 0, wrong: 0, retried: 0 }, faults.join('\n'));
  await twoReady(sandbox, of);
  await nothingLost(sandbox, loads, moment);
}
