// OverheadBudget: who carries something is never cut, who carries nothing is.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  OVERHEAD_BURST_BYTES,
  OVERHEAD_BYTES_PER_SECOND,
  OverheadBudget,
  type Sample,
} from './overhead.ts';

const START: Sample = { read: 0, written: 0, bytes: 0, chunks: 0, streams: 0, unread: 0 };

describe('OverheadBudget', () => {
  test('bears any honest traffic for any time (property)', () => {
    const second = fc.record({
      // DATA frames of one to 16 KiB, each in a TLS record of its own
      frames: fc.nat(100_000),
      size: fc.integer({ min: 1, max: 16_384 }),
      streams: fc.nat(2000),
      sent: fc.nat(1_000_000_000),
      pings: fc.nat(10),
    });
    fc.assert(
      fc.property(fc.array(second, { maxLength: 50 }), (seconds) => {
        const budget = new OverheadBudget();
        let total = START;
        for (const { frames, size, streams, sent, pings } of seconds) {
          const updates = Math.floor(sent / 8192) * 2;
          total = {
            read: total.read + frames * (size + 31) + streams * 600 + updates * 35 + pings * 39,
            written: total.written + sent,
            bytes: total.bytes + frames * size,
            chunks: total.chunks + frames,
            streams: total.streams + streams,
            unread: total.unread,
          };
          assert.equal(budget.spend(total, 1000), true);
        }
      }),
    );
  });

  test('ends for whoever spends faster than it fills, after the burst (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 1000 }), (times) => {
        const budget = new OverheadBudget();
        let seconds = 0;
        let read = 0;
        do {
          seconds++;
          read += times * OVERHEAD_BYTES_PER_SECOND;
        } while (budget.spend({ ...START, read }, 1000));
        const bearable = OVERHEAD_BURST_BYTES / ((times - 1) * OVERHEAD_BYTES_PER_SECOND);
        assert.ok(seconds <= Math.ceil(bearable) + 1, `${seconds} s`);
      }),
    );
  });

  test('saves nothing up: payload of one second does not pay for the next one’s flood', () => {
    const budget = new OverheadBudget();
    assert.equal(budget.spend({ ...START, read: 1000, chunks: 1_000_000 }, 1000), true);
    const read = 1000 + 2 * OVERHEAD_BURST_BYTES;
    assert.equal(budget.spend({ ...START, read, chunks: 1_000_000 }, 1000), false);
  });

  test('bears what was on its way when streams were cut, in the same second or the next, once', () => {
    const window = 16 * 1024 * 1024;
    const cut = { ...START, unread: 4 };
    for (const before of [0, 1]) {
      const budget = new OverheadBudget();
      for (let i = 0; i < before; i++) assert.equal(budget.spend(cut, 1000), true);
      assert.equal(budget.spend({ ...cut, read: window }, 1000), true);
    }
    const budget = new OverheadBudget();
    for (let i = 0; i < 2; i++) budget.spend(cut, 1000);
    assert.equal(budget.spend({ ...cut, read: window }, 1000), false);
  });
});
