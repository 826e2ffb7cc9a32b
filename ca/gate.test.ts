// The gate's promise: never more at once, never more waiting, and every place is handed on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Gate } from './gate.ts';

const never = new AbortController().signal;

describe('Gate', () => {
  test('runs so many, lets so many wait, turns the rest away, and hands places on', async () => {
    const gate = new Gate({ maxRunning: 2, maxWaiting: 1 });
    const ends = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const started: number[] = [];
    const tasks = ends.map(({ promise }, index) =>
      gate.pass(async () => {
        started.push(index);
        await promise;
      }, never),
    );
    assert.deepEqual([gate.running, gate.waiting], [2, 1]);
    await assert.rejects(
      gate.pass(async () => {}, never),
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

  test('a caller that goes while it waits leaves its place in the queue to others', async () => {
    const gate = new Gate({ maxRunning: 1, maxWaiting: 1 });
    const busy = Promise.withResolvers<void>();
    const first = gate.pass(() => busy.promise, never);
    const gone = new AbortController();
    const second = gate.pass(async () => assert.fail('nobody waits for it'), gone.signal);
    gone.abort(new Error('gone'));
    await assert.rejects(second, /gone/);
    const third = gate.pass(async () => 3, never);
    busy.resolve();
    await first;
    assert.equal(await third, 3);
    assert.deepEqual([gate.running, gate.waiting], [0, 0]);
    await assert.rejects(
      gate.pass(async () => 4, gone.signal),
      /gone/,
    );
  });

  test('a task that fails gives its place back', async () => {
    const gate = new Gate({ maxRunning: 1, maxWaiting: 0 });
    const failing = gate.pass(async () => {
      throw new Error('failed');
    }, never);
    await assert.rejects(failing, /failed/);
    assert.equal(await gate.pass(async () => 7, never), 7);
  });
});
