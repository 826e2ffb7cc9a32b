// One trace over every hop of a request: the client's agent, the waypoint, the endpoint's agent, as a collector gets it. Two
// real agents and a real waypoint over loopback.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { parseIdentity } from '../mesh/identity.ts';
import { LoopbackNodes, VIP } from '../node-agent/test-support/loopback-nodes.ts';
import {
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  portOf,
  serviceOf,
  workloadOf,
} from '../node-agent/test-support/world.ts';
import { systemClock } from '../runtime/clock.ts';
import { startCollector } from '../runtime/tracing/test-collector.ts';
import { text } from '../tunnel/test-sockets.ts';
import { startWaypoint } from './app.ts';

const DOOR = { host: '127.0.0.1', port: 0 };
const REQUEST = 'GET /cart HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n';

let nodes: LoopbackNodes;
before(async () => {
  nodes = await LoopbackNodes.open();
});
after(() => nodes.close());

describe('the trace of a request', () => {
  test('goes from the client’s agent through the waypoint to the endpoint’s agent, each under the one before', async () => {
    await using collector = await startCollector();
    const tracing = { endpoint: collector.endpoint, headers: {}, sampling: 1 };
    const pod = nodes.pod('waypoint');
    const [host = ''] = pod.addresses;
    const discovery = new HandmadeDiscovery();
    const self = workloadOf(pod, { nativeTunnel: true });
    const waypoint = await startWaypoint(
      { clock: systemClock, log: memoryLog().log, discovery, issue: issueFrom(nodes.ca) },
      {
        identity: parseIdentity('spiffe://cluster.local/ns/shop/sa/waypoint'),
        gateway: 'shop/waypoint',
        workloadUid: self.uid,
        tunnels: { host, port: 15008 },
        admin: DOOR,
        metrics: DOOR,
        ready: DOOR,
        certificateTtlMs: 3_600_000,
        drainDeadlineMs: 1000,
        tracing,
      },
    );
    const application = createServer((request, response) => {
      response.end(String(request.headers['traceparent']));
    });
    let told = '';
    await nodes.withMesh(
      (socket) => void application.emit('connection', socket),
      async ({ client, server, near, far }) => {
        const door = { by: 'address', network: '', ip: parseIp(host), port: 15008 } as const;
        const ports = [{ ...portOf(80, 8080), appProtocol: 'http11' }] as const;
        const web = { ...serviceOf('web', VIP, ports), waypoint: door };
        const behind = new Map([['shop/web.shop.svc.cluster.local', ports]]);
        for (const one of [near.discovery, far.discovery, discovery]) {
          one.push(
            { kind: 'workload', workload: self },
            { kind: 'workload', workload: workloadOf(client) },
            { kind: 'workload', workload: workloadOf(server, { services: behind }) },
            { kind: 'service', service: web },
          );
        }
        await waypoint.serving;
        const socket = await nodes.connectFrom(client, VIP, 80);
        socket.write(REQUEST);
        told = await text(socket);
        await waypoint.stop();
      },
      { near: { tracing, nodeName: 'near' }, far: { tracing, nodeName: 'far' } },
    );
    assert.match(told, /^HTTP\/1\.1 200 /);
    const child = (of: string | undefined, where: string) => {
      const span = collector.spans.find(({ parentSpanId }) => parentSpanId === of);
      assert.ok(span, `no span under ${of} (${where})`);
      return span;
    };
    const out = child(undefined, 'the client’s agent');
    assert.equal(out.resource['k8s.node.name'], 'near');
    const served = child(out.context.spanId, 'the waypoint');
    assert.equal(served.attributes['url.path'], '/cart');
    const sent = child(served.context.spanId, 'the waypoint’s try');
    assert.ok(told.endsWith(`00-${sent.context.traceId}-${sent.context.spanId}-01`));
    const arrived = child(sent.context.spanId, 'the endpoint’s agent');
    assert.equal(arrived.resource['k8s.node.name'], 'far');
    const traces = new Set(collector.spans.map(({ context }) => context.traceId));
    assert.deepEqual([...traces], [out.context.traceId]);
  });
});
