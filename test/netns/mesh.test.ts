// Two node agents and real pods: network namespaces, nft capture, source addresses, enrolment under live connections.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { portOf, serviceOf } from '../../node-agent/test-support/world.ts';
import { ask, echo, fate, text } from '../../tunnel/test-sockets.ts';
import { Cluster, turn } from './cluster.ts';
import type { Lan, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const VIP = '10.96.0.10';

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? 'unknown';
}

if (enterNamespaces(import.meta.filename)) {
  describe('the mesh in network namespaces', () => {
    let lan: Lan;
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.start();
      ({ lan } = cluster);
    });
    after(() => cluster.stop());

    /** Two pods on two nodes, announced as plain. */
    function pods(options: { trustDomain?: string } = {}): { client: Pod; server: Pod } {
      const client = lan.addPod('client', 'node-a', options);
      const server = lan.addPod('server', 'node-b');
      for (const pod of [client, server]) cluster.announce(pod, { protocol: 'tcp' });
      return { client, server };
    }

    /** The application of `server` answers with the address it sees; what it saw is returned. */
    async function whoami(server: Pod): Promise<string[]> {
      const seen: string[] = [];
      await lan.serve(server, 8080, (socket) => {
        const caller = socket.remoteAddress!.replace('::ffff:', '');
        seen.push(caller);
        socket.end(caller);
      });
      return seen;
    }

    /** Resolves when no trace is left in the pod. */
    async function clean(pod: Pod): Promise<void> {
      while ((await lan.traces(pod)) !== '') await turn();
    }

    async function inboundLines(pod: Pod): Promise<Record<string, unknown>[]> {
      for (;;) {
        const lines = cluster
          .node(pod)
          .lines.filter(
            (line) => line['direction'] === 'inbound' && line['dst.workload'] === pod.name,
          );
        if (lines.length > 0) return lines;
        await turn();
      }
    }

    for (const family of ['v4', 'v6'] as const) {
      test(`${family}: captured to captured goes through a tunnel and keeps the caller's address`, async () => {
        const { client, server } = pods();
        await whoami(server);
        await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
        const socket = await lan.connect(client, server[family], 8080);
        assert.equal(await text(socket), client[family]);
        socket.end();
        const [line] = await inboundLines(server);
        assert.equal(line?.['src.identity'], `spiffe://cluster.local/ns/shop/sa/${client.name}`);
        assert.ok(String(line?.['dst.addr']).endsWith(':15008'));
      });

      test(`${family}: captured to a server outside the mesh goes plain, with the client's address`, async () => {
        const { client, server } = pods();
        await whoami(server);
        await cluster.enrol(client);
        const socket = await lan.connect(client, server[family], 8080);
        assert.equal(await text(socket), client[family]);
        socket.end();
      });

      test(`${family}: a client outside the mesh reaches a captured server, its address kept`, async () => {
        const { client, server } = pods();
        await whoami(server);
        await cluster.enrol(server);
        const socket = await lan.connect(client, server[family], 8080);
        assert.equal(await text(socket), client[family]);
        socket.end();
        const [line] = await inboundLines(server);
        assert.equal(line?.['src.identity'], undefined);
        assert.equal(line?.['src.workload'], client.name);
      });
    }

    test('pods of one node go through a tunnel too', async () => {
      const client = lan.addPod('client', 'node-a');
      const server = lan.addPod('server', 'node-a');
      for (const pod of [client, server]) cluster.announce(pod, { protocol: 'tcp' });
      await whoami(server);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
      const [line] = await inboundLines(server);
      assert.equal(line?.['src.identity'], `spiffe://cluster.local/ns/shop/sa/${client.name}`);
    });

    test('a service address is captured and spread over its endpoints', async () => {
      const { client, server } = pods();
      const service = serviceOf('web', VIP, [portOf(80, 8080)]);
      const key = `${service.namespace}/${service.hostname}`;
      const second = lan.addPod('server', 'node-a');
      for (const pod of [server, second]) {
        cluster.announce(pod, { protocol: 'tcp', services: new Map([[key, [portOf(80, 8080)]]]) });
      }
      for (const { discovery } of cluster.nodes.values())
        discovery.push({ kind: 'service', service });
      const seen = [await whoami(server), await whoami(second)];
      await Promise.all([client, server, second].map((pod) => cluster.enrol(pod)));
      for (let i = 0; i < 40; i++) {
        const socket = await lan.connect(client, VIP, 80);
        assert.equal(await text(socket), client.v4);
        socket.end();
      }
      assert.equal(seen[0]!.length + seen[1]!.length, 40);
      // 40 fair draws miss one side with probability 2^-39
      assert.ok(seen[0]!.length > 0 && seen[1]!.length > 0);
    });

    test('a pod reaches itself by its own address without the agent', async () => {
      const { client } = pods();
      await whoami(client);
      await cluster.enrol(client);
      const socket = await lan.connect(client, client.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
    });

    test('a refused connection is a reset for the client', async () => {
      const { client, server } = pods();
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const socket = await lan.connect(client, server.v4, 9999);
      assert.equal(await fate(socket), 'ECONNRESET');
    });

    test('the own ports of the agent are refused to the pod itself and to others', async () => {
      const { client, server } = pods();
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      for (const port of [15001, 15006]) {
        for (const [from, to] of [
          [client, client],
          [client, server],
        ] as const) {
          // the reset may come before the connect is seen to have succeeded
          const outcome = await lan.connect(from, to.v4, port).then(fate, codeOf);
          assert.equal(outcome, 'ECONNRESET');
        }
      }
    });

    test('a client of another trust domain is refused, and its application sees a reset', async () => {
      const { client, server } = pods({ trustDomain: 'evil.example' });
      const seen = await whoami(server);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.deepEqual(seen, []);
      assert.ok(
        cluster.node(server).lines.some((line) => line['message'] === 'connection failed'),
        'the refusal is logged',
      );
    });

    test('entering and leaving under load loses no open connection and fails no new one', async () => {
      const { client, server } = pods();
      await lan.serve(server, 8080, echo);
      const open: Socket[] = [];
      const openSome = async (): Promise<void> => {
        for (let i = 0; i < 50; i++) open.push(await lan.connect(client, server.v4, 8080));
      };
      const askAll = async (): Promise<void> => {
        for (const [index, socket] of open.entries()) {
          assert.equal(await ask(socket, `${index}`), `${index}`);
        }
      };
      let running = true;
      let made = 0;
      const keepConnecting = async (): Promise<void> => {
        while (running) {
          const socket = await lan.connect(client, server.v4, 8080);
          socket.end('new');
          assert.equal(await text(socket), 'new');
          made++;
        }
      };
      const load = Promise.all([keepConnecting(), keepConnecting(), keepConnecting()]);
      await openSome();
      await askAll();
      await cluster.enrol(server);
      await askAll();
      await cluster.enrol(client);
      await openSome();
      await askAll();
      await cluster.leave(client);
      await openSome();
      await askAll();
      await cluster.leave(server);
      await openSome();
      await askAll();
      await Promise.all([cluster.enrol(server), cluster.enrol(client)]);
      await askAll();
      await Promise.all([cluster.leave(client), cluster.leave(server)]);
      await askAll();
      running = false;
      await load;
      assert.equal(open.length, 200);
      assert.ok(made > 10, `${made} connections were made meanwhile`);
      for (const socket of open) socket.end();
      await Promise.all(open.map((socket) => text(socket)));
    });

    test('a pod that left keeps no trace once its last captured connection has ended', async () => {
      const { client, server } = pods();
      await lan.serve(server, 8080, echo);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await ask(socket, 'a'), 'a');
      await Promise.all([cluster.leave(client), cluster.leave(server)]);
      assert.equal(await ask(socket, 'b'), 'b');
      assert.match(await lan.ruleset(client), /version \d+ released/);
      socket.end();
      await text(socket);
      for (const pod of [client, server]) await clean(pod);
    });

    test('a port that is taken in the pod fails that pod only, and is tried again', async () => {
      const { client, server } = pods();
      await whoami(server);
      const taken = await lan.serve(client, 15006, () => {});
      const report = await cluster.failed(client);
      assert.equal(report.reason, 'PortTaken');
      assert.match(report.message, /port 15006 in pod shop\/client/);
      assert.equal(await lan.traces(client), '');
      await cluster.enrol(server);
      const { discovery } = cluster.node(client);
      taken.close();
      await discovery.reported(client.uid, 'enabled');
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
    });

    test('a pod without a network namespace is reported as such, and others are enrolled', async () => {
      const { client, server } = pods();
      const ghost = { ...client, uid: '00000000-0000-4000-8000-000000000000', name: 'ghost' };
      const report = await cluster.failed(ghost);
      assert.equal(report.reason, 'NoNetworkNamespace');
      assert.match(report.message, /shop\/ghost/);
      cluster.node(client).discovery.push({ kind: 'enrolment-removed', podUid: ghost.uid });
      await cluster.node(client).discovery.reported(ghost.uid, 'removed');
      await cluster.enrol(server);
    });

    test('a pod that vanishes while it is enrolled is let go, and others go on', async () => {
      const { client, server } = pods();
      const other = lan.addPod('client', 'node-a');
      cluster.announce(other, { protocol: 'tcp' });
      await lan.serve(server, 8080, echo);
      await Promise.all([client, other, server].map((pod) => cluster.enrol(pod)));
      const [gone, stays] = [
        await lan.connect(client, server.v4, 8080),
        await lan.connect(other, server.v4, 8080),
      ];
      assert.equal(await ask(gone, 'x'), 'x');
      assert.equal(await ask(stays, 'x'), 'x');
      lan.destroyPod(client);
      await cluster.leave(client);
      gone.destroy();
      assert.equal(await ask(stays, 'y'), 'y');
      stays.end();
      await text(stays);
    });

    test('while no agent runs an enrolled pod fails closed, and the next agent takes it over', async () => {
      const { client, server } = pods();
      await whoami(server);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const { agent, discovery } = cluster.node(client);
      await agent.stop();
      await assert.rejects(lan.connect(client, server.v4, 8080), { code: 'ECONNREFUSED' });
      const since = discovery.reports.length;
      await cluster.startAgent('node-a', discovery);
      await discovery.reported(client.uid, 'enabled', since);
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
    });

    test('a pod that left while no agent ran is let go by the next one, and cleaned up', async () => {
      const { client, server } = pods();
      await whoami(server);
      await cluster.enrol(client);
      const { agent } = cluster.node(client);
      await agent.stop();
      await assert.rejects(lan.connect(client, server.v4, 8080), { code: 'ECONNREFUSED' });
      const { discovery } = await cluster.startAgent('node-a');
      cluster.tellAll(discovery);
      while (/capturing/.test(await lan.ruleset(client))) await turn();
      const socket = await lan.connect(client, server.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
      await clean(client);
    });

    test('a pod whose namespace was made anew is enrolled anew', async () => {
      const { client, server } = pods();
      await whoami(server);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const { discovery } = cluster.node(client);
      const since = discovery.reports.length;
      const anew = lan.remakePod(client);
      await discovery.reported(client.uid, 'enabled', since);
      const socket = await lan.connect(anew, server.v4, 8080);
      assert.equal(await text(socket), client.v4);
      socket.end();
      const [line] = await inboundLines(server);
      assert.equal(line?.['src.identity'], `spiffe://cluster.local/ns/shop/sa/${client.name}`);
    });

    test('a pod that calls itself through its service goes through a tunnel to itself', async () => {
      const { client: pod } = pods();
      const service = serviceOf('self', '10.96.0.11', [portOf(80, 8080)]);
      const key = `${service.namespace}/${service.hostname}`;
      cluster.announce(pod, { protocol: 'tcp', services: new Map([[key, [portOf(80, 8080)]]]) });
      for (const { discovery } of cluster.nodes.values())
        discovery.push({ kind: 'service', service });
      await whoami(pod);
      await cluster.enrol(pod);
      const socket = await lan.connect(pod, '10.96.0.11', 80);
      assert.equal(await text(socket), pod.v4);
      socket.end();
    });

    test('two agents at once, as during an upgrade, lose no connection', async () => {
      const { client, server } = pods();
      await lan.serve(server, 8080, echo);
      await Promise.all([cluster.enrol(client), cluster.enrol(server)]);
      const held = await lan.connect(client, server.v4, 8080);
      assert.equal(await ask(held, 'old'), 'old');
      const { agent: old, discovery } = cluster.node(client);
      const since = discovery.reports.length;
      await cluster.startAgent('node-a', discovery);
      await discovery.reported(client.uid, 'enabled', since);
      const stopped = old.stop();
      for (let i = 0; i < 20; i++) {
        const socket = await lan.connect(client, server.v4, 8080);
        assert.equal(await ask(socket, 'new'), 'new');
        socket.end();
        await once(socket, 'end');
      }
      assert.equal(await ask(held, 'still'), 'still');
      held.end();
      await text(held);
      await stopped;
    });
  });
}
