// Kubelet probes and captured pods, on the node's own network: who is let past capture, for how long, and what stays behind.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { CaptureDriver, PodCapture } from '../../node-agent/capture/capture.ts';
import { enrolmentOf } from '../../node-agent/test-support/world.ts';
import { CaptureBench, namedDoors } from './capture-bench.ts';
import type { Place, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const FAMILIES = ['v4', 'v6'] as const;
const PROBE = { v4: '169.254.7.127', v6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' };

if (enterNamespaces(import.meta.filename)) {
  describe('kubelet probes', () => {
    let bench: CaptureBench;
    let node: Place;
    let driver: CaptureDriver;
    before(() => {
      bench = new CaptureBench();
      node = bench.lan.node('node-a');
    });
    after(() => bench.end());
    beforeEach(() => {
      driver = newDriver();
    });
    afterEach(async () => {
      await bench.tidy();
      await bench.lan.run(node, 'nft', 'flush', 'ruleset');
    });

    const newDriver = (): CaptureDriver =>
      bench.closing(bench.driver('node-a', { probesFrom: '/run/netns/node-a' }));
    const rulesOnNode = (): Promise<string> => bench.lan.ruleset(node);

    /** Captured by `by`; its application answers with the address it sees. */
    async function captured(by = driver): Promise<{ pod: Pod; capture: PodCapture }> {
      const pod = bench.lan.addPod('pod', 'node-a');
      await bench.lan.serve(pod, 8080, (socket) =>
        socket.end(socket.remoteAddress?.replace('::ffff:', '') ?? 'nobody'),
      );
      const capture = await bench.open(pod, by);
      await capture.listen(namedDoors());
      await capture.redirect(enrolmentOf(pod));
      return { pod, capture };
    }

    for (const family of FAMILIES) {
      test(`${family}: a probe of the node reaches the application itself, traffic of others does not`, async () => {
        const { pod } = await captured();
        const neighbour = bench.lan.addPod('neighbour', 'node-a');
        const far = bench.lan.addPod('far', 'node-b');
        assert.equal(await bench.reach(node, pod[family], 8080), PROBE[family]);
        for (const other of [neighbour, far]) {
          const answer = await bench.reach(other, pod[family], 8080);
          assert.equal(answer, `passthrough ${pod[family]} 8080`);
        }
      });

      test(`${family}: without the bypass a probe is captured as anything else`, async () => {
        const { pod } = await captured(bench.driver('node-a'));
        assert.equal(await bench.reach(node, pod[family], 8080), `passthrough ${pod[family]} 8080`);
        assert.equal(await rulesOnNode(), '');
      });
    }

    test('the node is told of each pod once, and of addresses that come late', async () => {
      const pod = bench.lan.addPod('pod', 'node-a');
      const capture = await bench.open({ ...pod, addresses: [] }, driver);
      await capture.listen(namedDoors());
      await capture.redirect({ ...enrolmentOf(pod), addresses: [] });
      assert.equal(await rulesOnNode(), '');
      await capture.redirect(enrolmentOf(pod));
      const rules = await rulesOnNode();
      assert.ok(rules.includes(pod.v4) && rules.includes(pod.v6), rules);
      await capture.redirect(enrolmentOf(pod));
      assert.equal(await rulesOnNode(), rules);
    });

    test('who leaves is not named any more, and the last one leaves nothing on the node', async () => {
      await driver.leftovers(new Set());
      const [first, last] = [await captured(), await captured()];
      await first.capture.release();
      const rules = await rulesOnNode();
      assert.ok(!rules.includes(first.pod.v4) && rules.includes(last.pod.v4), rules);
      assert.equal(await bench.reach(node, first.pod.v4, 8080), '10.244.1.1');
      assert.equal(await bench.reach(node, last.pod.v4, 8080), PROBE.v4);
      await last.capture.release();
      await last.capture.remove();
      assert.equal(await rulesOnNode(), '');
    });

    test('the address of a pod that is gone is free for the next one', async () => {
      const { pod, capture } = await captured();
      bench.lan.destroyPod(pod);
      assert.equal(await capture.vanished(), true);
      await capture.close();
      assert.ok(!(await rulesOnNode()).includes(pod.v4));
    });

    test('an agent that ends changes nothing; the next one keeps its own pods and sweeps the rest', async () => {
      const [stays, leaves] = [await captured(), await captured()];
      const before = await rulesOnNode();
      await bench.tidy();
      assert.equal(await rulesOnNode(), before);
      const next = newDriver();
      const again = await bench.open(stays.pod, next);
      assert.equal(await rulesOnNode(), before, 'no probe fails while pods are enrolled again');
      assert.equal(await again.verify(), undefined);
      const element = ['element', 'inet', 'ambit-probes', 'pods4', `{ ${stays.pod.v4} }`];
      await bench.lan.run(node, 'nft', 'delete', ...element);
      assert.equal(await again.verify(), 'probe-bypass-changed');
      assert.equal(await rulesOnNode(), before);
      await next.leftovers(new Set([stays.pod.uid]));
      const swept = await rulesOnNode();
      assert.ok(swept.includes(stays.pod.v4) && !swept.includes(leaves.pod.v4), swept);
      await bench.tidy();
      const empty = newDriver();
      await empty.leftovers(new Set());
      assert.equal(await rulesOnNode(), '');
    });

    for (const [what, ...command] of [
      ['a deleted table', 'delete', 'table', 'inet', 'ambit-probes'],
      ['an emptied chain', 'flush', 'chain', 'inet', 'ambit-probes', 'from_node'],
      ['an emptied set', 'flush', 'set', 'inet', 'ambit-probes', 'pods4'],
    ] as const) {
      test(`${what} on the node is put back at the next look`, async () => {
        const { pod, capture } = await captured();
        assert.equal(await capture.verify(), undefined);
        const before = await rulesOnNode();
        await bench.lan.run(node, 'nft', ...command);
        assert.equal(await capture.verify(), 'probe-bypass-changed');
        assert.equal(await capture.verify(), undefined);
        assert.equal(await rulesOnNode(), before);
        assert.equal(await bench.reach(node, pod.v4, 8080), PROBE.v4);
      });
    }

    test('rules of others on the node stay as they were', async () => {
      await bench.lan.run(node, 'nft', 'add', 'table', 'ip', 'kube-proxy');
      await bench.lan.run(
        node,
        'nft',
        'add chain ip kube-proxy post { type nat hook postrouting priority 100; }',
      );
      await bench.lan.run(node, 'nft', 'add rule ip kube-proxy post masquerade');
      const before = await rulesOnNode();
      await driver.leftovers(new Set());
      const { pod, capture } = await captured();
      assert.equal(await bench.reach(node, pod.v4, 8080), PROBE.v4);
      await capture.release();
      assert.equal(await rulesOnNode(), before);
    });

    test('pods that come at once are all named', async () => {
      const pods = Array.from({ length: 8 }, () => bench.lan.addPod('pod', 'node-a'));
      await Promise.all(pods.map((pod) => bench.open(pod, driver)));
      const rules = await rulesOnNode();
      for (const pod of pods) assert.ok(rules.includes(pod.v4) && rules.includes(pod.v6));
    });
  });
}
