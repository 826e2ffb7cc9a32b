// A node's kubelet and its agent, with real capture and NRI between them: what becomes of a pod between its making and its
// first instruction. The control plane's words are the test's own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { Mode } from '../../mesh/namespace.ts';
import { type Agent, startAgent } from '../../node-agent/app.ts';
import { type CaptureDriver, CaptureError } from '../../node-agent/capture/capture.ts';
import { procSource } from '../../node-agent/capture/find-netns.ts';
import { netnsCapture } from '../../node-agent/capture/netns.ts';
import { Sandboxes } from '../../node-agent/nri/sandboxes.ts';
import {
  AGENT_SETTINGS,
  createTestCa,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type TestCa,
  workloadOf,
} from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Event } from '../../runtime/kubernetes/objects.ts';
import { EVENTS, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Pod } from '../../sandbox/kubelet/pod/pod-spec.ts';
import { openNode, type TestNode } from '../../sandbox/kubelet/test-support/node.ts';
import { enterNamespaces } from './namespaces.ts';

const PORT = 7070;
/** For pods that are to be enrolled; on an idle machine it takes a fiftieth of it. */
const WAIT_MS = 15_000;

let ca: TestCa;

/** A node with a server of its own outside of the mesh, which counts who reaches it. */
async function setUp(t: TestContext) {
  // nothing here is about a slow machine
  const node = await openNode(t, { nriTimeoutMs: 20_000 });
  const reached: string[] = [];
  const server = createServer((socket) => {
    reached.push(socket.remoteAddress ?? '');
    socket.on('error', () => {});
    socket.end('welcome\n');
  });
  await node.network.listen(PORT, server);
  t.after(async () => {
    server.close();
    await once(server, 'close');
  });
  return { node, reached, discovery: new HandmadeDiscovery() };
}

async function startNodeAgent(
  t: TestContext,
  node: TestNode,
  discovery: HandmadeDiscovery,
  wrap: (capture: CaptureDriver) => CaptureDriver = (capture) => capture,
  waitMs = WAIT_MS,
): Promise<Agent> {
  const { log } = memoryLog();
  const sandboxes = new Sandboxes();
  const capture = netnsCapture({
    clock: systemClock,
    log,
    sources: [sandboxes, procSource()],
  });
  const agent = await startAgent(
    {
      clock: systemClock,
      log,
      discovery,
      sandboxes,
      issue: issueFrom(ca),
      capture: wrap(capture),
    },
    {
      ...AGENT_SETTINGS,
      drainDeadlineMs: 1000,
      watchIntervalMs: 60_000,
      dnsCapture: false,
      nri: { socket: join(node.nodeDir, 'run/nri/nri.sock'), waitMs },
    },
  );
  t.after(() => agent.stop());
  await metric(agent, 'ambit_nri_connected', '1');
  return agent;
}

/** Waits until a metric has a value. */
async function metric(agent: Agent, name: string, value: string): Promise<void> {
  for (;;) {
    if ((await agent.metrics.text()).split('\n').includes(`${name} ${value}`)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const told = (discovery: HandmadeDiscovery, mode: Mode): void =>
  discovery.push({ kind: 'namespace', namespace: { name: 'demo', mode } });

function enrol(discovery: HandmadeDiscovery, name: string): void {
  const enrolment = enrolmentOf({ name, uid: `uid-${name}`, addresses: [] });
  discovery.push({
    kind: 'enrolment',
    enrolment: {
      ...enrolment,
      namespace: 'demo',
      identity: { ...enrolment.identity, namespace: 'demo' },
    },
  });
}

/** The control plane's other half: it comes when the pod has its address. */
async function tellWorkload(node: TestNode, discovery: HandmadeDiscovery, name: string) {
  const pod = await node.until(name, (it) => (it?.status?.podIPs ?? []).length > 0);
  const addresses = (pod.status?.podIPs ?? []).map(({ ip }) => parseIp(ip));
  const workload = workloadOf({ name, uid: `uid-${name}`, addresses });
  discovery.push({ kind: 'workload', workload: { ...workload, namespace: 'demo' } });
}

/** A program that calls the server at its first instruction, and again and again. */
function caller(node: TestNode, name: string, spec: Partial<Pod['spec']> = {}): Promise<Pod> {
  const host = node.network.addresses[0];
  const call = `(exec 3<>/dev/tcp/${host}/${PORT} && read -t 5 line <&3 && echo got $line || echo failed) 2>/dev/null`;
  const script = `while true; do ${call}; sleep 0.05; done`;
  return node.run(name, {
    containers: [{ name: 'main', image: 'host', command: ['bash', '-c', script] }],
    ...spec,
  });
}

async function eventOf(node: TestNode, reason: string): Promise<Event> {
  for (;;) {
    const { items } = await node.kube.list<Event>(EVENTS);
    const event = items.find((one) => one.reason === reason);
    if (event !== undefined) return event;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What the program said, once it has said so much. */
async function lines(node: TestNode, name: string, count: number): Promise<string[]> {
  for (;;) {
    const said = logOf(node, name);
    if (said.length >= count) return said;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function logOf(node: TestNode, name: string): string[] {
  const logs = join(node.nodeDir, 'logs');
  try {
    const folder = readdirSync(logs).find((one) => one.startsWith(`demo_${name}_`)) ?? '';
    const text = readFileSync(join(logs, folder, 'main', '0.log'), 'utf8');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [line.replace(/^.* F /, '')]));
  } catch {
    return [];
  }
}

if (enterNamespaces(import.meta.filename)) {
  before(async () => {
    ca = await createTestCa();
  });

  describe('a pod that starts', () => {
    test('in the mesh without its enrolment: nothing of it gets out, that is said, and it ends when the enrolment comes', async (t) => {
      const { node, reached, discovery } = await setUp(t);
      told(discovery, 'ambient');
      const agent = await startNodeAgent(t, node, discovery, undefined, 100);
      await caller(node, 'web');
      assert.deepEqual(new Set(await lines(node, 'web', 5)), new Set(['failed']));
      await metric(agent, 'ambit_pods_awaiting_enrolment', '1');
      const report = await discovery.reported('uid-web', 'failed');
      assert.equal(report.state === 'failed' && report.reason, 'EnrolmentAwaited');
      assert.deepEqual(reached, []);
      enrol(discovery, 'web');
      await tellWorkload(node, discovery, 'web');
      await discovery.reported('uid-web', 'enabled');
      const before = (await lines(node, 'web', 1)).length;
      const said = await lines(node, 'web', before + 5);
      assert.equal(said.at(-1), 'got welcome');
      await metric(agent, 'ambit_pods_awaiting_enrolment', '0');
    });

    test('in the mesh with its enrolment: it waits to be enrolled, and its very first call goes through the agent', async (t) => {
      const { node, reached, discovery } = await setUp(t);
      told(discovery, 'ambient');
      enrol(discovery, 'web');
      const agent = await startNodeAgent(t, node, discovery);
      await caller(node, 'web');
      await tellWorkload(node, discovery, 'web');
      assert.equal((await lines(node, 'web', 1))[0], 'got welcome');
      assert.ok(reached.length > 0);
      await metric(agent, 'ambit_pod_starts_total{outcome="enrolled"}', '1');
      assert.deepEqual(
        discovery.reports.map(({ state }) => state),
        ['enabled'],
      );
    });

    test('with rules that cannot be set does not start: the kubelet says why and tries again', async (t) => {
      const { node, discovery } = await setUp(t);
      told(discovery, 'ambient');
      enrol(discovery, 'web');
      let broken = true;
      await startNodeAgent(t, node, discovery, (capture) => ({
        ...capture,
        async open(place) {
          if (broken) throw new CaptureError('CaptureFailed', 'nft is broken here');
          return capture.open(place);
        },
      }));
      await caller(node, 'web');
      const { message } = await eventOf(node, 'FailedCreatePodSandBox');
      assert.match(message ?? '', /NRI RunPodSandbox failed: nft is broken here/);
      assert.deepEqual(logOf(node, 'web'), []);
      broken = false;
      await tellWorkload(node, discovery, 'web');
      assert.equal((await lines(node, 'web', 1))[0], 'got welcome');
    });

    test('while there is no agent is outside, and is enrolled when one comes', async (t) => {
      const { node, reached, discovery } = await setUp(t);
      await caller(node, 'web');
      assert.equal((await lines(node, 'web', 1))[0], 'got welcome');
      assert.ok(reached.length > 0);
      told(discovery, 'ambient');
      enrol(discovery, 'web');
      await startNodeAgent(t, node, discovery);
      await discovery.reported('uid-web', 'enabled');
      // captured now: without its workload the agent does not carry it
      const before = logOf(node, 'web').length;
      await tellWorkload(node, discovery, 'web');
      assert.equal((await lines(node, 'web', before + 3)).at(-1), 'got welcome');
    });

    test("that is opted out, or on the node's own network, is started at once and not touched", async (t) => {
      const { node, discovery } = await setUp(t);
      told(discovery, 'none');
      const agent = await startNodeAgent(t, node, discovery);
      await caller(node, 'plain');
      await caller(node, 'host', { hostNetwork: true });
      for (const name of ['plain', 'host']) {
        assert.equal((await lines(node, name, 1))[0], 'got welcome');
      }
      await metric(agent, 'ambit_pod_starts_total{outcome="outside"}', '2');
      assert.deepEqual(discovery.reports, []);
    });

    test('and leaves: its sandbox is forgotten', async (t) => {
      const { node, discovery } = await setUp(t);
      told(discovery, 'ambient');
      const agent = await startNodeAgent(t, node, discovery, undefined, 100);
      await caller(node, 'web');
      await metric(agent, 'ambit_pods_awaiting_enrolment', '1');
      await node.kube.delete(PODS, 'web', 'demo', { gracePeriodSeconds: 0 });
      await metric(agent, 'ambit_pods_awaiting_enrolment', '0');
    });
  });
}
