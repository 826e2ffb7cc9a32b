import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ConnectionLimits } from '../../mesh/traffic-policy.ts';
import { Circuit } from './circuit.ts';
import type { Release } from './release.ts';

const LIMITS: ConnectionLimits = {
  maxConnections: 1,
  maxPendingRequests: 2,
  maxRequests: 3,
  maxConcurrentRetries: 4,
  maxRequestsPerConnection: 0,
};
const DOORS = ['connection', 'pending', 'request', 'retry'] as const;
const NAMES = {
  connection: 'maxConnections',
  pending: 'maxPendingRequests',
  request: 'maxRequests',
  retry: 'maxConcurrentRetries',
} as const;

describe('a circuit', () => {
  for (const door of DOORS) {
    test(`refuses a ${door} beyond its limit, by the limit's name, and no other`, () => {
      const circuit = new Circuit(LIMITS);
      const name = NAMES[door];
      for (let i = 0; i < LIMITS[name]; i++) assert.ok(circuit[door]().admitted);
      assert.deepEqual(circuit[door](), { admitted: false, limit: name });
      for (const other of DOORS) if (other !== door) assert.ok(circuit[other]().admitted);
    });
  }

  test('has a place again when one is released, once', () => {
    const circuit = new Circuit(LIMITS);
    const first = circuit.connection();
    assert.ok(first.admitted);
    first.release();
    first.release();
    assert.equal(circuit.taken().maxConnections, 0);
    assert.ok(circuit.connection().admitted);
    assert.ok(!circuit.connection().admitted);
  });

  test('of a limit of 0 admits nobody', () => {
    assert.ok(!new Circuit({ ...LIMITS, maxConcurrentRetries: 0 }).retry().admitted);
  });

  test('keeps what is taken when its limits change', () => {
    const circuit = new Circuit(LIMITS);
    for (let i = 0; i < 3; i++) circuit.request();
    circuit.update({ ...LIMITS, maxRequests: 4 });
    assert.ok(circuit.request().admitted);
    assert.ok(!circuit.request().admitted);
  });

  test('tells how often a connection serves; 0 is without end', () => {
    assert.ok(new Circuit(LIMITS).mayReuse(1_000_000));
    const circuit = new Circuit({ ...LIMITS, maxRequestsPerConnection: 2 });
    assert.deepEqual(
      [0, 1, 2, 3].map((served) => circuit.mayReuse(served)),
      [true, true, false, false],
    );
  });

  test('counts what is taken and not released, whatever the order', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...DOORS), fc.boolean()), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (all) => {
        const circuit = new Circuit(LIMITS);
        const held: Record<string, Release[]> = {};
        for (const [door, takes] of all) {
          const mine = (held[door] ??= []);
          if (!takes) mine.pop()?.();
          else {
            const answer = circuit[door]();
            assert.equal(answer.admitted, mine.length < LIMITS[NAMES[door]]);
            if (answer.admitted) mine.push(answer.release);
          }
          assert.equal(circuit.taken()[NAMES[door]], mine.length);
        }
      }),
    );
  });
});
