// An agent's metrics through a tunnel to its node: for scrapers with an identity, as policy says, and nothing else of the
// node. The agent runs in this process's network, which pods reach as their node.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { matchOf } from '../../mesh/test-arbitraries.ts';
import {
  createTestCa,
  HandmadeDiscovery,
  identityOf,
  NAMESPACE,
  workloadOf,
  workloadUid,
} from '../../node-agent/test-support/world.ts';
import { Cluster, turn } from './cluster.ts';
import { openTunnel, statusOf } from './hbone-peer.ts';
import { Lan, type Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('an agent’s metrics through a tunnel', () => {
    let lan: Lan;
    let cluster: Cluster;
    /** The agent's own pod, on its node's network. */
    let own: Pod;
    let scraper: Pod;
    before(async () => {
      lan = new Lan();
      const node = lan.joinNode('node-a');
      const [v4, v6] = [node.v4, parseIp(node.v6)];
      scraper = lan.addPod('scraper', 'node-b');
      own = { ...scraper, ...node, name: 'agent', uid: 'u-agent', addresses: [v4, v6] };
      cluster = new Cluster(lan, await createTestCa());
      await cluster.startAgent(
        'node-a',
        new HandmadeDiscovery(),
        {},
        {
          metricsTunnel: {
            // this network is ours alone, so the port is free
            door: { host: '0.0.0.0', port: 15008 },
            identity: identityOf(own),
            podName: own.name,
            workloadUid: workloadUid(own),
          },
        },
      );
      // before it has a certificate it has nothing to say
      while (!/^ambit_certificates\{state="valid"\} 1$/m.test(await agent().metrics.text())) {
        await turn();
      }
    });
    after(() => cluster.stop());

    const agent = () => cluster.nodes.get('node-a')!.agent;
    const asking = (port: number) =>
      openTunnel(
        { lan, ca: cluster.ca, pod: scraper },
        { to: own, authority: `${own.v4}:${port}` },
      );

    test('are refused while the agent’s own pod is not known', async () => {
      assert.equal(await statusOf(asking(agent().ports.metrics)), 503);
    });

    test('are those of the agent, under its identity, and the log names who asked', async () => {
      cluster.push({ kind: 'workload', workload: workloadOf(own, { hostNetwork: true }) });
      const { bytes } = await asking(agent().ports.metrics);
      bytes.write('GET /stats/prometheus HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n');
      let answer = '';
      for await (const chunk of bytes) answer += String(chunk);
      assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(answer, /^istio_build\{component="node-agent"/m);
      bytes.end();
      const { lines } = cluster.nodes.get('node-a')!;
      const who = `spiffe://cluster.local/ns/${NAMESPACE}/sa/${scraper.name}`;
      while (!lines.some((line) => line['src.identity'] === who)) {
        await turn();
      }
    });

    test('are all there is: no other port of the node is reached', async () => {
      const { admin, ready } = agent().ports;
      for (const port of [admin, ready, 15008, 22]) assert.equal(await statusOf(asking(port)), 503);
    });

    test('are refused to whom policy denies them, and an open scrape is cut', async () => {
      const { metrics } = agent().ports;
      const { bytes } = await asking(metrics);
      const cut = new Promise((resolve) => bytes.once('close', resolve));
      bytes.on('error', () => {});
      bytes.resume();
      cluster.push({ kind: 'policy', policy: denyEverybody() });
      cluster.push({
        kind: 'workload',
        workload: workloadOf(own, {
          hostNetwork: true,
          authorizationPolicies: [`${NAMESPACE}/no-scrape`],
        }),
      });
      await cut;
      assert.equal(await statusOf(asking(metrics)), 401);
    });

    test('are served to nobody once the agent has stopped', async () => {
      await agent().stop();
      await assert.rejects(lan.connect(scraper, own.v4, 15008), { code: 'ECONNREFUSED' });
      cluster.nodes.delete('node-a');
    });

    function denyEverybody() {
      const rules = [{ clauses: [{ matches: [matchOf({ principals: [{ kind: 'presence' }] })] }] }];
      const scope = 'workload' as const;
      const what = { action: 'deny' as const, dryRun: false };
      return { name: 'no-scrape', namespace: NAMESPACE, scope, ...what, rules };
    }
  });
}
