// HandshakeGate: bounded, a few a turn, first come first served.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HandshakeGate } from './handshake-gate.ts';

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('HandshakeGate', () => {
  test('begins at once while nobody waits', () => {
    const gate = new HandshakeGate();
    let begun = false;
    gate.enter(() => {
      begun = true;
    });
    assert.equal(begun, true);
  });

  test('begins five a turn, in the order they came', async () => {
    const gate = new HandshakeGate();
    const begun: number[] = [];
    for (let i = 0; i < 12; i++) gate.enter(() => begun.push(i));
    const progress = [begun.length];
    for (let i = 0; i < 3; i++) {
      await nextTurn();
      progress.push(begun.length);
    }
    assert.deepEqual(progress, [5, 10, 12, 12]);
    assert.deepEqual(begun, [...begun.keys()]);
  });

  test('lets nobody in beyond its limit until somebody leaves, however often that one says so', () => {
    const gate = new HandshakeGate({ limit: 2 });
    const leave = gate.enter(() => {});
    gate.enter(() => {});
    assert.equal(
      gate.enter(() => assert.fail('began')),
      undefined,
    );
    leave?.();
    leave?.();
    assert.equal(gate.inside, 1);
    assert.notEqual(
      gate.enter(() => {}),
      undefined,
    );
    assert.equal(
      gate.enter(() => {}),
      undefined,
    );
  });
});
