// The spans of requests, as a collector gets them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { headerOf } from '../../mesh/http-request.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { startCollector } from '../../runtime/tracing/test-collector.ts';
import { startTracing } from '../../runtime/tracing/tracing.ts';
import { readTraceparent } from '../../wire/trace-context.ts';
import { MAX_REQUESTS_IN_CONNECTION_TRACE } from './request-spans.ts';
import { RequestTrails } from './request-trail.ts';
import { ENDPOINT, HEAD } from './test-requests.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const OTHER = 'a'.repeat(32);
const CALLER = '00f067aa0ba902b7';

async function setUp(sampling = 1) {
  const collector = await startCollector();
  const parts = { clock: new ManualClock(), log: silentLog, metrics: new Metrics() };
  const tracing = startTracing(
    parts,
    { endpoint: collector.endpoint, headers: {}, sampling },
    { 'service.name': 'waypoint' },
  );
  const trails = new RequestTrails({ ...parts, tracer: tracing.tracer, observers: [] });
  const collected = async (spans: number) => {
    await tracing.close();
    await collector.holds(spans);
    assert.equal(collector.spans.length, spans);
    return collector.spans;
  };
  return { collector, trails, collected };
}

describe('the spans of a request', () => {
  test('one for its stay, one a try, and the next hop is told of the try', async () => {
    const { collector, trails, collected } = await setUp();
    await using _ = collector;
    const headers = [['traceparent', `00-${TRACE}-${CALLER}-01`]] as const;
    const trail = trails.begin(HEAD, { headers });
    const first = trail.upstream(ENDPOINT);
    first.end({ failure: new HttpFailure('UPSTREAM_CONNECT', 'Cannot connect') });
    const second = trail.upstream(ENDPOINT);
    const sent = headerOf({ headers: second.headers(headers) }, 'traceparent');
    assert.equal(sent, second.traceparent);
    second.end({ status: 200 });
    trail.answered(200);
    trail.end({ by: 'upstream' });
    const [one, two, server] = await collected(3);
    assert.equal(server?.kind, 'server');
    assert.equal(server?.parentSpanId, CALLER);
    assert.deepEqual([one?.parentSpanId, two?.parentSpanId], Array(2).fill(server?.context.spanId));
    assert.deepEqual(
      [one, two, server].map((span) => span?.context.traceId),
      Array(3).fill(TRACE),
    );
    assert.equal(readTraceparent(sent)?.parent?.spanId, two?.context.spanId);
    assert.equal(one?.failure, 'UPSTREAM_CONNECT: Cannot connect');
    assert.equal(two?.failure, undefined);
    assert.equal(two?.attributes['http.request.resend_count'], 1);
    assert.equal(server?.name, 'GET web.shop.svc.cluster.local');
    assert.equal(server?.attributes['url.path'], '/cart', 'never the query');
    assert.equal(server?.attributes['http.response.status_code'], 200);
    assert.equal(server?.attributes['istio.source_workload'], 'client');
    assert.equal(server?.attributes['istio.destination_workload'], 'web');
    assert.equal(server?.attributes['ambit.route'], 'shop/cart/0');
    assert.equal(server?.attributes['guid:x-request-id'], 'id-1');
  });

  test('a request without a trace continues that of its connection', async () => {
    const { collector, trails, collected } = await setUp(0);
    await using _ = collector;
    const connection = trails.connection({ traceparent: `00-${TRACE}-${CALLER}-01` });
    trails.begin(HEAD, { headers: [], connection }).end({ by: 'upstream' });
    const [span] = await collected(1);
    assert.deepEqual([span?.context.traceId, span?.parentSpanId], [TRACE, CALLER]);
  });

  test('not without end: a connection that lives for days is no trace', async () => {
    const { collector, trails, collected } = await setUp(0);
    await using _ = collector;
    const connection = trails.connection({ traceparent: `00-${TRACE}-${CALLER}-01` });
    for (let i = 0; i < MAX_REQUESTS_IN_CONNECTION_TRACE + 5; i++) {
      trails.begin(HEAD, { headers: [], connection }).end({ by: 'upstream' });
    }
    await collected(MAX_REQUESTS_IN_CONNECTION_TRACE);
  });

  test('a request of its own trace keeps it, with a link to the connection', async () => {
    const { collector, trails, collected } = await setUp();
    await using _ = collector;
    const connection = trails.connection({ traceparent: `00-${TRACE}-${CALLER}-01` });
    const headers = [['b3', `${OTHER}-${CALLER}-1`]] as const;
    const trail = trails.begin(HEAD, { headers, connection });
    const attempt = trail.upstream(ENDPOINT);
    const names = attempt.headers(headers).map(([name]) => name);
    assert.deepEqual(names, ['traceparent', 'b3'], 'the caller’s form goes on');
    attempt.end({ status: 200 });
    trail.end({ by: 'upstream' });
    const server = (await collected(2)).find(({ kind }) => kind === 'server');
    assert.equal(server?.context.traceId, OTHER);
    assert.deepEqual(server?.link, { traceId: TRACE, spanId: CALLER });
  });

  test('an unrecorded connection decides nothing: the waypoint’s own ratio does, or the object’s', async () => {
    const { collector, trails, collected } = await setUp(0);
    await using _ = collector;
    const connection = trails.connection({ traceparent: `00-${TRACE}-${CALLER}-00` });
    trails.begin(HEAD, { headers: [], connection }).end({ by: 'upstream' });
    trails.begin(HEAD, { headers: [], connection, sampling: 1 }).end({ by: 'upstream' });
    const [span] = await collected(1);
    assert.equal(span?.parentSpanId, undefined);
    assert.notEqual(span?.context.traceId, TRACE);
  });

  test('a request that asks not to be followed is not', async () => {
    const { collector, trails, collected } = await setUp();
    await using _ = collector;
    const trail = trails.begin(HEAD, { headers: [['b3', '0']] });
    const attempt = trail.upstream(ENDPOINT);
    assert.equal(headerOf({ headers: attempt.headers([]) }, 'b3')?.at(-1), '0');
    attempt.end({ status: 200 });
    trail.end({ by: 'upstream' });
    await collected(0);
  });

  test('of gRPC are named by the method, and fail by its status', async () => {
    const { collector, trails, collected } = await setUp();
    await using _ = collector;
    const facts = { ...HEAD, protocol: 'grpc', path: '/shop.Cart/Add' } as const;
    const trail = trails.begin(facts, { headers: [] });
    trail.answered(200);
    trail.end({ by: 'upstream', grpcStatus: 13 });
    const [span] = await collected(1);
    assert.equal(span?.name, 'shop.Cart/Add');
    assert.equal(span?.failure, '');
    assert.equal(span?.attributes['rpc.grpc.status_code'], 13);
  });
});
