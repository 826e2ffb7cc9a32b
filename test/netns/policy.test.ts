// Policy under real capture: what it refuses, and that connections which are open are cut within a second of the change
// that forbids them, in tunnels and in plain text, and no others.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type AuthorizationPolicy, policyKey } from '../../mesh/policy.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import { matchOf } from '../../mesh/test-arbitraries.ts';
import { ask, echo, fate } from '../../tunnel/test-sockets.ts';
import { Cluster, turn } from './cluster.ts';
import type { Lan, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

/** From the arrival of the change at the agent to the reset at the client. */
const CUT_MS = 1000;
const PLAINTEXT = matchOf({ notPrincipals: [{ kind: 'presence' }] });

function policy(parts: Partial<AuthorizationPolicy> & { readonly name: string }) {
  const everything = [{ clauses: [] }];
  const base = { namespace: 'shop', scope: 'workload', action: 'deny', dryRun: false } as const;
  return { ...base, rules: everything, ...parts };
}

/** Denies `port` of whatever names it. */
const closed = (name: string, port: number): AuthorizationPolicy =>
  policy({ name, rules: [{ clauses: [{ matches: [matchOf({ destinationPorts: [port] })] }] }] });

if (enterNamespaces(import.meta.filename)) {
  describe('policy in network namespaces', () => {
    let lan: Lan;
    let cluster: Cluster;
    before(async () => {
      cluster = await Cluster.start();
      ({ lan } = cluster);
    });
    after(() => cluster.stop());

    /** A captured server with two echoes, a captured client, and one outside the mesh. */
    async function trio(): Promise<{ server: Pod; client: Pod; outsider: Pod }> {
      const server = lan.addPod('server', 'node-b');
      const client = lan.addPod('client', 'node-a');
      const outsider = lan.addPod('outsider', 'node-a');
      for (const pod of [server, client, outsider]) cluster.announce(pod, { protocol: 'tcp' });
      for (const port of [8080, 8081]) await lan.serve(server, port, echo);
      await Promise.all([cluster.enrol(server), cluster.enrol(client)]);
      return { server, client, outsider };
    }

    const push = (pod: Pod, ...updates: ResourceUpdate[]): void =>
      cluster.node(pod).discovery.push(...updates);
    const put = (pod: Pod, value: AuthorizationPolicy): void =>
      push(pod, { kind: 'policy', policy: value });

    async function open(from: Pod, to: Pod, port: number): Promise<Socket> {
      const socket = await lan.connect(from, to.v4, port);
      assert.equal(await ask(socket, 'hello'), 'hello');
      return socket;
    }

    /** A new connection that is reset: at once in plain text, maybe before its connect is known to have succeeded. */
    async function refused(from: Pod, to: Pod, port: number): Promise<void> {
      const end = await lan.connect(from, to.v4, port).then(
        (socket) => fate(socket),
        (error: NodeJS.ErrnoException) => error.code,
      );
      assert.equal(end, 'ECONNRESET');
    }

    /** Resolves with why, in the access log of the pod's agent, once it has cut that many more. */
    async function cuts(pod: Pod, count: number): Promise<unknown[]> {
      for (;;) {
        const lines = cluster
          .node(pod)
          .lines.filter(
            (line) =>
              line['dst.workload'] === pod.name && String(line['error']).includes('policy change'),
          );
        if (lines.length >= count) return lines.map((line) => line['error']);
        await turn();
      }
    }

    async function cutWithin(sockets: readonly Socket[], change: () => void): Promise<void> {
      const ends = sockets.map((socket) => fate(socket));
      const started = performance.now();
      change();
      assert.deepEqual(
        await Promise.all(ends),
        sockets.map(() => 'ECONNRESET'),
      );
      const took = performance.now() - started;
      assert.ok(took < CUT_MS, `${took} ms`);
    }

    test('a policy that comes cuts what it denies, in a tunnel and in plain text, and nothing else', async () => {
      const { server, client, outsider } = await trio();
      put(server, closed('mine', 8080));
      const doomed = [await open(client, server, 8080), await open(outsider, server, 8080)];
      const spared = await open(client, server, 8081);
      const attached = { protocol: 'hbone', authorizationPolicies: ['shop/mine'] } as const;
      await cutWithin(doomed, () => cluster.announce(server, attached));
      assert.deepEqual(
        new Set(await cuts(server, 2)),
        new Set(['connection closed due to policy change: explicitly denied by: shop/mine']),
      );
      assert.equal(await ask(spared, 'still'), 'still');
      spared.end();
      cluster.announce(server, { protocol: 'hbone' });
    });

    test('a policy that changes cuts what it did not deny before', async () => {
      const { server, client } = await trio();
      put(server, closed('moving', 8081));
      cluster.announce(server, { protocol: 'hbone', authorizationPolicies: ['shop/moving'] });
      const doomed = await open(client, server, 8080);
      await cutWithin([doomed], () => put(server, closed('moving', 8080)));
      const [why] = await cuts(server, 1);
      assert.match(String(why), /shop\/moving$/);
    });

    test('an ALLOW that is taken off cuts what only it allowed, and the last one that goes opens all', async () => {
      const { server, client } = await trio();
      const allow = (name: string, port: number): AuthorizationPolicy => ({
        ...closed(name, port),
        action: 'allow',
      });
      put(server, allow('one', 8080));
      put(server, allow('two', 8081));
      const both = ['shop/one', 'shop/two'];
      cluster.announce(server, { protocol: 'hbone', authorizationPolicies: both });
      const [one, two] = [await open(client, server, 8080), await open(client, server, 8081)];
      await cutWithin([one], () =>
        cluster.announce(server, { protocol: 'hbone', authorizationPolicies: ['shop/two'] }),
      );
      cluster.announce(server, { protocol: 'hbone' });
      assert.equal(await ask(two, 'still'), 'still');
      const again = await open(client, server, 8080);
      for (const socket of [two, again]) socket.end();
    });

    test('strict mTLS cuts plain text that is open, and leaves tunnels', async () => {
      const { server, client, outsider } = await trio();
      const strict = policy({
        name: 'istio_converted_static_strict',
        namespace: 'ambit-system',
        rules: [{ clauses: [{ matches: [PLAINTEXT] }] }],
      });
      put(server, strict);
      const [tunnelled, plain] = [
        await open(client, server, 8080),
        await open(outsider, server, 8080),
      ];
      const attached = { protocol: 'hbone', authorizationPolicies: [policyKey(strict)] } as const;
      await cutWithin([plain], () => cluster.announce(server, attached));
      assert.equal(await ask(tunnelled, 'still'), 'still');
      tunnelled.end();
      await refused(outsider, server, 8080);
    });

    test('a policy in dry run and an AUDIT policy cut and refuse nobody, and are counted', async () => {
      const { server, client } = await trio();
      put(server, { ...closed('tried', 8080), dryRun: true });
      put(server, { ...closed('watched', 8080), action: 'audit' });
      const held = await open(client, server, 8080);
      const both = ['shop/tried', 'shop/watched'];
      cluster.announce(server, { protocol: 'hbone', authorizationPolicies: both });
      const another = await open(client, server, 8080);
      assert.equal(await ask(held, 'still'), 'still');
      const metrics = await cluster.node(server).agent.metrics.text();
      assert.match(
        metrics,
        /ambit_policy_dry_run_total{policy="shop\/tried",kind="dry_run",action="allow",would_be="deny"} 1/,
      );
      assert.match(metrics, /ambit_policy_dry_run_total{policy="shop\/watched",kind="audit"/);
      for (const socket of [held, another]) socket.end();
    });

    test('a refused connection never reaches the application', async () => {
      const { server, client, outsider } = await trio();
      let reached = 0;
      await lan.serve(server, 8082, (socket) => {
        reached++;
        socket.end();
      });
      put(server, closed('shut', 8082));
      cluster.announce(server, { protocol: 'hbone', authorizationPolicies: ['shop/shut'] });
      for (const from of [client, outsider]) await refused(from, server, 8082);
      assert.equal(reached, 0);
      const open = await lan.connect(client, server.v4, 8080);
      open.end('x');
      await once(open, 'data');
    });
  });
}
