// Pods that start in the mesh: captured before their first instruction, because the container runtime tells the agent of
// them (NRI).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getThroughPod } from '../../cli/cluster/pod-http.ts';
import type { Event, Pod } from '../../runtime/kubernetes/objects.ts';
import { DEPLOYMENTS, EVENTS, PODS, SERVICE_ACCOUNTS } from '../../runtime/kubernetes/resources.ts';
import {
  MODE,
  podIps,
  podWhere,
  REDIRECTION,
  REDIRECTION_MESSAGE,
  redirectionOfAll,
} from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { openEchoes, startPod, tallyWhen } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const EARLY = 'early';
const TUNNEL_PORT = 15008;
const CLIENTS = ['a', 'b', 'c'];
// two looks at the link, which has to be watched from before the pods are made until they have spoken
const LOOK_MS = 60_000;

sandboxSuite('a pod that starts in the mesh', (sandbox) => {
  test('no packet of it, from its very first, is on the link outside of a tunnel', async () => {
    await openEchoes(sandbox(), EARLY, { [MODE]: 'ambient' });
    const echoes = await redirectionOfAll(sandbox(), EARLY, 'enabled');
    const servers = await podIps(sandbox(), EARLY);
    const [near, far] = echoes;
    const host = far?.status?.podIP ?? '';
    const enough = new AbortController();
    const looking = sandbox().captureLink(LOOK_MS, enough.signal);
    for (const name of CLIENTS) {
      // no name server is asked and nothing is waited for: it dials as soon as it runs
      await startPod(sandbox(), {
        namespace: EARLY,
        name,
        image: 'load',
        node: near?.spec.nodeName ?? '',
        variables: { URL: `http://${host}:8080/`, RATE: '50', LINE_HOST: host, CONNECTIONS: '2' },
      });
      await tallyWhen(sandbox(), { namespace: EARLY, name }, ({ requests }) => requests.ok > 50);
    }
    const clients = [...(await podIps(sandbox(), EARLY))].filter((ip) => !servers.has(ip));
    enough.abort();
    const { packets, dropped } = await looking;
    assert.equal(dropped, 0);
    const mine = packets.filter(
      ({ source, destination }) => clients.includes(source.ip) || clients.includes(destination.ip),
    );
    const outside = mine.filter(
      ({ source, destination }) =>
        source.port !== TUNNEL_PORT &&
        destination.port !== TUNNEL_PORT &&
        (servers.has(source.ip) || servers.has(destination.ip)),
    );
    assert.ok(mine.length > 0, 'the clients were not seen on the link at all');
    assert.deepEqual(outside.slice(0, 3), []);
    // captured before its first container either way; whole within the time a runtime waits on a machine that is not busy
    const enrolled = await startsCounted(sandbox(), 'enrolled');
    const enclosed = await startsCounted(sandbox(), 'enclosed');
    assert.ok(enrolled + enclosed >= CLIENTS.length);
  });

  test('without a certificate to be had it runs captured, says so on itself and in ambit status, and is enrolled later', async () => {
    const late = { namespace: EARLY, name: 'late' };
    // an identity of its own: a certificate that is there already would serve it
    await sandbox().client.create(SERVICE_ACCOUNTS, {
      metadata: { name: late.name, namespace: EARLY },
    });
    const host = `echo.${EARLY}.svc.cluster.local`;
    await scaleCa(sandbox(), 0);
    try {
      await startPod(sandbox(), {
        ...late,
        account: late.name,
        image: 'load',
        variables: { URL: `http://${host}:8080/`, RATE: '20', LINE_HOST: host, CONNECTIONS: '1' },
      });
      const pod = await podWhere(
        sandbox(),
        late,
        ({ metadata }) => metadata.annotations?.[REDIRECTION] === 'failed',
      );
      assert.match(pod.metadata.annotations?.[REDIRECTION_MESSAGE] ?? '', /certificate/i);
      const { requests } = await tallyWhen(sandbox(), late, (tally) => tally.requests.failed > 0);
      assert.equal(requests.ok, 0);
      const { stdout } = await sandbox().ambit('status', '-o', 'json');
      const { problems } = JSON.parse(stdout) as { problems: { object: string }[] };
      assert.ok(
        problems.some(({ object }) => object === `Pod ${EARLY}/${late.name}`),
        stdout,
      );
      const { items } = await sandbox().client.list<Event>(EVENTS, { namespace: EARLY });
      assert.ok(
        items.some(
          ({ involvedObject, type }) => involvedObject.name === late.name && type === 'Warning',
        ),
      );
    } finally {
      await scaleCa(sandbox(), 1);
    }
    await podWhere(
      sandbox(),
      late,
      ({ metadata }) => metadata.annotations?.[REDIRECTION] === 'enabled',
    );
    await tallyWhen(sandbox(), late, ({ requests }) => requests.ok > 20);
  });
});

async function scaleCa({ client }: Sandbox, replicas: number): Promise<void> {
  await client.patch(DEPLOYMENTS, 'ambit-ca', 'ambit-system', { spec: { replicas } });
  const labelSelector = 'app.kubernetes.io/name=ambit-ca';
  const where = { namespace: 'ambit-system', labelSelector };
  await waitFor(client, PODS, where, (pods) => pods.length === replicas);
}

/** Pods of which the container runtime told the agents before they started, with that outcome. */
async function startsCounted({ client }: Sandbox, outcome: string): Promise<number> {
  const { items } = await client.list<Pod>(PODS, {
    namespace: 'ambit-system',
    labelSelector: 'app.kubernetes.io/name=ambit-node-agent',
  });
  let sum = 0;
  for (const { metadata } of items) {
    const { name = '', namespace = '' } = metadata;
    const text = await getThroughPod(client, {
      pod: name,
      namespace,
      port: 15020,
      path: '/metrics',
    });
    assert.match(text, /^ambit_nri_connected 1$/m);
    sum += Number(
      new RegExp(`^ambit_pod_starts_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1] ??
        0,
    );
  }
  return sum;
}
