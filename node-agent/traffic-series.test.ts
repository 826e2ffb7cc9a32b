// Which series of the traffic counters live on, and which go.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { memoryLog, workloadOf } from './test-support/world.ts';
import { TrafficSeries } from './traffic-series.ts';
import { type TrailFacts, Trails } from './trail.ts';

const FACTS: TrailFacts = {
  direction: 'inbound',
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('10.0.0.2'), port: 15008 },
};
const IDLE_MS = 60_000;

function from(name: string): TrailFacts {
  return { ...FACTS, sourceWorkload: workloadOf({ name, uid: name, addresses: [] }) };
}

describe('the series of a workload', () => {
  function setUp() {
    const clock = new ManualClock();
    const metrics = new Metrics();
    const trails = new Trails({ log: memoryLog().log, clock, metrics }, { seriesIdleMs: IDLE_MS });
    const opened = async (): Promise<string[]> =>
      (await metrics.text())
        .split('\n')
        .filter((line) => line.startsWith('istio_tcp_connections_opened_total{'))
        .map((line) => `${/source_workload="([^"]*)"/.exec(line)?.[1]} ${line.split(' ').at(-1)}`);
    return { clock, trails, opened, metrics };
  }

  test('goes when nobody has used it for long, and not while a connection is open', async () => {
    const { clock, trails, opened } = setUp();
    const open = trails.begin(from('lives'));
    open.established();
    trails.begin(from('gone')).end();
    assert.deepEqual(await opened(), ['lives 1', 'gone 1']);
    await clock.advance(IDLE_MS);
    assert.deepEqual(await opened(), ['lives 1', 'gone 1']);
    await clock.advance(1);
    assert.deepEqual(await opened(), ['lives 1']);
    await clock.advance(100 * IDLE_MS);
    trails.begin(from('lives')).end();
    assert.deepEqual(await opened(), ['lives 2'], 'a counter never falls while it lives');
    open.end();
    await clock.advance(IDLE_MS);
    assert.deepEqual(await opened(), ['lives 2'], 'its time counts from its last end');
    await clock.advance(1);
    assert.deepEqual(await opened(), []);
  });

  test('of failures goes too', async () => {
    const { clock, trails, metrics } = setUp();
    trails.begin(from('x')).end(new MeshError('POLICY_DENIED', 'no'));
    assert.match(await metrics.text(), /response_flags="DENY"/);
    await clock.advance(IDLE_MS + 1);
    assert.doesNotMatch(await metrics.text(), /response_flags="DENY"/);
  });
});

describe('too many series', () => {
  test('the longest unused make room; those with open connections stay', async () => {
    const clock = new ManualClock();
    const series = new TrafficSeries(clock, IDLE_MS);
    const kept = series.cell(from('kept'), '-');
    kept.opened = 1;
    kept.open = 1;
    for (let i = 0; i < 20_000; i++) {
      series.cell(from(`w${i}`), '-').opened = 1;
      if (i % 1000 === 0) await clock.advance(1);
    }
    series.cell(from('newest'), '-').opened = 1;
    const names = [...series.samples(({ opened }) => opened)].map(
      ({ labels }) => labels['source_workload'],
    );
    assert.ok(names.length <= 20_000, `${names.length} series`);
    assert.ok(names.includes('kept') && names.includes('newest') && names.includes('w19999'));
    assert.ok(!names.includes('w0'));
    assert.equal(series.overflowed, 0);
  });

  test('all of them open: what comes is counted without names, and that is told', () => {
    const series = new TrafficSeries(new ManualClock(), IDLE_MS);
    for (let i = 0; i < 20_000; i++) series.cell(from(`w${i}`), '-').open = 1;
    const one = series.cell(from('one-more'), '-');
    one.open = 1;
    assert.equal(one.labels['source_workload'], 'too-many');
    assert.equal(one.labels['reporter'], 'destination');
    assert.equal(series.cell(from('and-another'), '-'), one);
    assert.equal(series.overflowed, 2);
  });
});
