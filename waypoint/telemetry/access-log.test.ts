// The access log of requests: Istio's keys and text, filters, and what a client cannot do to it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { EVERYTHING } from '../../runtime/access-filter.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { RequestLog, type RequestLogSettings } from './access-log.ts';
import { RequestTrails } from './request-trail.ts';
import { ENDPOINT, HEAD } from './test-requests.ts';

function setUp(settings: RequestLogSettings = {}, random = () => 0.5) {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    component: 'waypoint',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const access = new RequestLog({ log: log.child({ scope: 'access' }), random }, settings);
  const trails = new RequestTrails({
    clock,
    log,
    metrics: new Metrics(),
    tracer: undefined,
    observers: [access],
  });
  const request = async (facts: Partial<typeof HEAD> = {}, status = 200, failure?: HttpFailure) => {
    const trail = trails.begin({ ...HEAD, ...facts }, { headers: [] });
    const attempt = trail.upstream(ENDPOINT);
    await clock.advance(4);
    attempt.firstByte();
    if (status > 0) trail.answered(status);
    trail.counts.bytesReceived = 3;
    trail.counts.bytesSent = 11;
    await clock.advance(1);
    trail.end({ by: failure === undefined ? 'upstream' : 'waypoint', failure });
  };
  return { lines, log, request };
}

describe('a line of the access log', () => {
  test('as JSON has Istio’s keys, and ours behind them', async () => {
    const { lines, request } = setUp();
    await request();
    const { time: _, ...line } = lines[0] ?? {};
    assert.deepEqual(line, {
      level: 'info',
      component: 'waypoint',
      scope: 'access',
      start_time: '2023-11-14T22:13:20.000Z',
      method: 'GET',
      path: '/cart?user=7',
      protocol: 'HTTP/2',
      response_code: 200,
      response_flags: '-',
      response_code_details: 'via_upstream',
      connection_termination_details: null,
      upstream_transport_failure_reason: null,
      bytes_received: 3,
      bytes_sent: 11,
      duration: 5,
      upstream_service_time: 4,
      x_forwarded_for: '192.0.2.1',
      user_agent: 'curl/8',
      request_id: 'id-1',
      authority: 'web.shop',
      upstream_host: '10.0.0.2:8080',
      upstream_cluster: 'inbound-vip|80|http|web.shop.svc.cluster.local;',
      upstream_local_address: null,
      downstream_local_address: '10.96.0.10:80',
      downstream_remote_address: '10.0.0.1:40000',
      requested_server_name: null,
      route_name: 'shop/cart/0',
      attempts: 1,
      ended_by: 'upstream',
      'src.workload': 'client-5d8f-x2x',
      'src.namespace': 'shop',
      'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
      'dst.service': 'web.shop.svc.cluster.local',
      'dst.workload': 'web-5d8f-x2x',
      'dst.namespace': 'shop',
      message: 'request complete',
    });
  });

  test('as text is Istio’s default', async () => {
    const { lines, request } = setUp({ format: 'text' });
    await request({ protocol: 'http/1.1', userAgent: undefined });
    assert.equal(
      lines[0]?.['message'],
      '[2023-11-14T22:13:20.000Z] "GET /cart?user=7 HTTP/1.1" 200 - via_upstream - "-" 3 11 5 4 ' +
        '"192.0.2.1" "-" "id-1" "web.shop" "10.0.0.2:8080" ' +
        'inbound-vip|80|http|web.shop.svc.cluster.local; - 10.96.0.10:80 10.0.0.1:40000 - shop/cart/0',
    );
  });

  test('of a failure says its flag, its code and what happened', async () => {
    const { lines, request } = setUp();
    await request({}, 503, new HttpFailure('UPSTREAM_CONNECT', 'Cannot connect to 10.0.0.2:8080'));
    assert.equal(lines[0]?.['level'], 'error');
    assert.equal(lines[0]?.['response_flags'], 'UF');
    assert.equal(lines[0]?.['response_code_details'], 'upstream_connect');
    assert.equal(
      lines[0]?.['upstream_transport_failure_reason'],
      'Cannot connect to 10.0.0.2:8080',
    );
    assert.equal(lines[0]?.['error'], 'Cannot connect to 10.0.0.2:8080');
  });

  test('of gRPC says its status and messages', async () => {
    const { lines, request } = setUp();
    await request({ protocol: 'grpc' }, 200, new HttpFailure('NO_ROUTE', ''));
    assert.equal(lines[0]?.['grpc_status'], 12);
    assert.equal(lines[0]?.['request_messages'], 0);
  });

  test('is one line whose quotes are ours, whatever a client sends', async () => {
    const texts = fc
      .array(fc.oneof(fc.constantFrom(0x22, 0x5c, 0x0a), fc.nat(0x2fff)))
      .map((codes) => String.fromCharCode(...codes));
    await fc.assert(
      fc.asyncProperty(texts, texts, async (path, userAgent) => {
        const { lines, request } = setUp({ format: 'text' });
        await request({ path, userAgent });
        const text = String(lines[0]?.['message']);
        assert.doesNotMatch(text, /[\u0000-\u001f\u2028\u2029]/);
        assert.equal(text.match(/(?<!\\)(?:\\\\)*"/g)?.length, 14, text);
      }),
      { numRuns: 50 },
    );
  });

  test('has bounded fields', async () => {
    const { lines, request } = setUp();
    await request({ path: '/'.repeat(100_000), userAgent: 'x'.repeat(100_000) });
    assert.ok(JSON.stringify(lines[0]).length < 5000);
  });
});

describe('the filter', () => {
  test('goes by any flag, by namespace and by errors; 5xx of the upstream are errors', async () => {
    const { lines, request } = setUp({
      filter: { ...EVERYTHING, errorsOnly: true, namespaces: ['shop'] },
    });
    await request({}, 200);
    await request({}, 500);
    await request({}, 429, new HttpFailure('RATE_LIMITED', ''));
    assert.deepEqual(
      lines.map((line) => line['response_code']),
      [500, 429],
    );
    const flagged = setUp({ filter: { ...EVERYTHING, flags: ['RL'] } });
    await flagged.request({}, 200);
    await flagged.request({}, 429, new HttpFailure('RATE_LIMITED', ''));
    assert.equal(flagged.lines.length, 1);
    const elsewhere = setUp({ filter: { ...EVERYTHING, namespaces: ['bank'] } });
    await elsewhere.request();
    assert.equal(elsewhere.lines.length, 0);
  });

  test('leaves out by sampling only what went well, and the level changes at run time', async () => {
    const { lines, log, request } = setUp({ filter: { ...EVERYTHING, sampling: 0.1 } });
    await request({}, 200);
    await request({}, 500);
    assert.equal(lines.length, 1);
    log.setLevel('off', 'access');
    await request({}, 500);
    assert.equal(lines.length, 1);
  });
});
