// The control plane as agents meet it: real WebSockets over loopback TLS with our own client, a Kubernetes API in memory,
// and a certificate authority made for the test.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { parseIdentity } from '../mesh/identity.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { systemClock } from '../runtime/clock.ts';
import { createDiscoveryClient, type DiscoveryClient } from '../runtime/discovery-client.ts';
import { SettingsReader } from '../runtime/env.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { Event, Lease, Namespace, Pod } from '../runtime/kubernetes/objects.ts';
import { EVENTS, LEASES, NAMESPACES, NODES, PODS } from '../runtime/kubernetes/resources.ts';
import { createLog } from '../runtime/log.ts';
import { createTestCa } from '../tunnel/test-ca.ts';
import type { ControlPlaneStatus } from '../wire/status.ts';
import { type ControlPlane, startControlPlane } from './app.ts';
import { readControlPlaneConfig } from './config.ts';
import { type Authority, startAuthority } from './test-authority.ts';
import { pod, review, until } from './test-cluster.ts';

const OWN = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-control-plane');
const CA = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-ca');

const kube = new MemoryKube();
type Line = Record<string, unknown>;
const lineWatchers = new Set<(line: Line) => void>();
const log = createLog({
  component: 'test',
  level: 'debug',
  write: (text) => {
    const line = JSON.parse(text) as Line;
    for (const watcher of lineWatchers) watcher(line);
  },
});
const abort = new AbortController();
const clients: DiscoveryClient[] = [];
let folder: string;
let authority: Authority;
let controlPlane: ControlPlane;

async function start(port = 0): Promise<ControlPlane> {
  const env = new SettingsReader({
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    AMBIT_DISCOVERY_HOST: '127.0.0.1',
    AMBIT_DISCOVERY_PORT: String(port),
    AMBIT_CA_ADDRESS: `127.0.0.1:${authority.port}`,
    AMBIT_TOKEN_FILE: join(folder, 'token'),
    AMBIT_ROOT_CERT_FILE: join(folder, 'root.pem'),
    AMBIT_ADMIN_PORT: '0',
    AMBIT_METRICS_PORT: '0',
    AMBIT_READY_PORT: '0',
  });
  return startControlPlane(
    { client: kube, clock: systemClock, log },
    readControlPlaneConfig(env),
    abort.signal,
  );
}

async function agent(node: string, identity = OWN): Promise<DiscoveryClient> {
  const tokenFile = join(folder, `token-${node}`);
  await writeFile(tokenFile, `ambit-node-agent@${node}`);
  const client = createDiscoveryClient(
    { clock: systemClock, log },
    {
      address: `127.0.0.1:${controlPlane.port}`,
      rootCertFile: join(folder, 'root.pem'),
      tokenFile,
      serverIdentity: identity,
      clusterId: 'Kubernetes',
      nodeId: `node-agent~agent-${node}~${node}`,
      userAgent: 'node-agent/1.2.3',
    },
  );
  clients.push(client);
  return client;
}

/** The next log line of which `isRight` holds. */
function untilLine(isRight: (line: Line) => boolean): Promise<Line> {
  return new Promise((resolve) => {
    const watcher = (line: Line): void => {
      if (!isRight(line)) return;
      lineWatchers.delete(watcher);
      resolve(line);
    };
    lineWatchers.add(watcher);
  });
}

/** The next time an agent finds nobody at the port. */
function untilRefused(port: number): Promise<Line> {
  return untilLine(
    ({ address, why }) => address === `127.0.0.1:${port}` && String(why).includes('ECONNREFUSED'),
  );
}

/** The next change of a pod that makes `isRight` true. */
function untilPod(name: string, isRight: (pod: Pod) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    kube
      .watch<Pod>(
        PODS,
        { resourceVersion: '0', namespace: 'shop' },
        ({ object }) => {
          if (object.metadata.name !== name || !isRight(object)) return;
          resolve();
          stop.abort(new Error('seen'));
        },
        stop.signal,
      )
      .catch((error: Error) => (error.message === 'seen' ? undefined : reject(error)));
  });
}

async function status(): Promise<ControlPlaneStatus> {
  const response = await fetch(`http://127.0.0.1:${controlPlane.admin.admin}/status`);
  return (await response.json()) as ControlPlaneStatus;
}

const protocolOf = (snapshot: Snapshot, name: string) =>
  snapshot.workloadByUid(`Kubernetes//Pod/shop/${name}`)?.protocol;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambit-control-plane-'));
  const ca = await createTestCa();
  await writeFile(join(folder, 'root.pem'), ca.rootPem);
  await writeFile(join(folder, 'token'), 'ambit-control-plane@n1');
  authority = await startAuthority(ca, { own: OWN, serving: CA });
  kube.reviewToken = review;
  await kube.create(NODES, { metadata: { name: 'n1' } });
  await kube.create<Namespace>(NAMESPACES, { metadata: { name: 'shop' } });
  await kube.create(PODS, pod('web', 'n1'));
  await kube.create(PODS, pod('cart', 'n2'));
  controlPlane = await start();
});

after(async () => {
  for (const client of clients) await client.close();
  await controlPlane.close();
  authority.close();
  await rm(folder, { recursive: true });
});

describe('the control plane', () => {
  test('an agent learns everything at connecting, and enrolments of its node only', async () => {
    const client = await agent('n1');
    await client.synced;
    assert.deepEqual(
      [...client.snapshot().workloads()].map(({ name, protocol }) => `${name} ${protocol}`).sort(),
      ['cart tcp', 'web tcp'],
    );
    assert.deepEqual([...client.snapshot().enrolments()], []);
    await kube.patch(NAMESPACES, 'shop', undefined, {
      metadata: { labels: { 'ambit-mesh.io/mode': 'ambient' } },
    });
    const snapshot = await until(client, (s) => [...s.enrolments()].length > 0);
    assert.deepEqual(
      [...snapshot.enrolments()].map(({ name, podUid }) => [name, podUid]),
      [['web', 'uid-web']],
    );
  });

  test('a report of the agent of the node makes the pod reachable by tunnel for everybody', async () => {
    const [one, two] = [clients[0]!, await agent('n2')];
    await until(two, (s) => s.enrolment('uid-cart') !== undefined);
    one.report({ podUid: 'uid-web', name: 'web', namespace: 'shop', state: 'enabled' });
    two.report({ podUid: 'uid-cart', name: 'cart', namespace: 'shop', state: 'enabled' });
    for (const client of [one, two]) {
      await until(
        client,
        (s) => protocolOf(s, 'web') === 'hbone' && protocolOf(s, 'cart') === 'hbone',
      );
    }
    const found = await kube.get<Pod>(PODS, 'web', 'shop');
    assert.equal(found?.metadata.annotations?.['ambit-mesh.io/redirection'], 'enabled');
  });

  test('a report about a pod of another node is refused', async () => {
    const refused = untilLine(({ message }) =>
      String(message).startsWith('Refused an enrolment report'),
    );
    clients[1]!.report({ podUid: 'uid-web', name: 'web', namespace: 'shop', state: 'removed' });
    await refused;
    assert.equal(protocolOf(clients[0]!.snapshot(), 'web'), 'hbone');
  });

  test('a failed enrolment is annotated, told in an Event and shown as a problem', async () => {
    const failed = untilPod(
      'cart',
      ({ metadata }) => metadata.annotations?.['ambit-mesh.io/redirection'] === 'failed',
    );
    const message = 'Port 15008 of the pod is taken: free it';
    clients[1]!.report({
      podUid: 'uid-cart',
      name: 'cart',
      namespace: 'shop',
      state: 'failed',
      reason: 'PortTaken',
      message,
    });
    await failed;
    await until(clients[0]!, (s) => protocolOf(s, 'cart') === 'tcp');
    const { problems, workloads } = await status();
    assert.deepEqual(
      problems.map(({ object, message }) => [object, message]),
      [['Pod shop/cart', `PortTaken: ${message}`]],
    );
    assert.deepEqual(
      workloads.map(({ name, redirection }) => [name, redirection]),
      [
        ['cart', 'failed'],
        ['web', 'enabled'],
      ],
    );
    const events = await kube.list<Event>(EVENTS);
    assert.deepEqual(
      events.items.map(({ reason, involvedObject }) => [reason, involvedObject.name]),
      [['PortTaken', 'cart']],
    );
  });

  test('the tunnel of a pod that leaves the mesh is kept until every agent knows', async () => {
    const [one, two] = [clients[0]!, clients[1]!];
    const seen: string[] = [];
    const unsubscribe = one.subscribe((s) => {
      seen.push(
        `${protocolOf(s, 'web')} ${s.enrolment('uid-web') === undefined ? 'gone' : 'enrolled'}`,
      );
    });
    await kube.patch(PODS, 'web', 'shop', {
      metadata: { labels: { 'ambit-mesh.io/mode': 'none' } },
    });
    await until(one, (s) => s.enrolment('uid-web') === undefined);
    unsubscribe();
    assert.equal(protocolOf(two.snapshot(), 'web'), 'tcp');
    assert.deepEqual(seen, ['tcp enrolled', 'tcp gone']);
  });

  test('status tells leader, root, agents and namespaces', async () => {
    const { leader, rootNotAfter, agents, namespaces, version } = await status();
    assert.match(version, /^\d+\.\d+\.\d+/);
    assert.equal(leader, true);
    assert.ok(Date.parse(rootNotAfter ?? '') > Date.now());
    assert.deepEqual(
      agents.map(({ node, pod, version }) => [node, pod, version]),
      [
        ['n1', 'agent-n1', '1.2.3'],
        ['n2', 'agent-n2', '1.2.3'],
      ],
    );
    assert.deepEqual(namespaces, [
      { name: 'shop', mode: 'ambient', pods: 2, enrolled: 0, leftAlone: 1 },
    ]);
  });

  test('a label value nobody knows becomes a problem and an Event; other pods are untouched', async () => {
    const before = clients[0]!.snapshot().version;
    await kube.create<Namespace>(NAMESPACES, {
      metadata: { name: 'odd', labels: { 'ambit-mesh.io/mode': 'on' } },
    });
    // any later change shows that the translation went on
    await kube.create(PODS, pod('another', 'n1'));
    await until(clients[0]!, (s) => s.workloadByUid('Kubernetes//Pod/shop/another') !== undefined);
    const problem = (await status()).problems.find(({ object }) => object === 'Namespace odd');
    assert.match(
      problem?.remedy ?? '',
      /kubectl label namespace odd ambit-mesh.io\/mode=ambient --overwrite/,
    );
    const events = await kube.list<Event>(EVENTS, { fieldSelector: 'reason=UnknownMode' });
    assert.equal(events.items.length, 1);
    assert.ok(clients[0]!.snapshot().version > before);
  });

  test('refuses who is not a node agent, with the reason', async () => {
    const connect = (token: string) =>
      new Promise<string>((resolve) => {
        const options = {
          headers: { authorization: `Bearer ${token}` },
          checkServerIdentity: () => undefined,
        };
        void readFile(join(folder, 'root.pem')).then((ca) => {
          const socket = new WebSocket(`wss://127.0.0.1:${controlPlane.port}/v1/discovery`, {
            ...options,
            ca,
          } as never);
          socket.on('error', () => {});
          socket.on('unexpected-response', (_, response) => {
            let body = '';
            response.on('data', (text) => {
              body += String(text);
            });
            response.on('end', () => resolve(`${response.statusCode} ${body.trim()}`));
          });
        });
      });
    assert.equal(await connect('expired@n1'), '401 Cannot tell who connects: token has expired');
    assert.equal(
      await connect('web@n1'),
      '403 ambit-system/web is neither the account of a node agent nor of a waypoint: there is no pod ambit-system/agent-n1, or not yet',
    );
  });

  test('is not believed by an agent that expects another identity', async () => {
    const impostor = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/impostor');
    const line = untilLine(({ why }) => String(why).includes('impostor'));
    const client = await agent('n3', impostor);
    assert.match(
      String((await line)['why']),
      /certificate names spiffe:\S+ambit-control-plane, expected spiffe:\S+impostor/,
    );
    assert.equal(client.connected, false);
    await client.close();
  });

  test('agents keep everything while it is away, and resume with differences only', async () => {
    const client = clients[0]!;
    const known = client.snapshot();
    const port = controlPlane.port;
    await controlPlane.close();
    const lease = await kube.get<Lease>(LEASES, 'ambit-control-plane', 'ambit-system');
    assert.equal(lease?.spec?.holderIdentity, '', 'another replica may lead at once');
    await kube.delete(PODS, 'another', 'shop');
    await kube.create(PODS, pod('fresh', 'n2'));
    assert.equal(client.snapshot(), known);
    controlPlane = await start(port);
    const snapshot = await until(
      client,
      (s) => s.workloadByUid('Kubernetes//Pod/shop/fresh') !== undefined,
    );
    assert.equal(snapshot.workloadByUid('Kubernetes//Pod/shop/another'), undefined);
    assert.equal(protocolOf(snapshot, 'cart'), 'tcp');
    assert.ok(snapshot.version <= known.version + 2, 'one or two updates, not everything anew');
  });

  test('started while Kubernetes is away, it serves nobody until it knows everything; agents keep what they have', async () => {
    const client = clients[0]!;
    const known = client.snapshot();
    const port = controlPlane.port;
    await controlPlane.close();
    kube.breakDown();
    const tried = untilLine(({ message }) =>
      String(message).startsWith('Lost sight of Kubernetes'),
    );
    const starting = start(port);
    await tried;
    for (let i = 0; i < 2; i++) await untilRefused(port);
    assert.equal(client.snapshot(), known);
    kube.restore();
    await kube.create(PODS, pod('newest', 'n2'));
    controlPlane = await starting;
    const seen: number[] = [];
    const unsubscribe = client.subscribe((s) => seen.push([...s.workloads()].length));
    await until(client, (s) => s.workloadByUid('Kubernetes//Pod/shop/newest') !== undefined);
    unsubscribe();
    const before = [...known.workloads()].length;
    assert.ok(
      seen.every((count) => count >= before),
      `${seen} of ${before}`,
    );
  });

  test('that cannot translate what it found tells nobody of an empty cluster: it serves once it can', async () => {
    const client = clients[0]!;
    const known = client.snapshot();
    const port = controlPlane.port;
    await controlPlane.close();
    // no server lets it in: what is left is a fault of ours
    const metadata = { namespace: 'shop', name: 'unheard-of', uid: 'uid-unheard-of' };
    await kube.create<Pod>(PODS, { metadata } as Pod);
    const failed = untilLine(({ message }) => String(message).startsWith('Cannot translate'));
    const starting = start(port);
    await failed;
    for (let i = 0; i < 2; i++) await untilRefused(port);
    assert.equal(client.snapshot(), known);
    await kube.delete(PODS, 'unheard-of', 'shop');
    controlPlane = await starting;
    await kube.create(PODS, pod('latest', 'n2'));
    const snapshot = await until(
      client,
      (s) => s.workloadByUid('Kubernetes//Pod/shop/latest') !== undefined,
    );
    assert.equal([...snapshot.workloads()].length, [...known.workloads()].length + 1);
  });
});
