import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { SharedMap } from './shared-map.ts';

const KEY = fc.constantFrom(
  '',
  ...Array.from({ length: 20 }, (_, index) => `k//Pod/shop/web-${index}`),
  '__proto__',
);
const STEP = fc.oneof(
  fc.record({ verb: fc.constant('set' as const), key: KEY, value: fc.nat(9) }),
  fc.record({ verb: fc.constant('delete' as const), key: KEY }),
);

function contentOf(map: SharedMap<number>, keys: Iterable<string>): Record<string, unknown> {
  return {
    size: map.size,
    values: [...map.values()].sort((a, b) => a - b),
    entries: [...keys].map((key) => map.get(key)),
  };
}

describe('SharedMap', () => {
  test('after any batches it holds what a Map would, and every older map what it held', () => {
    fc.assert(
      fc.property(fc.array(fc.array(STEP, { maxLength: 10 }), { maxLength: 10 }), (batches) => {
        const model = new Map<string, number>();
        const keys = ['', 'k//Pod/shop/web-0', 'k//Pod/shop/web-7', '__proto__', 'missing'];
        const kept: [SharedMap<number>, Record<string, unknown>][] = [];
        let map: SharedMap<number> = SharedMap.empty;
        for (const batch of batches) {
          const change = map.change();
          for (const step of batch) {
            if (step.verb === 'set') {
              change.set(step.key, step.value);
              model.set(step.key, step.value);
            } else {
              change.delete(step.key);
              model.delete(step.key);
            }
            assert.equal(change.get(step.key), model.get(step.key));
          }
          map = change.done();
          assert.equal(map.size, model.size);
          assert.deepEqual(
            [...map.values()].sort((a, b) => a - b),
            [...model.values()].sort((a, b) => a - b),
          );
          for (const key of keys) assert.equal(map.get(key), model.get(key));
          kept.push([map, contentOf(map, keys)]);
        }
        for (const [old, content] of kept) assert.deepEqual(contentOf(old, keys), content);
      }),
    );
  });

  test('a batch that changes nothing gives the same map', () => {
    const change = SharedMap.empty.change();
    change.delete('missing');
    assert.equal(change.done(), SharedMap.empty);
  });
});
