// An agent's life: what it waits for before it is ready, what it shows from its first moment, how it ends, and what it must
// not do while it knows only what the disk had.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../runtime/clock.ts';
import type { AgentParts, AgentSettings } from './agent-parts.ts';
import { startAgent } from './app.ts';
import type { CaptureDriver } from './capture/capture.ts';
import { loopbackCapture } from './capture/loopback.ts';
import {
  AGENT_SETTINGS,
  createTestCa,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type TestCa,
  workloadOf,
} from './test-support/world.ts';

const SETTINGS: AgentSettings = { ...AGENT_SETTINGS, dnsCapture: false };
// an address of this process only
const ADDRESS = `127.${192 + (process.pid % 60)}.${(process.pid >> 6) % 256}.1`;
const POD = { name: 'web', uid: 'u-web', addresses: [ADDRESS] };

let ca: TestCa;
let directory: string;
before(async () => {
  ca = await createTestCa();
  directory = mkdtempSync(join(tmpdir(), 'ambit-life-'));
  await mkdir(join(directory, POD.uid));
});
after(() => rmSync(directory, { recursive: true }));

/** Discovery that has told nothing yet, or only what the disk had. */
class SlowDiscovery extends HandmadeDiscovery {
  readonly first = Promise.withResolvers<void>();
  readonly all = Promise.withResolvers<void>();
  override readonly synced = this.first.promise;
  readonly live = this.all.promise;
}

function start(parts: Partial<AgentParts> = {}, settings: Partial<AgentSettings> = {}) {
  const { log, lines } = memoryLog();
  const discovery = new SlowDiscovery();
  const capture = loopbackCapture({ clock: systemClock }, { directory });
  const own = { clock: systemClock, log, discovery, issue: issueFrom(ca), capture };
  return startAgent({ ...own, ...parts }, { ...SETTINGS, ...settings }).then((agent) => ({
    agent,
    discovery,
    lines,
    get: (door: 'admin' | 'metrics' | 'ready', path: string, method = 'GET') =>
      fetch(`http://127.0.0.1:${agent.ports[door]}${path}`, { method }),
  }));
}

test('readiness names what is waited for, at the shared port and in the file of its own', async () => {
  const readyFile = join(directory, 'ready');
  const { agent, discovery, get } = await start({}, { readyFile });
  const answer = await get('ready', '/healthz/ready');
  assert.equal(answer.status, 500);
  assert.match(await answer.text(), /^not ready, pending: first snapshot, enrolments/);
  assert.match(readFileSync(readyFile, 'utf8'), /^not ready, pending: first snapshot, enrolments/);
  discovery.first.resolve();
  while ((await get('ready', '/healthz/ready')).status !== 200) {
    // each look is a round trip: the agent's turn comes in between
  }
  assert.match(readFileSync(readyFile, 'utf8'), /^ready\n/);
  const stopped = agent.stop();
  assert.match(readFileSync(readyFile, 'utf8'), /^not ready, pending: stopping\n/);
  await stopped;
  assert.throws(() => readFileSync(readyFile));
});

test('a stopped agent has closed every door: its own, and those in its pods', async () => {
  const { agent, discovery } = await start();
  discovery.first.resolve();
  discovery.push({ kind: 'workload', workload: workloadOf(POD) });
  discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(POD) });
  await discovery.reported(POD.uid, 'enabled');
  const doors = [
    ...Object.values(agent.ports).map((port) => ({ port, host: '127.0.0.1' })),
    ...[15001, 15008].map((port) => ({ port, host: ADDRESS })),
  ];
  for (const door of doors) {
    const socket = connect(door);
    await once(socket, 'connect');
    socket.destroy();
  }
  await agent.stop();
  for (const door of doors) {
    await assert.rejects(once(connect(door), 'connect'), { code: 'ECONNREFUSED' });
  }
});

test('a door’s port that another program holds is named, and no other door stays open', async () => {
  const foreign = createServer().listen(0, '127.0.0.1');
  await once(foreign, 'listening');
  const { port } = foreign.address() as { port: number };
  const taken = { host: '127.0.0.1', port, shared: true };
  for (const door of ['admin', 'metrics', 'ready'] as const) {
    await assert.rejects(
      start({}, { [door]: taken }),
      new RegExp(`Cannot open the ${door} door at 127.0.0.1:${port}: .*EADDRINUSE`),
    );
  }
  foreign.close();
});

test('a port taken in a pod fails that pod, by name', async () => {
  const foreign = createServer().listen(15001, ADDRESS);
  await once(foreign, 'listening');
  const { agent, discovery } = await start();
  discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(POD) });
  discovery.first.resolve();
  const report = await discovery.reported(POD.uid, 'failed');
  assert.equal(report.state === 'failed' && report.reason, 'PortTaken');
  foreign.close();
  await agent.stop();
});

test('POST /quitquitquit asks for the end; the agent goes on until it is told', async () => {
  const asked: string[] = [];
  const { agent, get } = await start({ quit: (why) => void asked.push(why) });
  assert.equal((await get('admin', '/quitquitquit')).status, 405);
  assert.equal((await get('admin', '/quitquitquit', 'POST')).status, 200);
  assert.equal((await get('admin', '/ready')).status, 500);
  assert.deepEqual(asked, ['/quitquitquit']);
  await agent.stop();
});

test('a fresh agent has the metrics people look for, under both paths', async () => {
  const { agent, get } = await start();
  const text = await (await get('metrics', '/stats/prometheus')).text();
  for (const name of [
    'istio_build{component="node-agent"',
    'istio_tcp_sockets_open{reporter="source"} 0',
    'istio_tcp_sockets_open{reporter="destination"} 0',
    'workload_manager_active_proxy_count 0',
    'workload_manager_pending_proxy_count 0',
    'process_open_fds ',
    'process_max_fds ',
    'nodejs_eventloop_lag_p99_seconds ',
    '# TYPE istio_tcp_connections_opened_total counter',
    '# TYPE istio_tcp_connections_closed_total counter',
    '# TYPE istio_tcp_connections_failed_total counter',
    '# TYPE istio_tcp_received_bytes_total counter',
    '# TYPE istio_tcp_sent_bytes_total counter',
    '# TYPE ambit_connections_cut_total counter',
    '# TYPE ambit_limit_reached_total counter',
  ]) {
    assert.ok(text.includes(name), `${name} is missing`);
  }
  assert.equal((await get('metrics', '/metrics')).status, 200);
  await agent.stop();
});

test('while only the disk has spoken, no pod is let go; once the control plane has, leftovers are', async () => {
  const looked: ReadonlySet<string>[] = [];
  const looking = Promise.withResolvers<void>();
  const inner = loopbackCapture({ clock: systemClock }, { directory });
  const capture: CaptureDriver = {
    open: (pod) => inner.open(pod),
    close: () => inner.close(),
    leftovers: async (wanted) => {
      looked.push(wanted);
      looking.resolve();
      return [];
    },
  };
  const { agent, discovery, get } = await start({ capture });
  discovery.first.resolve();
  while ((await get('ready', '/healthz/ready')).status !== 200) {
    // as above
  }
  assert.deepEqual(looked, []);
  discovery.all.resolve();
  await looking.promise;
  assert.equal(looked.length, 1);
  await agent.stop();
});
