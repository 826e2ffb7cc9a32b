// What a waypoint tells of requests: metrics under Istio's names, a line in the access log, and spans of one trace from the
// client to the endpoint. Real requests, a real collector.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startCollector, type TestCollector } from '../runtime/tracing/test-collector.ts';
import { httpRoute, Rig } from './test-rig.ts';

describe('telemetry of a waypoint', () => {
  let rig: Rig;
  let collector: TestCollector;

  before(async () => {
    collector = await startCollector();
    rig = await Rig.open({ tracing: { endpoint: collector.endpoint, headers: {}, sampling: 0 } });
  });
  after(async () => {
    await rig.close();
    await collector[Symbol.asyncDispose]();
  });

  const answering = async (name: string, status: number) => {
    const service = rig.service(name);
    const seen: NodeJS.Dict<string | string[]>[] = [];
    await rig.http(service, `${name}-1`, (request, response) => {
      seen.push(request.headers);
      request.resume().once('end', () => response.writeHead(status).end('hello'));
    });
    return { service, seen };
  };

  test('counts requests by who, where, what and how they ended', async () => {
    const { service } = await answering('counted', 200);
    await rig.ask(service, { method: 'POST', body: 'four' });
    const labels = {
      reporter: 'waypoint',
      source_principal: 'spiffe://cluster.local/ns/shop/sa/client',
      destination_service: service.hostname,
      destination_service_name: 'counted',
      request_protocol: 'http',
      response_code: '200',
      response_flags: '-',
    };
    assert.equal(await rig.metric('istio_requests_total', labels), 1);
    assert.equal(await rig.metric('istio_request_duration_milliseconds_count', labels), 1);
    assert.equal(await rig.metric('istio_request_bytes_sum', labels), 4);
    assert.equal(await rig.metric('istio_response_bytes_sum', labels), 5);
  });

  test('counts requests by the rule they matched', async () => {
    const { service } = await answering('ruled', 404);
    rig.discovery.push(httpRoute(service, 'ruled', [{ to: service, name: 'all' }]));
    await rig.ask(service);
    const labels = { route: 'shop/ruled', rule: 'all', code_class: '4xx' };
    assert.equal(await rig.metric('ambit_route_requests_total', labels), 1);
  });

  test('says in the access log what a client was refused and why', async () => {
    const service = rig.service('nobody');
    const { status } = await rig.ask(service, { path: '/x?y=1' });
    assert.equal(status, 503);
    const line = rig.lines.find((one) => one['path'] === '/x?y=1');
    assert.ok(line, JSON.stringify(rig.lines.at(-1)));
    assert.equal(line['response_flags'], 'UH');
    assert.equal(line['response_code'], 503);
    assert.match(String(line['request_id']), /^[0-9a-f-]{36}$/);
    const labels = { destination_service: service.hostname, response_flags: 'UH' };
    assert.equal(await rig.metric('istio_requests_total', labels), 1);
  });

  test('names each request, and keeps the name it came with', async () => {
    const { service, seen } = await answering('named', 200);
    await rig.ask(service);
    await rig.ask(service, { headers: { 'x-request-id': 'mine' } });
    assert.match(String(seen[0]?.['x-request-id']), /^[0-9a-f-]{36}$/);
    assert.equal(seen[1]?.['x-request-id'], 'mine');
  });

  test('goes on with a trace: its span under the client’s, the endpoint’s under its own', async () => {
    const { service, seen } = await answering('traced', 200);
    const trace = 'a'.repeat(32);
    const before = collector.spans.length;
    await rig.ask(service, { headers: { traceparent: `00-${trace}-${'b'.repeat(16)}-01` } });
    await collector.holds(before + 2);
    const spans = collector.spans.slice(before).filter(({ context }) => context.traceId === trace);
    const server = spans.find(({ parentSpanId }) => parentSpanId === 'b'.repeat(16));
    const client = spans.find(({ parentSpanId }) => parentSpanId === server?.context.spanId);
    assert.ok(server !== undefined && client !== undefined);
    assert.equal(seen[0]?.['traceparent'], `00-${trace}-${client.context.spanId}-01`);
  });

  test('samples new traces as the policy of the service says', async () => {
    const { service, seen } = await answering('sampled', 200);
    await rig.ask(service);
    assert.match(String(seen[0]?.['traceparent']), /-00$/);
    rig.policy(service, { tracing: { sampling: 1 } });
    await rig.ask(service);
    assert.match(String(seen[1]?.['traceparent']), /-01$/);
  });
});
