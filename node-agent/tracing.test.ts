// One trace over both ends of a tunnel, as a collector gets it from two node agents.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Collected, startCollector } from '../runtime/tracing/test-collector.ts';
import type { TracingSettings } from '../runtime/tracing/tracing.ts';
import { echo, text } from '../tunnel/test-sockets.ts';
import { accessLine, LoopbackNodes, VIP } from './test-support/loopback-nodes.ts';

let nodes: LoopbackNodes;
before(async () => {
  nodes = await LoopbackNodes.open();
});
after(() => nodes.close());

/** The spans of one connection through two agents with these ratios; undefined: an agent without a collector. */
async function spansOf(near: number | undefined, far: number | undefined): Promise<Collected[]> {
  await using collector = await startCollector();
  const tracing = (sampling: number | undefined): TracingSettings | undefined =>
    sampling === undefined ? undefined : { endpoint: collector.endpoint, headers: {}, sampling };
  await nodes.withMesh(
    echo,
    async ({ client, near, far }) => {
      const socket = await nodes.connectFrom(client, VIP, 80);
      socket.end('hello');
      assert.equal(await text(socket), 'hello');
      await Promise.all([accessLine(near, 'outbound'), accessLine(far, 'inbound')]);
    },
    // an agent that stops sends what it has
    {
      near: { tracing: tracing(near), nodeName: 'near' },
      far: { tracing: tracing(far), nodeName: 'far' },
    },
  );
  return collector.spans;
}

describe('the trace of a connection', () => {
  test('has a span of each agent, the second a child of the first', async () => {
    const spans = await spansOf(1, 0);
    assert.equal(spans.length, 2);
    const out = spans.find(({ kind }) => kind === 'client');
    const into = spans.find(({ kind }) => kind === 'server');
    assert.equal(out?.parentSpanId, undefined);
    assert.equal(into?.parentSpanId, out?.context.spanId);
    assert.equal(into?.context.traceId, out?.context.traceId);
    assert.equal(out?.name, 'outbound web.shop.svc.cluster.local');
    assert.equal(into?.name, 'inbound web.shop.svc.cluster.local');
    assert.equal(out?.resource['k8s.node.name'], 'near');
    assert.equal(into?.attributes['istio.source_workload'], 'client');
    assert.equal(into?.attributes['ambit.bytes_received'], 5);
    assert.equal(into?.failure, undefined);
  });

  test('is not recorded further on when it was not where it began', async () => {
    assert.deepEqual(await spansOf(0, 1), []);
    assert.deepEqual(await spansOf(undefined, 1), []);
  });
});
