// The gate's promise: never more at once, never more waiting, and every place is handed on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Gate } from './gate.ts';

describe('Gate', () => {
  test('runs so many, lets so many wait, turns the rest away, and hands places on', async () => {
    const gate = new Gate({ maxRunning: 2, maxWaiting: 1 });
    const ends = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const started: number[] = [];
    const tasks = ends.map(({ promise }, index) =>
      gate.pass(async () => {
        started.push(index);
        await promise;
      }),
    );
    assert.deepEqual([gate.running, gate.waiting], [2, 1]);
    await assert.rejects(
      gate.pass(async () => {}),
      { name: 'GateFullError' },
    );
    ends[0]!.resolve();
    await tasks[0];
    assert.deepEqual([started, gate.running, gate.waiting], [[0, 1, 2], 2, 0]);
    ends[1]!.resolve();
    ends[2]!.resolve();
    await Promise.all(tasks);
    assert.equal(gate.running, 0);
  });

  test('a task that fails gives its place back', async () => {
    const gate = new Gate({ maxRunning: 1, maxWaiting: 0 });
    const failing = gate.pass(async () => {
      throw new Error('failed');
    });
    await assert.rejects(failing, /failed/);
    assert.equal(await gate.pass(async () => 7), 7);
  });
});
