import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { IdleStreams, STREAM_IDLE_MS, type Stillness } from './idle-streams.ts';

class Still implements Stillness {
  bytes = 0;
  readonly cut: number[] = [];
  readonly #limitMs: number | undefined;

  constructor(limitMs?: number) {
    this.#limitMs = limitMs;
  }

  moved(): number {
    return this.bytes;
  }

  limitMs({ streamMs }: { streamMs: number }): number {
    return this.#limitMs ?? streamMs;
  }

  idle(afterMs: number): void {
    this.cut.push(afterMs);
  }
}

describe('a stream in which nothing moves', () => {
  test('is cut once, after its limit and a sweep at most', async () => {
    const clock = new ManualClock();
    const still = new Still();
    new IdleStreams({ clock }).watch(still);
    await clock.advance(STREAM_IDLE_MS - 1);
    assert.deepEqual(still.cut, []);
    await clock.advance(5001);
    assert.deepEqual(still.cut, [STREAM_IDLE_MS]);
    await clock.advance(2 * STREAM_IDLE_MS);
    assert.equal(still.cut.length, 1);
  });

  test('begins anew with each byte', async () => {
    const clock = new ManualClock();
    const still = new Still();
    new IdleStreams({ clock }).watch(still);
    for (let i = 0; i < 10; i++) {
      await clock.advance(STREAM_IDLE_MS - 10_000);
      still.bytes++;
    }
    assert.deepEqual(still.cut, []);
  });

  test('is left alone where there is no limit, and when it has ended', async () => {
    const clock = new ManualClock();
    const streams = new IdleStreams({ clock }, { streamMs: 0 });
    const unlimited = new Still();
    streams.watch(unlimited);
    const ended = new Still(1000);
    streams.watch(ended)[Symbol.dispose]();
    await clock.advance(10 * STREAM_IDLE_MS);
    assert.deepEqual([unlimited.cut, ended.cut], [[], []]);
  });

  test('costs no timer while there is none', async () => {
    const clock = new ManualClock();
    const streams = new IdleStreams({ clock });
    const watch = streams.watch(new Still());
    streams.watch(new Still())[Symbol.dispose]();
    assert.equal(clock.pending(), 1);
    watch[Symbol.dispose]();
    await clock.advance(5000);
    assert.equal(clock.pending(), 0);
  });
});
