// Two node agents in one process, tunnelling over loopback: the data path from a captured connection to the application
// and back, with its failures, metrics and access log. Loopback capture, real TLS, no control plane.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { echo, fate, text } from '../tunnel/test-sockets.ts';
import { accessLine, LoopbackNodes, listen, VIP } from './test-support/loopback-nodes.ts';
import { portOf, workloadOf } from './test-support/world.ts';

let nodes: LoopbackNodes;
before(async () => {
  nodes = await LoopbackNodes.open();
});
after(() => nodes.close());

describe('two node agents', () => {
  test('carry a connection to a service, and the application sees the client pod', async () => {
    await nodes.withMesh(echo, async ({ client, server, near, far, callers }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, server }) => {
      const socket = await nodes.connectFrom(client, server.addresses[0]!, 8080);
      socket.end('direct');
      assert.equal(await text(socket), 'direct');
    });
  });

  test('carry 16 MiB both ways unchanged', async () => {
    await nodes.withMesh(echo, async ({ client }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(app, async ({ client }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
      socket.end('goodbye');
      assert.equal(await text(socket), 'welcome and goodbye');
    });
  });

  test('share one tunnel among a pair of pods', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => nodes.connectFrom(client, VIP, 80)),
      );
      for (const socket of sockets) socket.end('x');
      for (const socket of sockets) assert.equal(await text(socket), 'x');
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_open 1$/m);
    });
  });

  test('lead no new connection through a tunnel whose address has passed on, and cut no old one', async () => {
    await nodes.withMesh(echo, async ({ client, server, near, far }) => {
      const old = await nodes.connectFrom(client, server.addresses[0]!, 8080);
      old.write('old');
      await once(old, 'data');
      // a pod of the same account gets the address: the tunnel's certificate would be as good for it
      const successor = workloadOf(server, { uid: 'Kubernetes//Pod/shop/successor' });
      near.discovery.push(
        { kind: 'address-removed', name: workloadOf(server).uid },
        { kind: 'workload', workload: successor },
      );
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_evicted_total 1$/m);
      const young = await nodes.connectFrom(client, server.addresses[0]!, 8080);
      young.end('young');
      assert.equal(await text(young), 'young');
      assert.match(await near.agent.metrics.text(), /^ambit_tunnels_open 2$/m);
      old.end(' is well');
      assert.equal(await text(old), ' is well');
      assert.equal((await accessLine(far, 'inbound'))['flag'], undefined);
    });
  });

  test('reset the client when the application refuses', async () => {
    await nodes.withMesh(echo, async ({ client, server, near, far }) => {
      const socket = await nodes.connectFrom(client, server.addresses[0]!, 8081);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.match(String((await accessLine(near, 'outbound'))['error']), /status 503/);
      assert.equal((await accessLine(far, 'inbound'))['flag'], 'CONNECT');
    });
  });

  test('reset the application when the client resets, and log it as a normal end', async () => {
    const app = Promise.withResolvers<Socket>();
    await nodes.withMesh(app.resolve, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
      socket.write('x');
      const far = await app.promise;
      await once(far, 'data');
      const outcome = fate(far);
      socket.resetAndDestroy();
      assert.equal(await outcome, 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['error'], undefined);
    });
  });

  test('carry connections to what is not in the mesh as plain TCP from the pod', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const outside = `${nodes.block}.250`;
      const sources: (string | undefined)[] = [];
      const server = await listen(outside, 8080, (socket) => {
        sources.push(socket.remoteAddress);
        socket.end('plain');
      });
      const socket = await nodes.connectFrom(client, outside, 8080);
      assert.equal(await text(socket), 'plain');
      socket.end();
      assert.deepEqual(sources, client.addresses);
      const line = await accessLine(near, 'outbound');
      assert.equal(line['dst.identity'], undefined);
      server.close();
    });
  });

  test('refuse a connection to the own port of the agent', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      for (const port of [15001, 15006, 15008]) {
        const socket = await nodes.connectFrom(client, client.addresses[0]!, port);
        assert.equal(await fate(socket), 'ECONNRESET');
      }
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'LOOP');
    });
  });

  test('refuse an unknown port of a service instead of passing it by', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 81);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'UH');
    });
  });

  test('try another endpoint when one cannot be reached', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const behind = new Map([[`shop/web.shop.svc.cluster.local`, [portOf(80, 8080)]]]);
      const workload = workloadOf(nodes.pod('dead'), { services: behind });
      near.discovery.push({ kind: 'workload', workload });
      for (let i = 0; i < 20; i++) {
        const socket = await nodes.connectFrom(client, VIP, 80);
        socket.end('x');
        assert.equal(await text(socket), 'x');
      }
    });
  });

  test('refuse a server whose certificate is of another identity', async () => {
    await nodes.withMesh(echo, async ({ client, server, near }) => {
      const workload = workloadOf(server, { serviceAccount: 'somebody-else' });
      near.discovery.push({ kind: 'workload', workload });
      const socket = await nodes.connectFrom(client, server.addresses[0]!, 8080);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.equal((await accessLine(near, 'outbound'))['flag'], 'TLS_FAILURE');
    });
  });

  test('count connections and bytes in the reference metrics while they are open', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      near.discovery.push({ kind: 'enrolment-removed', podUid: client.uid });
      await near.discovery.reported(client.uid, 'removed');
      await assert.rejects(readFile(join(nodes.directory, client.uid, 'redirect.json')));
      socket.write('y');
      assert.equal(String((await once(socket, 'data'))[0]), 'y');
      await nodes.enrol(near, client);
      const again = await nodes.connectFrom(client, VIP, 80);
      again.end('z');
      assert.equal(await text(again), 'z');
      socket.end();
      await text(socket);
    });
  });

  test('let connections end by themselves when an agent stops', async () => {
    await nodes.withMesh(echo, async ({ client, near }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
      socket.write('x');
      await once(socket, 'data');
      const stopped = near.agent.stop();
      socket.end('last words');
      assert.equal(await text(socket), 'last words');
      await stopped;
    });
  });
});
