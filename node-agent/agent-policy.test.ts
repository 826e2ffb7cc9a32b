// Policy at a real agent: what it refuses new connections, and what it does to open ones when it changes. Two node agents in
// one process over loopback, real TLS, no control plane.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { AuthorizationPolicy } from '../mesh/policy.ts';
import { matchOf } from '../mesh/test-arbitraries.ts';
import { echo, fate } from '../tunnel/test-sockets.ts';
import { accessLine, LoopbackNodes, VIP } from './test-support/loopback-nodes.ts';
import { type PodSpec, workloadOf } from './test-support/world.ts';

let nodes: LoopbackNodes;
before(async () => {
  nodes = await LoopbackNodes.open();
});
after(() => nodes.close());

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

describe('policy at two node agents', () => {
  test('refuse what policy denies with 401, and the client is reset', async () => {
    await nodes.withMesh(echo, async ({ client, near, far, accepted }) => {
      far.discovery.push({ kind: 'policy', policy: denyAll(client) });
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, far }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, server, far }) => {
      far.discovery.push({ kind: 'policy', policy: { ...denyAll(client), scope: 'workload' } });
      const socket = await nodes.connectFrom(client, VIP, 80);
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
    await nodes.withMesh(echo, async ({ client, server, near, far, accepted }) => {
      const workload = workloadOf(server, { authorizationPolicies: ['shop/lost'] });
      far.discovery.push({ kind: 'workload', workload });
      const socket = await nodes.connectFrom(client, VIP, 80);
      assert.equal(await fate(socket), 'ECONNRESET');
      assert.match(String((await accessLine(near, 'outbound'))['error']), /status 503/);
      const line = await accessLine(far, 'inbound');
      assert.deepEqual([line['decision'], line['policy']], ['policy-unknown', 'shop/lost']);
      assert.equal(accepted.length, 0);
    });
  });
});
