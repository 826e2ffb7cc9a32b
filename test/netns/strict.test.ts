// What an agent tells of the bad things that happen to capture: plaintext to a STRICT pod, rules that a pod flushed.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { matchOf } from '../../mesh/test-arbitraries.ts';
import { NAMESPACE } from '../../node-agent/test-support/world.ts';
import { echo, fate, text } from '../../tunnel/test-sockets.ts';
import { Cluster, type Node } from './cluster.ts';
import type { Lan, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const STRICT = `${NAMESPACE}/strict`;

if (enterNamespaces(import.meta.filename)) {
  describe('an agent whose pods meet', () => {
    let cluster: Cluster;
    let lan: Lan;
    before(async () => {
      cluster = await Cluster.start();
      ({ lan } = cluster);
      cluster.enact({
        name: 'strict',
        namespace: NAMESPACE,
        scope: 'workload',
        action: 'deny',
        dryRun: false,
        rules: [{ clauses: [{ matches: [matchOf({ notPrincipals: [{ kind: 'presence' }] })] }] }],
      });
    });
    after(() => cluster.stop());

    /** A pod of node-b that takes nothing but mutual TLS, and what its application was sent. */
    async function strictServer(): Promise<{ server: Pod; reached: string[] }> {
      const server = lan.addPod('server', 'node-b');
      cluster.announce(server, { protocol: 'tcp', authorizationPolicies: [STRICT] });
      const reached: string[] = [];
      await lan.serve(server, 8080, (socket) => {
        reached.push(socket.remoteAddress ?? '');
        socket.end('application');
      });
      await cluster.enrol(server);
      return { server, reached };
    }

    /** How a connection ends that says something without a tunnel; the reset may come before it is known to be open. */
    async function plaintext(from: Pod, ip: string): Promise<string> {
      try {
        const socket = await lan.connect(from, ip, 8080);
        socket.write('hello');
        return await fate(socket);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? 'unknown';
      }
    }

    for (const family of ['v4', 'v6'] as const) {
      test(`${family}: plaintext straight to a STRICT pod: it is reset, counted and logged, and the application sees none of it`, async () => {
        const { server, reached } = await strictServer();
        const outsider = lan.addPod('outsider', 'node-a');
        cluster.announce(outsider, { protocol: 'tcp' });
        assert.equal(await plaintext(outsider, server[family]), 'ECONNRESET');
        assert.deepEqual(reached, []);
        const { agent, lines } = cluster.node(server);
        const denied = (await agent.metrics.text())
          .split('\n')
          .filter((line) => line.startsWith('istio_tcp_connections_failed_total{'))
          .filter((line) => line.includes('response_flags="DENY"') && line.includes(server.name));
        assert.equal(denied.length, 1, denied.join('\n'));
        assert.match(denied[0] ?? '', /connection_security_policy="unknown".* 1$/);
        const told = lines.filter(
          (line) => line['dst.addr'] === `${family === 'v4' ? server.v4 : `[${server.v6}]`}:8080`,
        );
        assert.match(JSON.stringify(told), new RegExp(STRICT));
      });
    }

    test('probes of their node: they pass where plaintext of pods does not', async () => {
      const { server, reached } = await strictServer();
      const outsider = lan.addPod('outsider', 'node-b');
      assert.equal(await plaintext(outsider, server.v4), 'ECONNRESET');
      const node = lan.node('node-b');
      for (const ip of [server.v4, server.v6]) {
        const probe = await lan.connect(node, ip, 8080);
        assert.equal(await text(probe), 'application');
        probe.end();
      }
      assert.deepEqual(
        reached.map((ip) => ip.replace('::ffff:', '')),
        ['169.254.7.127', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff'],
      );
    });

    test('a flush of its own rules by one of them: alarm, repair, and no other pod feels it', async () => {
      const client = lan.addPod('client', 'node-a');
      const other = lan.addPod('other', 'node-a');
      const { server } = await strictServer();
      await lan.serve(server, 9090, echo);
      for (const pod of [client, other]) {
        cluster.announce(pod, { protocol: 'tcp' });
        await cluster.enrol(pod);
      }
      const before = await lan.ruleset(client);
      await lan.run(client, 'nft', 'flush', 'ruleset');
      const { agent, lines } = cluster.node(client);
      // what is captured passes its identity on, so it is let in
      const through = await lan.connect(other, server.v4, 8080);
      assert.equal(await text(through), 'application');
      through.end();
      await repaired({ agent, lines }, client);
      assert.equal(await lan.ruleset(client), before);
      assert.match(
        await agent.metrics.text(),
        /^ambit_capture_repairs_total\{reason="rules-missing"\} 1$/m,
      );
      const again = await lan.connect(client, server.v4, 8080);
      assert.equal(await text(again), 'application');
      again.end();
    });

    /** Resolves once the agent has said that it put the pod's rules back. */
    async function repaired({ lines }: Pick<Node, 'agent' | 'lines'>, pod: Pod): Promise<void> {
      const isIt = (line: Record<string, unknown>): boolean =>
        line['level'] === 'error' &&
        line['reason'] === 'rules-missing' &&
        line['pod'] === `${NAMESPACE}/${pod.name}`;
      while (!lines.some(isIt)) await new Promise((resolve) => setImmediate(resolve));
    }
  });
}
