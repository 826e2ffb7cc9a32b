// What every observer is told of a request, however it ends.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HttpFailure } from '../../mesh/http-failures.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import type { EndedRequest, RequestObserver } from './request-facts.ts';
import { RequestTrails } from './request-trail.ts';
import { ENDPOINT, HEAD } from './test-requests.ts';

function setUp(...more: RequestObserver[]) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = createLog({ component: 'test', write: (line) => void lines.push(line) });
  const told: EndedRequest[] = [];
  const observer = { name: 'test', ended: (request: EndedRequest) => void told.push(request) };
  const trails = new RequestTrails({
    clock,
    log,
    metrics,
    tracer: undefined,
    observers: [...more, observer],
  });
  const begin = (facts: Partial<typeof HEAD> = {}) =>
    trails.begin({ ...HEAD, ...facts }, { headers: [] });
  return { clock, metrics, lines, told, trails, begin };
}

describe('a request', () => {
  test('is told with its facts, its times and where its last try went', async () => {
    const { clock, begin, told } = setUp();
    const trail = begin();
    await clock.advance(2);
    const first = trail.upstream({ ...ENDPOINT, destinationWorkload: undefined });
    first.end({ failure: new HttpFailure('UPSTREAM_CONNECT', '') });
    await clock.advance(3);
    const second = trail.upstream(ENDPOINT);
    await clock.advance(7);
    assert.equal(second.firstByte(), 7);
    trail.answered(201);
    trail.counts.bytesReceived += 5;
    trail.counts.bytesSent += 9;
    await clock.advance(8);
    second.end({ status: 201 });
    trail.end({ by: 'upstream' });
    const [one] = told;
    assert.deepEqual(
      [one?.status, one?.durationMs, one?.upstreamMs, one?.tries, one?.flags, one?.endedBy],
      [201, 20, 7, 2, '-', 'upstream'],
    );
    assert.deepEqual(one?.facts, { ...HEAD, ...ENDPOINT });
    assert.deepEqual([one?.counts.bytesReceived, one?.counts.bytesSent], [5, 9]);
    assert.equal(one?.grpcStatus, undefined);
  });

  test('ends once, and keeps the first status of its answer', () => {
    const { begin, told } = setUp();
    const trail = begin();
    trail.answered(200);
    trail.answered(500);
    trail.end({ by: 'client', failure: new HttpFailure('DOWNSTREAM_RESET', '') });
    trail.end({ by: 'upstream' });
    trail.answered(404);
    assert.deepEqual(
      told.map(({ status, flags }) => [status, flags]),
      [[200, 'DC']],
    );
  });

  test('that is never answered has status 0', () => {
    const { begin, told } = setUp();
    begin().end({ by: 'client', failure: new HttpFailure('DOWNSTREAM_RESET', '') });
    assert.equal(told[0]?.status, 0);
  });

  test('has every flag once, in the order they came', () => {
    const { begin, told } = setUp();
    const trail = begin();
    trail.note('DI');
    trail.note('URX');
    trail.note('URX');
    trail.end({ by: 'waypoint', failure: new HttpFailure('UPSTREAM_CONNECT', '') });
    assert.equal(told[0]?.flags, 'DI,URX,UF');
  });

  test('of gRPC has the status of gRPC: said, or the failure’s own', () => {
    const { begin, told } = setUp();
    begin({ protocol: 'grpc' }).end({ by: 'upstream', grpcStatus: 5 });
    begin({ protocol: 'grpc' }).end({ by: 'waypoint', failure: new HttpFailure('NO_ROUTE', '') });
    begin({ protocol: 'h2' }).end({ by: 'upstream', grpcStatus: 5 });
    assert.deepEqual(
      told.map(({ grpcStatus }) => grpcStatus),
      [5, 12, undefined],
    );
  });

  test('is over for everybody else when an observer fails, which is logged once a minute', async () => {
    const failing = {
      name: 'bad one',
      ended: () => {
        throw new Error('no');
      },
    };
    const { clock, begin, told, lines, metrics } = setUp(failing);
    for (let i = 0; i < 3; i++) begin().end({ by: 'upstream' });
    assert.equal(told.length, 3);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /bad one/);
    await clock.advance(60_000);
    begin().end({ by: 'upstream' });
    assert.equal(lines.length, 2);
    const text = await metrics.text();
    assert.match(text, /ambit_waypoint_observer_faults_total\{observer="bad one"\} 4/);
  });

  test('is counted as open until it ends', async () => {
    const { begin, metrics, trails } = setUp();
    const trail = begin();
    assert.match(await metrics.text(), /ambit_waypoint_requests_open 1/);
    const ended = trails.allEnded();
    trail.end({ by: 'upstream' });
    await ended;
    assert.match(await metrics.text(), /ambit_waypoint_requests_open 0/);
  });

  test('without a collector carries on what came: headers as they are, the traceparent of its CONNECT', () => {
    const { trails } = setUp();
    const connection = trails.connection({ traceparent: 'whatever' });
    const headers = [['b3', 'odd']] as const;
    const trail = trails.begin(HEAD, { headers, connection });
    const attempt = trail.upstream(ENDPOINT);
    assert.equal(attempt.traceparent, 'whatever');
    assert.equal(attempt.headers(headers), headers);
    trail.end({ by: 'upstream' });
  });
});
