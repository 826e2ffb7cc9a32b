// Trails: one line and one count a connection, whatever happens to it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { identityOf, memoryLog, workloadOf } from './test-support/world.ts';
import { type TrailFacts, Trails } from './trail.ts';

const CLIENT = { name: 'client', uid: 'c', addresses: ['10.0.0.1'] };
const FACTS: TrailFacts = {
  direction: 'inbound',
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  destination: { ip: parseIp('fd00::2'), port: 15008 },
};

function setUp() {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { log, lines } = memoryLog();
  const trails = new Trails({ log, clock, metrics });
  const value = async (name: string): Promise<number[]> =>
    (await metrics.text())
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`))
      .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
  return { clock, trails, lines, value, metrics };
}

describe('Trails', () => {
  test('count bytes of open connections at each scrape, once', async () => {
    const { trails, value } = setUp();
    const trail = trails.begin(FACTS);
    trail.established();
    trail.counts.sent = 10;
    trail.counts.received = 3;
    assert.deepEqual(await value('istio_tcp_received_bytes_total'), [10]);
    assert.deepEqual(await value('istio_tcp_received_bytes_total'), [10]);
    trail.counts.sent = 15;
    trail.end();
    assert.deepEqual(await value('istio_tcp_received_bytes_total'), [15]);
    assert.deepEqual(await value('istio_tcp_sent_bytes_total'), [3]);
    assert.deepEqual(await value('istio_tcp_connections_opened_total'), [1]);
    assert.deepEqual(await value('istio_tcp_connections_closed_total'), [1]);
    assert.deepEqual(await value('istio_tcp_connections_failed_total'), []);
  });

  test('end once: what fails while closing changes nothing', async () => {
    const { trails, lines, value } = setUp();
    const trail = trails.begin(FACTS);
    trail.end(new MeshError('POLICY_DENIED', 'explicitly denied by: a/b'));
    trail.end(new Error('later'));
    trail.end();
    const done = lines.filter((line) => line['message'] === 'connection complete');
    assert.equal(done.length, 1);
    assert.equal(done[0]?.['level'], 'error');
    assert.equal(done[0]?.['error'], 'explicitly denied by: a/b');
    assert.deepEqual(await value('istio_tcp_connections_failed_total'), [1]);
    assert.deepEqual(await value('istio_tcp_sockets_open'), [0, 0]);
  });

  test('name a fault nobody foresaw INTERNAL', () => {
    const { trails, lines } = setUp();
    trails.begin(FACTS).end(new TypeError('x is undefined'));
    assert.equal(lines.at(-1)?.['flag'], 'INTERNAL');
  });

  test('say mutual_tls only when both ends are proven', async () => {
    const { trails, metrics } = setUp();
    const proven = { sourceIdentity: identityOf(CLIENT), destinationIdentity: identityOf(CLIENT) };
    trails.begin({ ...FACTS, ...proven }).end();
    trails.begin({ ...FACTS, sourceWorkload: workloadOf(CLIENT) }).end();
    const lines = (await metrics.text()).split('\n');
    const opened = lines.filter((line) => line.startsWith('istio_tcp_connections_opened_total{'));
    assert.equal(opened.length, 2);
    assert.match(opened[0] ?? '', /connection_security_policy="mutual_tls"/);
    assert.match(opened[1] ?? '', /source_workload="client".*connection_security_policy="unknown"/);
  });

  test('write the bytes as the reporting side sees them, and the time in milliseconds', async () => {
    const { clock, trails, lines } = setUp();
    for (const direction of ['inbound', 'outbound'] as const) {
      const trail = trails.begin({ ...FACTS, direction });
      trail.counts.sent = 1;
      trail.counts.received = 2;
      await clock.advance(123);
      trail.end();
    }
    const sent = lines.map((line) => [line['bytes_sent'], line['bytes_recv']]);
    assert.deepEqual(sent, [
      [2, 1],
      [1, 2],
    ]);
    assert.equal(lines[0]?.['duration'], '123ms');
    assert.equal(lines[0]?.['dst.addr'], '[fd00::2]:15008');
  });
});
