// overlay(): a patch that says nothing changes nothing, one that says something changes that and no more.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { overlay, type Tree } from './overlay.ts';

const CONTAINER = { name: 'proxy', image: 'a', env: [{ name: 'A', value: '1' }] };
const BASE = {
  spec: {
    replicas: 2,
    template: {
      spec: {
        containers: [CONTAINER],
        tolerations: [{ key: 'a', operator: 'Exists' }],
        ports: [{ port: 80, name: 'http' }],
      },
    },
  },
};
const podSpec = (patch: Tree): Tree =>
  (overlay(BASE, { spec: { template: { spec: patch } } }) as typeof BASE).spec.template.spec;

describe('overlay()', () => {
  test('sets and takes away fields, and leaves the rest', () => {
    assert.deepEqual(overlay({ a: 1, b: { c: 2, d: 3 } }, { b: { c: 4 }, e: 5 }), {
      a: 1,
      b: { c: 4, d: 3 },
      e: 5,
    });
    assert.deepEqual(overlay({ a: 1, b: 2 }, { a: null }), { b: 2 });
  });

  test('merges containers and their variables by name', () => {
    const patch = {
      containers: [
        {
          name: 'proxy',
          env: [
            { name: 'B', value: '2' },
            { name: 'A', value: '0' },
          ],
        },
        { name: 'side', image: 'b' },
      ],
    };
    assert.deepEqual(podSpec(patch)['containers'], [
      {
        ...CONTAINER,
        env: [
          { name: 'A', value: '0' },
          { name: 'B', value: '2' },
        ],
      },
      { name: 'side', image: 'b' },
    ]);
  });

  test('merges ports by number', () => {
    const ports = [
      { port: 80, nodePort: 30080 },
      { port: 81, name: 'more' },
    ];
    assert.deepEqual(podSpec({ ports })['ports'], [
      { port: 80, name: 'http', nodePort: 30080 },
      { port: 81, name: 'more' },
    ]);
  });

  test('replaces any other list as a whole', () => {
    const tolerations = [{ key: 'b', operator: 'Exists' }];
    assert.deepEqual(podSpec({ tolerations })['tolerations'], tolerations);
  });

  test('takes members of a list away, and replaces an object, where it says so', () => {
    const gone = podSpec({ containers: [{ name: 'proxy', $patch: 'delete' }] });
    assert.deepEqual(gone['containers'], []);
    assert.deepEqual(overlay({ a: { b: 1 } }, { a: { $patch: 'replace', c: 2 } }), { a: { c: 2 } });
  });

  const plain = (value: unknown): boolean => !/null|__proto__|\$patch/.test(JSON.stringify(value));
  const tree = fc
    .dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true })
    .filter(plain) as fc.Arbitrary<Tree>;

  test('an empty patch changes nothing, and twice is once', () => {
    fc.assert(
      fc.property(tree, tree, (base, patch) => {
        assert.deepEqual(overlay(base, {}), base);
        const once = overlay(base, patch);
        assert.deepEqual(overlay(once, patch), once);
      }),
    );
  });
});
