import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { KubeObject } from './object.ts';
import { type Change, Store } from './store.ts';

const object = (name: string, value: number): KubeObject => ({ metadata: { name }, value });

type Step = { name: string; value: number; remove: boolean };
const steps = fc.array(
  fc.record({ name: fc.constantFrom('a', 'b', 'c'), value: fc.nat(9), remove: fc.boolean() }),
  { maxLength: 40 },
);

function run(store: Store, { name, value, remove }: Step): void {
  const old = store.read('b', undefined, name);
  if (old === undefined) store.create('b', object(name, value));
  else if (remove) store.remove('b', old);
  else store.replace('b', old, object(name, value));
}

describe('Store', () => {
  test('every past state that is not forgotten can be listed as it was', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const store = new Store({ historyLimit: 1_000 });
        const states: [number, unknown][] = [];
        for (const step of all) {
          run(store, step);
          states.push([store.revision, store.list('b')?.items]);
        }
        for (const [revision, items] of states)
          assert.deepEqual(store.list('b', revision)?.items, items);
      }),
    );
  });

  test('a listener and the history tell the same story', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const store = new Store({ historyLimit: 1_000 });
        const heard: Change[] = [];
        store.subscribe('b', (change) => heard.push(change));
        for (const step of all) run(store, step);
        assert.deepEqual(store.changesSince('b', 0), heard);
        const half = heard[Math.floor(heard.length / 2)];
        if (half !== undefined) {
          const later = heard.filter(({ revision }) => revision > half.revision);
          assert.deepEqual(store.changesSince('b', half.revision), later);
        }
      }),
    );
  });

  test('forgets the oldest changes, and says so', () => {
    const store = new Store({ historyLimit: 4 });
    for (let value = 0; value < 20; value += 1) run(store, { name: 'a', value, remove: false });
    assert.equal(store.changesSince('b', 1), undefined);
    assert.equal(store.list('b', 2), undefined);
    assert.ok((store.changesSince('b', store.oldest('b'))?.length ?? 0) >= 4);
  });

  test('revisions grow across buckets', () => {
    const store = new Store();
    const one = store.create('x', object('a', 1));
    const two = store.create('y', object('a', 1));
    assert.ok(Number(two.metadata.resourceVersion) > Number(one.metadata.resourceVersion));
  });
});
