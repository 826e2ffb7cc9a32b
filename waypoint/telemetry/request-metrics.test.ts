// Metrics of requests as a scraper reads them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { BUCKETS } from './distribution.ts';
import { RequestMetrics } from './request-metrics.ts';
import { MAX_REQUEST_CELLS } from './request-series.ts';
import { RequestTrails } from './request-trail.ts';
import { RouteMetrics } from './route-metrics.ts';
import { describedWorkload, ENDPOINT, HEAD, identity } from './test-requests.ts';
import { WaypointEvents } from './waypoint-events.ts';

const IDLE_MS = 60_000;

type Line = {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
};

function setUp() {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const parts = { clock, metrics };
  const settings = { seriesIdleMs: IDLE_MS };
  const observers = [new RequestMetrics(parts, settings), new RouteMetrics(parts, settings)];
  const trails = new RequestTrails({ ...parts, log: silentLog, tracer: undefined, observers });
  const events = new WaypointEvents(parts);
  const scrape = async (name: string): Promise<Line[]> =>
    (await metrics.text())
      .split('\n')
      .map((line) => /^(\w+?)(?:\{(.*)\})? (\S+)$/.exec(line))
      .filter((match) => match?.[1] === name)
      .map((match) => ({
        name,
        labels: Object.fromEntries(
          [...(match?.[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [
            key,
            value,
          ]),
        ) as Record<string, string>,
        value: Number(match?.[3]),
      }));
  const request = (facts: Partial<typeof HEAD> = {}, status = 200, failure?: HttpFailure) => {
    const trail = trails.begin({ ...HEAD, ...facts }, { headers: [] });
    trail.upstream(ENDPOINT);
    if (status > 0) trail.answered(status);
    return {
      trail,
      end: () => trail.end({ by: failure === undefined ? 'upstream' : 'waypoint', failure }),
    };
  };
  return { clock, metrics, events, scrape, request, trails };
}

describe('the metrics of requests', () => {
  test('have Istio’s labels, as a waypoint reports them', async () => {
    const { request, scrape } = setUp();
    request().end();
    const [line] = await scrape('istio_requests_total');
    assert.deepEqual(line, {
      name: 'istio_requests_total',
      labels: {
        reporter: 'waypoint',
        source_workload: 'client',
        source_canonical_service: 'client',
        source_canonical_revision: 'v1',
        source_workload_namespace: 'shop',
        source_app: 'client',
        source_version: 'v1',
        source_cluster: 'Kubernetes',
        source_principal: 'spiffe://cluster.local/ns/shop/sa/client',
        destination_service: 'web.shop.svc.cluster.local',
        destination_service_namespace: 'shop',
        destination_service_name: 'web',
        destination_workload: 'web',
        destination_canonical_service: 'web',
        destination_canonical_revision: 'v1',
        destination_workload_namespace: 'shop',
        destination_app: 'web',
        destination_version: 'v1',
        destination_cluster: 'Kubernetes',
        destination_principal: 'spiffe://cluster.local/ns/shop/sa/web',
        request_protocol: 'http',
        response_code: '200',
        grpc_response_status: '',
        response_flags: '-',
        connection_security_policy: 'mutual_tls',
      },
      value: 1,
    });
  });

  test('are one series for many requests of the same, by whatever object they are named', async () => {
    const { request, scrape } = setUp();
    for (let i = 0; i < 3; i++) {
      const sourceWorkload = describedWorkload('client');
      request({ sourceWorkload, sourceIdentity: identity('client') }).end();
    }
    assert.deepEqual(
      (await scrape('istio_requests_total')).map(({ value }) => value),
      [3],
    );
  });

  test('tell codes, flags and protocols apart', async () => {
    const { request, scrape } = setUp();
    request({}, 503, new HttpFailure('UPSTREAM_OVERFLOW', '')).end();
    request({}, 0, new HttpFailure('DOWNSTREAM_RESET', '')).end();
    request({ protocol: 'grpc' }, 200, new HttpFailure('NO_ROUTE', '')).end();
    request({ sourceIdentity: undefined, sourceWorkload: undefined }).end();
    const told = (await scrape('istio_requests_total')).map(({ labels }) => [
      labels['request_protocol'],
      labels['response_code'],
      labels['grpc_response_status'],
      labels['response_flags'],
      labels['connection_security_policy'],
      labels['source_workload'],
    ]);
    assert.deepEqual(told, [
      ['http', '503', '', 'UO', 'mutual_tls', 'client'],
      ['http', '0', '', 'DC', 'mutual_tls', 'client'],
      ['grpc', '200', '12', 'NR', 'mutual_tls', 'client'],
      ['http', '200', '', '-', 'unknown', 'unknown'],
    ]);
  });

  test('spread times and sizes over Envoy’s buckets, cumulated, with sum and count', async () => {
    const { clock, request, scrape } = setUp();
    for (const ms of [1, 30, 4_000_000]) {
      const { trail, end } = request();
      trail.counts.bytesSent = 700;
      await clock.advance(ms);
      end();
    }
    const buckets = await scrape('istio_request_duration_milliseconds_bucket');
    assert.deepEqual(
      buckets.map(({ labels }) => labels['le']),
      [...BUCKETS.map(String), '+Inf'],
    );
    const at = (le: string): number | undefined =>
      buckets.find(({ labels }) => labels['le'] === le)?.value;
    assert.deepEqual(
      [at('0.5'), at('1'), at('25'), at('50'), at('3600000'), at('+Inf')],
      [0, 1, 1, 2, 2, 3],
    );
    assert.equal((await scrape('istio_request_duration_milliseconds_sum'))[0]?.value, 4_000_031);
    assert.equal((await scrape('istio_request_duration_milliseconds_count'))[0]?.value, 3);
    assert.equal((await scrape('istio_response_bytes_sum'))[0]?.value, 2100);
    assert.equal((await scrape('istio_request_bytes_count'))[0]?.value, 3);
  });

  test('count the messages of gRPC', async () => {
    const { request, scrape } = setUp();
    const { trail, end } = request({ protocol: 'grpc' });
    trail.counts.requestMessages = 2;
    trail.counts.responseMessages = 5;
    end();
    assert.equal((await scrape('istio_request_messages_total'))[0]?.value, 2);
    assert.equal((await scrape('istio_response_messages_total'))[0]?.value, 5);
  });

  test('of workloads that nobody hears of any more go', async () => {
    const { clock, request, scrape } = setUp();
    request({ sourceWorkload: describedWorkload('gone') }).end();
    await clock.advance(IDLE_MS);
    request().end();
    await clock.advance(1);
    const left = await scrape('istio_requests_total');
    assert.deepEqual(
      left.map(({ labels }) => labels['source_workload']),
      ['client'],
    );
    assert.equal((await scrape('istio_request_bytes_count')).length, 1);
  });

  test('are bounded, whatever an upstream answers', async () => {
    const { trails, scrape } = setUp();
    for (let n = 0; n < MAX_REQUEST_CELLS + 50; n++) {
      const facts = { ...HEAD, sourceWorkload: describedWorkload(`w${n}`) };
      const trail = trails.begin({ ...facts, protocol: 'grpc' }, { headers: [] });
      trail.end({ by: 'upstream', grpcStatus: n });
    }
    const lines = await scrape('istio_requests_total');
    assert.ok(lines.length <= MAX_REQUEST_CELLS);
    const statuses = new Set(lines.map(({ labels }) => labels['grpc_response_status']));
    assert.ok(statuses.size <= 17);
  });
});

describe('the metrics of routes', () => {
  test('count by rule and class of answer, and leave out what met no route', async () => {
    const { request, scrape } = setUp();
    request({}, 200).end();
    request({}, 204).end();
    request({}, 503).end();
    request({}, 0, new HttpFailure('DOWNSTREAM_RESET', '')).end();
    request({ route: undefined }, 404).end();
    assert.deepEqual(
      (await scrape('ambit_route_requests_total')).map(({ labels, value }) => [labels, value]),
      [
        [{ route: 'shop/cart', rule: '0', code_class: 'none' }, 1],
        [{ route: 'shop/cart', rule: '0', code_class: '2xx' }, 2],
        [{ route: 'shop/cart', rule: '0', code_class: '5xx' }, 1],
      ],
    );
    const [count] = await scrape('ambit_route_request_duration_milliseconds_count');
    assert.equal(count?.value, 4);
  });
});

describe('the events of a waypoint', () => {
  test('are counted by what was done, why, and for which service', async () => {
    const { events, scrape } = setUp();
    events.count('retry', 'connect-failure', ENDPOINT.service);
    events.count('retry', 'connect-failure', ENDPOINT.service);
    events.count('shed', 'memory', undefined);
    assert.deepEqual(
      (await scrape('ambit_waypoint_events_total')).map(({ labels, value }) => [labels, value]),
      [
        [{ event: 'retry', reason: 'connect-failure', service: ENDPOINT.service.hostname }, 2],
        [{ event: 'shed', reason: 'memory', service: 'unknown' }, 1],
      ],
    );
  });
});
