// Two node agents in one process, tunnelling over loopback: the data path from a captured connection to the application
// and back, with its policy, failures, metrics and access log. Loopback capture, real TLS, no control plane.

import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import type { AuthorizationPolicy } from '../mesh/policy.ts';
import { matchOf } from '../mesh/test-arbitraries.ts';
import { systemClock } from '../runtime/clock.ts';
import { encodeProxyHeader } from '../wire/proxy-protocol.ts';
import { type Agent, startAgent } from './app.ts';
import { loopbackCapture } from './capture/loopback.ts';
import {
  createTestCa,
  EPHEMERAL_DOORS,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type PodSpec,
  portOf,
  serviceOf,
  type TestCa,
  workloadOf,
} from './test-support/world.ts';

const SETTINGS = {
  certificateTtlMs: 3_600_000,
  drainDeadlineMs: 5000,
  trustDomain: 'cluster.local',
  leaveGraceMs: 100,
  watchIntervalMs: 100,
  dnsCapture: true,
  nri: undefined,
  ...EPHEMERAL_DOORS,
};
// addresses of this process only: pods of tests that run at the same time must not meet
const BLOCK = `127.${64 + (process.pid % 128)}.${(process.pid >> 7) % 256}`;
const VIP = '10.96.0.10';

let nextAddress = 1;
function podSpec(name: string, options: Partial<PodSpec> = {}): PodSpec {
  return { name, uid: randomUUID(), addresses: [`${BLOCK}.${nextAddress++}`], ...options };
}

type Node = {
  readonly agent: Agent;
  readonly discovery: HandmadeDiscovery;
  readonly lines: Record<string, unknown>[];
};

let ca: TestCa;
let directory: string;
before(async () => {
  ca = await createTestCa();
  directory = await mkdtemp(join(tmpdir(), 'ambit-agent-'));
});
after(() => rm(directory, { recursive: true }));

async function startNode(): Promise<Node> {
  const discovery = new HandmadeDiscovery();
  const { log, lines } = memoryLog();
  const agent = await startAgent(
    {
      clock: systemClock,
      log,
      discovery,
      issue: issueFrom(ca),
      capture: loopbackCapture({ clock: systemClock }, { directory }),
    },
    SETTINGS,
  );
  return { agent, discovery, lines };
}

type Mesh = {
  readonly client: PodSpec;
  readonly server: PodSpec;
  readonly near: Node;
  readonly far: Node;
  /** The server's application's connections, and whom it saw. */
  readonly accepted: Socket[];
  readonly callers: (string | undefined)[];
};

/** Client and server on two nodes, both enrolled; `app` is the server's application on port 8080. */
async function withMesh(
  app: (socket: Socket) => void,
  use: (mesh: Mesh) => Promise<void>,
): Promise<void> {
  const client = podSpec('client');
  const server = podSpec('server');
  const accepted: Socket[] = [];
  const callers: (string | undefined)[] = [];
  const [near, far] = await Promise.all([startNode(), startNode()]);
  const listener = await listen(server.addresses[0]!, 8080, (socket) => {
    accepted.push(socket);
    callers.push(socket.remoteAddress);
    app(socket);
  });
  try {
    for (const { discovery } of [near, far]) {
      const behind = new Map([[`shop/web.shop.svc.cluster.local`, [portOf(80, 8080)]]]);
      discovery.push(
        { kind: 'workload', workload: workloadOf(client) },
        { kind: 'workload', workload: workloadOf(server, { services: behind }) },
        { kind: 'service', service: serviceOf('web', VIP, [portOf(80, 8080)]) },
      );
    }
    await Promise.all([enrol(near, client), enrol(far, server)]);
    await use({ client, server, near, far, accepted, callers });
  } finally {
    for (const socket of accepted) socket.destroy();
    await Promise.all([near.agent.stop(), far.agent.stop()]);
    listener.close();
    await once(listener, 'close');
  }
}

async function enrol({ discovery }: Node, pod: PodSpec): Promise<void> {
  await mkdir(join(directory, pod.uid), { recursive: true });
  const since = discovery.reports.length;
  discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(pod) });
  await discovery.reported(pod.uid, 'enabled', since);
}

async function listen(
  host: string,
  port: number,
  onSocket: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(port, host);
  await once(server, 'listening');
  return server;
}

/** A connection of the pod's application, as the hook in it makes one. */
async function connectFrom(pod: PodSpec, host: string, port: number): Promise<Socket> {
  const [own] = pod.addresses;
  const redirect = await readFile(join(directory, pod.uid, 'redirect.json'), 'utf8');
  const { outbound } = JSON.parse(redirect) as { outbound: { host: string; port: number } };
  const socket = connect({ ...outbound, localAddress: own!, allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(
    encodeProxyHeader({
      source: { ip: parseIp(own!), port: socket.localPort! },
      destination: { ip: parseIp(host), port },
    }),
  );
  return socket;
}

async function text(socket: Socket): Promise<string> {
  let got = '';
  for await (const chunk of socket) got += String(chunk);
  return got;
}

function fate(socket: Socket): Promise<string> {
  socket.resume();
  return new Promise((resolve) => {
    let code = 'clean';
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? 'unknown';
    });
    socket.on('close', () => resolve(code));
  });
}

function echo(socket: Socket): void {
  socket.pipe(socket);
}

function denyAll(pod: PodSpec): AuthorizationPolicy {
  const match = matchOf({ principals: [{ kind: 'suffix', value: `/sa/${pod.name}` }] });
  return {
    name: 'deny',
    namespace: 'shop',
    scope: 'namespace',
    action: 'deny',
    rules: [{ clauses: [{ matches: [match] }] }],
    dryRun: false,
  };
}

/** The access-log line of a direction, once it is written. */
async function accessLine(node: Node, direction: string): Promise<Record<string, unknown>> {
  for (;;) {
    const line = node.lines.find(
      (one) => one['message'] === 'connection complete' && one['direction'] === direction,
    );
    if (line !== undefined) return line;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('two node agents', () => {
  test('carry a connection to a service, and the application sees the client pod', async () => {
    await withMesh(echo, async ({ client, server, near, far, callers }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.end('hello');
      assert.equal(await text(socket), 'hello');
      assert.deepEqual(callers, client.addresses);
      const out = await accessLine(near, 'outbound');
      assert.equal(out['dst.service'], 'web.shop.svc.cluster.local');
      assert.equal(out['dst.hbone_addr'], `${server.addresses[0]}:8080`);
      assert.equal(out['dst.addr'], `${server.addresses[0]}:15008`);
      assert.equal(out['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
      assert.equal(out['dst.identity'], 'spiffe://cluster.local/ns/shop/sa/server');
      assert.deepEqual([out['bytes_sent'], out['bytes_recv']], [5, 5]);
      const into = await accessLine(far, 'inbound');
      assert.equal(into['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
      assert.equal(into['src.workload'], 'client');
      assert.equal(into['dst.workload'], 'server');
      assert.equal(into['dst.service'], 'web.shop.svc.cluster.local');
    });
  });

  test('carry a connection to a pod address', async () => {
    await withMesh(echo, async ({ client, server }) => {
      const socket = await connectFrom(client, server.addresses[0]!, 8080);
      socket.end('direct');
      assert.equal(await text(socket), 'direct');
    });
  });

  test('carry 16 MiB both ways unchanged', async () => {
    await withMesh(echo, async ({ client }) => {
      const socket = await connectFrom(client, VIP, 80);
      const block = randomBytes(16 * 1024 * 1024);
      const got = createHash('sha256');
      socket.on('data', (chunk: Buffer) => got.update(chunk));
      socket.end(block);
      await once(socket, 'end');
      assert.equal(got.digest('hex'), createHash('sha256').update(block).digest('hex'));
    });
  });

  test('keep half-closed connections going in both directions', async () => {
    const app = (socket: Socket): void => {
      socket.write('welcome');
      void text(socket).then((got) => socket.end(` and ${got}`));
    };
    await withMesh(app, async ({ client }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.end('goodbye');
      assert.equal(await text(socket), 'welcome and goodbye');
    });
  });

  test('share one tunnel among a pair of pods', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => connectFrom(client, VIP, 80)),
      );
      for (const socket of sockets) socket.end('x');
      for (const socket of sockets) assert.equal(await text(socket), 'x');
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_open 1$/m);
    });
  });

  test('lead no new connection through a tunnel whose address has passed on, and cut no old one', async () => {
    await withMesh(echo, async ({ client, server, near, far }) => {
      const old = await connectFrom(client, server.addresses[0]!, 8080);
      old.write('old');
      await once(old, 'data');
      // a pod of the same account gets the address: the tunnel's certificate would be as good for it
      const successor = workloadOf(server, { uid: 'Kubernetes//Pod/shop/successor' });
      near.discovery.push(
        { kind: 'address-removed', name: workloadOf(server).uid },
        { kind: 'workload', workload: successor },
      );
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_evicted_total 1$/m);
      const young = await connectFrom(client, server.addresses[0]!, 8080);
      young.end('young');
      assert.equal(await text(young), 'young');
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_open 2$/m);
      old.end(' is well');
      assert.equal(await text(old), ' is well');
      assert.equal((await accessLine(far, 'inbound'))['flag'], undefined);
    });
  });

  test('reset the client when the application refuses', async () => {
    await withMesh(echo, async ({ client, server, near, far }) => {
      const socket = await connectFrom(client, server.addresses[0]!, 8081);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.match(String((await accessLine(near, 'outbound'))['error']), /status 503/);
      assert.equal((await accessLine(far, 'inbound'))['flag'], 'CONNECT');
    });
  });

  test('reset the application when the client resets, and log it as a normal end', async () => {
    const app = Promise.withResolvers<Socket>();
    await withMesh(app.resolve, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      const far = await app.promise;
      await once(far, 'data');
      const outcome = fate(far);
      socket.resetAndDestroy();
      assert.equal(await outcome, 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['error'], undefined);
    });
  });

  test('refuse what policy denies with 401, and the client is reset', async () => {
    await withMesh(echo, async ({ client, near, far, accepted }) => {
      far.discovery.push({ kind: 'policy', policy: denyAll(client) });
      const socket = await connectFrom(client, VIP, 80);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.match(String((await accessLine(near, 'outbound'))['error']), /status 401/);
      const line = await accessLine(far, 'inbound');
      assert.equal(line['error'], 'explicitly denied by: shop/deny');
      assert.deepEqual([line['decision'], line['policy']], ['denied-by-policy', 'shop/deny']);
      assert.equal(line['flag'], 'DENY');
      assert.equal(accepted.length, 0);
    });
  });

  test('cut open connections when policy comes to deny them', async () => {
    await withMesh(echo, async ({ client, far }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      const outcome = fate(socket);
      far.discovery.push({ kind: 'policy', policy: denyAll(client) });
      assert.equal(await outcome, 'ECONNRESET');
      const line = await accessLine(far, 'inbound');
      assert.equal(line['flag'], 'DENY');
      const why = 'connection closed due to policy change: explicitly denied by: shop/deny';
      assert.equal(line['error'], why);
      assert.match(
        await far.agent.metrics.text(),
        /ambit_policy_connections_cut_total{reason="POLICY_CHANGED"} 1/,
      );
    });
  });

  test('cut open connections when a label attaches a policy, and leave those of other pods', async () => {
    await withMesh(echo, async ({ client, server, far }) => {
      far.discovery.push({ kind: 'policy', policy: { ...denyAll(client), scope: 'workload' } });
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      const outcome = fate(socket);
      const workload = workloadOf(server, { authorizationPolicies: ['shop/deny'] });
      far.discovery.push({ kind: 'workload', workload });
      assert.equal(await outcome, 'ECONNRESET');
      const line = await accessLine(far, 'inbound');
      assert.match(String(line['error']), /policy change: explicitly denied by: shop\/deny/);
      assert.deepEqual([line['decision'], line['policy']], ['no-allow-policy', '-']);
    });
  });

  test('refuse connections while the workload names a policy that is not known', async () => {
    await withMesh(echo, async ({ client, server, near, far, accepted }) => {
      const workload = workloadOf(server, { authorizationPolicies: ['shop/lost'] });
      far.discovery.push({ kind: 'workload', workload });
      const socket = await connectFrom(client, VIP, 80);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.match(String((await accessLine(near, 'outbound'))['error']), /status 503/);
      const line = await accessLine(far, 'inbound');
      assert.deepEqual([line['decision'], line['policy']], ['policy-unknown', 'shop/lost']);
      assert.equal(accepted.length, 0);
    });
  });

  test('carry connections to what is not in the mesh as plain TCP from the pod', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const outside = `${BLOCK}.250`;
      const sources: (string | undefined)[] = [];
      const server = await listen(outside, 8080, (socket) => {
        sources.push(socket.remoteAddress);
        socket.end('plain');
      });
      const socket = await connectFrom(client, outside, 8080);
      assert.equal(await text(socket), 'plain');
      socket.end();
      assert.deepEqual(sources, client.addresses);
      const line = await accessLine(near, 'outbound');
      assert.equal(line['dst.identity'], undefined);
      server.close();
    });
  });

  test('refuse a connection to the own port of the agent', async () => {
    await withMesh(echo, async ({ client, near }) => {
      for (const port of [15001, 15006, 15008]) {
        const socket = await connectFrom(client, client.addresses[0]!, port);
        assert.equal(await fate(socket), 'ECONNRESET');
      }
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'LOOP');
    });
  });

  test('refuse an unknown port of a service instead of passing it by', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 81);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'UH');
    });
  });

  test('try another endpoint when one cannot be reached', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const behind = new Map([[`shop/web.shop.svc.cluster.local`, [portOf(80, 8080)]]]);
      const workload = workloadOf(podSpec('dead'), { services: behind });
      near.discovery.push({ kind: 'workload', workload });
      for (let i = 0; i < 20; i++) {
        const socket = await connectFrom(client, VIP, 80);
        socket.end('x');
        assert.equal(await text(socket), 'x');
      }
    });
  });

  test('refuse a server whose certificate is of another identity', async () => {
    await withMesh(echo, async ({ client, server, near }) => {
      const workload = workloadOf(server, { serviceAccount: 'somebody-else' });
      near.discovery.push({ kind: 'workload', workload });
      const socket = await connectFrom(client, server.addresses[0]!, 8080);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'TLS_FAILURE');
    });
  });

  test('count connections and bytes in the reference metrics while they are open', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('four');
      await once(socket, 'data');
      const metrics = await near.agent.metrics.text();
      const labels = 'reporter="source",source_workload="client",source_canonical_service="client"';
      const value = (name: string): string | undefined =>
        metrics.split('\n').find((line) => line.startsWith(`${name}{${labels}`));
      const opened = value('istio_tcp_connections_opened_total');
      assert.match(opened ?? '', / 1$/);
      assert.match(opened ?? '', /connection_security_policy="mutual_tls"/);
      assert.match(opened ?? '', /destination_service="web\.shop\.svc\.cluster\.local"/);
      assert.match(
        opened ?? '',
        /destination_principal="spiffe:\/\/cluster\.local\/ns\/shop\/sa\/server"/,
      );
      assert.match(value('istio_tcp_received_bytes_total') ?? '', / 4$/);
      assert.match(value('istio_tcp_sent_bytes_total') ?? '', / 4$/);
      assert.match(metrics, /istio_tcp_sockets_open\{reporter="source"\} 1/);
      socket.end();
      await text(socket);
    });
  });

  test('show what they know and carry at the admin door, without keys', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      const get = async (path: string): Promise<string> =>
        (await fetch(`http://127.0.0.1:${near.agent.ports.admin}${path}`)).text();
      const body = await get('/config_dump');
      const dump = JSON.parse(body) as {
        workloads: unknown[];
        certificates: { identity: string; state: string; certChain: unknown[] }[];
        workloadState: Record<string, { state: string; connections: { outbound: unknown[] } }>;
      };
      assert.equal(dump.workloads.length, 2);
      assert.equal(dump.certificates[0]?.identity, 'spiffe://cluster.local/ns/shop/sa/client');
      assert.equal(dump.certificates[0]?.state, 'Available');
      assert.equal(dump.workloadState[client.uid]?.connections.outbound.length, 1);
      assert.doesNotMatch(body, /PRIVATE KEY/);
      assert.equal((JSON.parse(await get('/connections')) as unknown[]).length, 1);
      const ready = await fetch(`http://127.0.0.1:${near.agent.ports.ready}/healthz/ready`);
      assert.equal(ready.status, 200);
      socket.end();
      await text(socket);
    });
  });

  test('keep open connections when a pod leaves, and lead its new ones past the mesh', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      near.discovery.push({ kind: 'enrolment-removed', podUid: client.uid });
      await near.discovery.reported(client.uid, 'removed');
      await assert.rejects(readFile(join(directory, client.uid, 'redirect.json')));
      socket.write('y');
      assert.equal(String((await once(socket, 'data'))[0]), 'y');
      await enrol(near, client);
      const again = await connectFrom(client, VIP, 80);
      again.end('z');
      assert.equal(await text(again), 'z');
      socket.end();
      await text(socket);
    });
  });

  test('let connections end by themselves when an agent stops', async () => {
    await withMesh(echo, async ({ client, near }) => {
      const socket = await connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      const stopped = near.agent.stop();
      socket.end('last words');
      assert.equal(await text(socket), 'last words');
      await stopped;
    });
  });
});
