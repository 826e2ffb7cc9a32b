import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Backend } from './route.ts';
import { isMirrored, pickBackend } from './split.ts';
import { backendTo } from './test-routes.ts';

/** Every share of the weights drawn once. */
function drawnEvenly(backends: readonly Backend[], steps: number): ReadonlyMap<Backend, number> {
  const drawn = new Map<Backend, number>();
  for (let step = 0; step < steps; step++) {
    const backend = pickBackend(backends, () => (step + 0.5) / steps);
    assert.ok(backend !== undefined);
    drawn.set(backend, (drawn.get(backend) ?? 0) + 1);
  }
  return drawn;
}

describe('pickBackend()', () => {
  test('each backend takes the share of its weight, one of weight 0 none', () => {
    const backends = [backendTo('v1', 70), backendTo('v2', 30), backendTo('v3', 0)];
    assert.deepEqual([...drawnEvenly(backends, 100).values()], [70, 30]);
  });

  test('an invalid target takes its share', () => {
    const invalid: Backend = {
      target: { kind: 'invalid', why: 'BackendNotFound' },
      weight: 1,
      filters: [],
    };
    assert.equal(drawnEvenly([invalid, backendTo('v1', 3)], 8).get(invalid), 2);
  });

  test('where nothing has a weight there is nothing to pick', () => {
    assert.equal(pickBackend([], Math.random), undefined);
    assert.equal(pickBackend([backendTo('v1', 0), backendTo('v2', 0)], Math.random), undefined);
  });

  test('the highest draw is the last backend with a weight', () => {
    const backends = [backendTo('v1', 0.1), backendTo('v2', 0.2), backendTo('v3', 0)];
    assert.equal(
      pickBackend(backends, () => 1 - Number.EPSILON / 2),
      backends[1],
    );
  });

  test('every backend with a weight is reached, in proportion', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 6 }), (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        fc.pre(total > 0);
        const backends = weights.map((weight, i) => backendTo(`s${i}`, weight));
        const drawn = drawnEvenly(backends, total);
        for (const backend of backends) assert.equal(drawn.get(backend) ?? 0, backend.weight);
      }),
    );
  });
});

describe('isMirrored()', () => {
  const share = (numerator: number, denominator: number): number => {
    let mirrored = 0;
    for (let step = 0; step < 100; step++)
      if (isMirrored({ numerator, denominator }, () => (step + 0.5) / 100)) mirrored++;
    return mirrored;
  };

  test('numerator of denominator requests are mirrored', () => {
    assert.equal(share(20, 100), 20);
    assert.equal(share(25, 50), 50);
    assert.equal(share(1, 1), 100);
    assert.equal(share(0, 100), 0);
  });

  test('of nothing nothing is mirrored', () => {
    assert.equal(share(1, 0), 0);
    assert.equal(share(1, -1), 0);
  });
});
