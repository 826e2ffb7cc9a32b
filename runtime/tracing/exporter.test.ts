import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeSpans, type SpanRecord } from '../../wire/otlp.ts';
import { createLog } from '../log.ts';
import { ManualClock } from '../manual-clock.ts';
import { Metrics } from '../metrics.ts';
import { BATCH_MS, BATCH_SPANS, MAX_QUEUED_SPANS, SpanExporter } from './exporter.ts';
import type { PostAnswer } from './post.ts';

const SPAN: SpanRecord = {
  context: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), sampled: true, state: '' },
  parentSpanId: undefined,
  name: 'x',
  kind: 'server',
  startMs: 1,
  endMs: 2,
  attributes: {},
  failure: undefined,
  link: undefined,
};
const OK: PostAnswer = { status: 200, retryAfterMs: undefined, body: new Uint8Array() };

function setUp(answer: (tries: number) => PostAnswer | Promise<PostAnswer> = () => OK) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const lines: string[] = [];
  const log = createLog({ component: 'test', write: (line) => void lines.push(line) });
  const posts: number[] = [];
  const exporter = new SpanExporter(
    {
      clock,
      log,
      metrics,
      random: () => 0.5,
      async post(body, signal) {
        signal.throwIfAborted();
        posts.push(decodeSpans(body).flatMap(({ spans }) => spans).length);
        return answer(posts.length);
      },
    },
    { resource: { 'service.name': 'test' } },
  );
  const counted = async (): Promise<string[]> =>
    (await metrics.text())
      .split('\n')
      .filter((line) => /^ambit_trace_spans_(exported|dropped)/.test(line) && !line.endsWith(' 0'))
      .map((line) => line.replace('ambit_trace_spans_', '').replace('_total', ''));
  const add = (n: number): void => {
    for (let i = 0; i < n; i++) exporter.add(SPAN);
  };
  return { clock, exporter, posts, lines, counted, add };
}

describe('the exporter', () => {
  test('gathers what ends within some seconds into one post', async () => {
    const { clock, add, posts, counted } = setUp();
    add(1);
    await clock.advance(BATCH_MS - 1);
    add(2);
    assert.deepEqual(posts, []);
    await clock.advance(1);
    assert.deepEqual(posts, [3]);
    assert.deepEqual(await counted(), ['exported 3']);
    assert.equal(clock.pending(), 0, 'nothing waits while there is nothing to send');
  });

  test('sends a full batch at once, and one at a time', async () => {
    const gate = Promise.withResolvers<PostAnswer>();
    const { clock, add, posts } = setUp(() => gate.promise);
    add(2 * BATCH_SPANS + 1);
    await clock.advance(0);
    assert.deepEqual(posts, [BATCH_SPANS]);
    gate.resolve(OK);
    await clock.advance(BATCH_MS);
    assert.deepEqual(posts, [BATCH_SPANS, BATCH_SPANS, 1]);
  });

  test('drops and counts what does not fit the queue, and goes on', async () => {
    const gate = Promise.withResolvers<PostAnswer>();
    const { clock, add, counted } = setUp(() => gate.promise);
    add(BATCH_SPANS + MAX_QUEUED_SPANS + 7);
    assert.deepEqual(await counted(), ['dropped{reason="queue_full"} 7']);
    gate.resolve(OK);
    await clock.advance(BATCH_MS);
    assert.ok((await counted()).includes(`exported ${BATCH_SPANS + MAX_QUEUED_SPANS}`));
  });

  test('tries again what a collector cannot take now, and counts it once it arrives', async () => {
    const busy = { ...OK, status: 503, retryAfterMs: 30_000 };
    const { clock, add, posts, counted, lines } = setUp((tries) => (tries < 3 ? busy : OK));
    add(1);
    await clock.advance(BATCH_MS);
    assert.equal(posts.length, 1);
    await clock.advance(29_999);
    assert.equal(posts.length, 1, 'it asked for 30 s');
    await clock.advance(30_001);
    assert.equal(posts.length, 3);
    assert.deepEqual(await counted(), ['exported 1']);
    assert.deepEqual(lines, []);
  });

  test('gives a batch up after some tries, says so once, and says when it is over', async () => {
    let up = false;
    const { clock, add, counted, lines } = setUp(() => {
      if (up) return OK;
      throw new Error('fetch failed', { cause: new Error('ECONNREFUSED') });
    });
    for (let batch = 0; batch < 2; batch++) {
      add(1);
      await clock.advance(120_000);
    }
    assert.deepEqual(await counted(), ['dropped{reason="unreachable"} 2']);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /ECONNREFUSED/);
    up = true;
    add(1);
    await clock.advance(BATCH_MS);
    assert.match(lines[1] ?? '', /again/);
  });

  test('does not send twice what a collector refuses', async () => {
    const { clock, add, posts, counted } = setUp(() => ({ ...OK, status: 400 }));
    add(1);
    await clock.advance(120_000);
    assert.equal(posts.length, 1);
    assert.deepEqual(await counted(), ['dropped{reason="refused"} 1']);
  });

  test('counts the spans that a collector left out of a batch it took', async () => {
    const body = Buffer.from('0a0708011203626164', 'hex');
    const { clock, add, counted } = setUp(() => ({ ...OK, body }));
    add(3);
    await clock.advance(BATCH_MS);
    assert.deepEqual(await counted(), ['exported 2', 'dropped{reason="rejected"} 1']);
  });

  test('counts a post without an answer as failed', async () => {
    const { clock, add, counted } = setUp(
      () => new Promise((_, reject) => void clock.timer(10_000, () => reject(new Error('late')))),
    );
    add(1);
    await clock.advance(200_000);
    assert.deepEqual(await counted(), ['dropped{reason="unreachable"} 1']);
  });

  test('sends what is left when the process ends', async () => {
    const { exporter, add, posts, counted, clock } = setUp();
    add(3);
    await exporter.close();
    assert.deepEqual(posts, [3]);
    add(1);
    assert.deepEqual(await counted(), ['exported 3', 'dropped{reason="closing"} 1']);
    assert.equal(clock.pending(), 0);
  });

  test('does not keep the end waiting for a collector that is away', async () => {
    const { exporter, add, counted, clock } = setUp(() => ({ ...OK, status: 503 }));
    add(BATCH_SPANS + 1);
    const closed = exporter.close();
    await clock.advance(3000);
    await closed;
    assert.deepEqual(await counted(), [`dropped{reason="closing"} ${BATCH_SPANS + 1}`]);
  });
});
