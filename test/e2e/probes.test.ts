// Kubelet probes under STRICT, and the options pods have over their capture, on a whole cluster.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  EVENTS,
  NAMESPACES,
  PEER_AUTHENTICATIONS,
  PODS,
} from '../../runtime/kubernetes/resources.ts';
import { MODE, podWhere, REDIRECTION, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { call, startPod } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const VAULT = 'vault';
const PLAIN = 'plain';
const STAYS_UNREADY = { namespace: VAULT, name: 'late' };
const OUTSIDER = { namespace: PLAIN, name: 'client' };
type Object = KubeObject & Readonly<Record<string, unknown>>;

/** Not ready until somebody asks for /go. */
const LATE = `
  let ready = false;
  require('node:http').createServer((request, response) => {
    ready ||= request.url === '/go';
    response.writeHead(ready ? 200 : 503).end('x');
  }).listen(8080);
`;
const GO =
  "fetch('http://' + process.env.POD_IP + ':8080/go').then((answer) => console.log(answer.status))";

sandboxSuite('probes and options of captured pods', (sandbox) => {
  test('a pod of a STRICT namespace becomes ready by a probe that comes when it is captured', async (t) => {
    const { client } = sandbox();
    await client.create<Object>(NAMESPACES, {
      metadata: { name: VAULT, labels: { [MODE]: 'ambient' } },
    });
    await client.create<Object>(PEER_AUTHENTICATIONS, {
      metadata: { name: 'default', namespace: VAULT },
      spec: { mtls: { mode: 'STRICT' } },
    });
    await client.create<Object>(PODS, latePod());
    await redirectionOfAll(sandbox(), VAULT, 'enabled');
    const captured = await podWhere(sandbox(), STAYS_UNREADY, () => true);
    assert.equal(isReady(captured), false);

    await client.create<Object>(NAMESPACES, { metadata: { name: PLAIN } });
    await startPod(sandbox(), { ...OUTSIDER, image: 'host', command: ['sleep', '3600'] });
    const url = `http://${captured.status?.podIP}:8080/`;
    if (sandbox().mode === 'netns') await refused(sandbox(), url);
    else t.diagnostic('plaintext that arrives is not captured in loopback mode');

    const { stdout } = await sandbox().exec(STAYS_UNREADY, [process.execPath, '-e', GO]);
    assert.equal(stdout.trim(), '200');
    const ready = await podWhere(sandbox(), STAYS_UNREADY, isReady);
    assert.equal(ready.metadata.annotations?.[REDIRECTION], 'enabled');
    assert.deepEqual(
      ready.status?.containerStatuses?.map(({ restartCount }) => restartCount),
      [0],
      'its liveness probe held too',
    );
    if (sandbox().mode === 'netns') await refused(sandbox(), url);
  });

  test('an annotation leaves a port out of capture while the pod runs, and a wrong one is told as an Event and in status', async (t) => {
    if (sandbox().mode === 'loopback') {
      t.skip('loopback mode captures no plaintext that arrives');
      return;
    }
    const { client } = sandbox();
    const late = await podWhere(sandbox(), STAYS_UNREADY, () => true);
    const url = `http://${late.status?.podIP}:8080/`;
    const annotate = (annotations: Record<string, string | null>): Promise<Pod> =>
      client.patch<Pod>(PODS, STAYS_UNREADY.name, VAULT, { metadata: { annotations } });
    await annotate({ 'ambit-mesh.io/exclude-inbound-ports': '8080' });
    await until(async () => (await call(sandbox(), OUTSIDER, url)).ok);
    await annotate({ 'ambit-mesh.io/exclude-inbound-ports': 'http' });
    await until(async () => !(await call(sandbox(), OUTSIDER, url)).ok);
    const events = await waitFor<Event>(client, EVENTS, { namespace: VAULT }, (all) =>
      all.some(({ reason }) => reason === 'InvalidAnnotation'),
    );
    assert.match(
      events.find(({ reason }) => reason === 'InvalidAnnotation')?.message ?? '',
      /exclude-inbound-ports is "http"/,
    );
    const { stdout } = await sandbox().ambit('status');
    assert.match(stdout, /InvalidAnnotation Pod vault\/late/);
    await annotate({ 'ambit-mesh.io/exclude-inbound-ports': null });
  });

  test('a pod on the network of its node is left alone, and status says so', async () => {
    const { client } = sandbox();
    await client.create<Object>(PODS, {
      metadata: { name: 'exporter', namespace: VAULT },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'host', image: 'host', command: ['sleep', '3600'] }],
      },
    });
    await podWhere(
      sandbox(),
      { namespace: VAULT, name: 'exporter' },
      ({ status }) => status?.phase === 'Running',
    );
    await until(async () =>
      /vault +exporter +\S+ +hostNetwork/.test((await sandbox().ambit('status')).stdout),
    );
  });
});

function latePod(): Object {
  return {
    metadata: { name: STAYS_UNREADY.name, namespace: VAULT },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: 'host',
          command: [process.execPath, '-e', LATE],
          env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
          readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
          livenessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1, initialDelaySeconds: 2 },
        },
      ],
    },
  };
}

function isReady({ status }: Pod): boolean {
  return (status?.conditions ?? []).some((one) => one.type === 'Ready' && one.status === 'True');
}

/** The policy and the rules travel on their own: asked until they hold. */
async function refused(sandbox: Sandbox, url: string): Promise<void> {
  await until(async () => !(await call(sandbox, OUTSIDER, url)).ok);
}

const TIMEOUT_MS = 60_000;

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + TIMEOUT_MS; performance.now() < end; ) {
    if (await holds()) return;
  }
  throw new Error(`Not within ${TIMEOUT_MS} ms: ${holds.toString()}`);
}
