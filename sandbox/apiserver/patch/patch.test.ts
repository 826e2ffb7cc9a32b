import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { deepEqual } from '../equal.ts';
import { keyedList, list, object, type Schema, setOf, text } from '../schema.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicPatch } from './strategic.ts';

describe('applyJsonPatch()', () => {
  const cases = [
    ['adds a member', { a: 1 }, [{ op: 'add', path: '/b', value: 2 }], { a: 1, b: 2 }],
    [
      'adds an item before another',
      { a: [1, 3] },
      [{ op: 'add', path: '/a/1', value: 2 }],
      { a: [1, 2, 3] },
    ],
    ['appends with -', { a: [1] }, [{ op: 'add', path: '/a/-', value: 2 }], { a: [1, 2] }],
    ['removes a member', { a: 1, b: 2 }, [{ op: 'remove', path: '/b' }], { a: 1 }],
    ['removes an item', { a: [1, 2, 3] }, [{ op: 'remove', path: '/a/1' }], { a: [1, 3] }],
    [
      'replaces an item in place',
      { a: [1, 2] },
      [{ op: 'replace', path: '/a/0', value: 9 }],
      { a: [9, 2] },
    ],
    [
      'moves',
      { a: { b: 1 }, c: {} },
      [{ op: 'move', from: '/a/b', path: '/c/d' }],
      { a: {}, c: { d: 1 } },
    ],
    ['copies', { a: [1] }, [{ op: 'copy', from: '/a', path: '/b' }], { a: [1], b: [1] }],
    [
      'unescapes ~1 and ~0',
      { 'a/b': 1, 'c~d': 2 },
      [
        { op: 'remove', path: '/a~1b' },
        { op: 'remove', path: '/c~0d' },
      ],
      {},
    ],
    [
      'tests deeply',
      { a: { b: [1] } },
      [{ op: 'test', path: '/a', value: { b: [1] } }],
      { a: { b: [1] } },
    ],
    ['replaces the whole', { a: 1 }, [{ op: 'replace', path: '', value: 5 }], 5],
  ] as const;
  for (const [name, target, patch, result] of cases) {
    test(name, () => {
      const before = structuredClone(target);
      assert.deepEqual(applyJsonPatch(target, patch), result);
      assert.deepEqual(target, before, 'the input is not edited');
    });
  }

  const refused = [
    ['a missing path', { a: 1 }, [{ op: 'remove', path: '/b' }]],
    ['an index out of range', { a: [1] }, [{ op: 'add', path: '/a/5', value: 1 }]],
    ['a leading zero', { a: [1, 2] }, [{ op: 'remove', path: '/a/01' }]],
    ['a failed test', { a: 1 }, [{ op: 'test', path: '/a', value: 2 }]],
    ['a move into itself', { a: { b: 1 } }, [{ op: 'move', from: '/a', path: '/a/b/c' }]],
    ['an unknown operation', {}, [{ op: 'frobnicate', path: '/a' }]],
    ['a path without a slash', {}, [{ op: 'add', path: 'a', value: 1 }]],
    ['no value', {}, [{ op: 'add', path: '/a' }]],
    ['no list', {}, { op: 'add' }],
  ] as const;
  for (const [name, target, patch] of refused) {
    test(`refuses ${name}`, () => assert.throws(() => applyJsonPatch(target, patch), /./));
  }

  test('a member called __proto__ is a member', () => {
    const result = applyJsonPatch({}, [{ op: 'add', path: '/__proto__', value: { evil: 1 } }]);
    assert.ok(Object.hasOwn(result as object, '__proto__'));
    assert.equal(({} as { evil?: number }).evil, undefined);
  });
});

describe('applyMergePatch()', () => {
  test('the examples of RFC 7386', () => {
    const examples: [unknown, unknown, unknown][] = [
      [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
      [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
      [{ a: 'b' }, { a: null }, {}],
      [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
      [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
      [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
      [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
      [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
      [
        ['a', 'b'],
        ['c', 'd'],
        ['c', 'd'],
      ],
      [{ a: 'b' }, ['c'], ['c']],
      [{ e: null }, { a: 1 }, { e: null, a: 1 }],
      [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
    ];
    for (const [target, patch, result] of examples) {
      assert.deepEqual(applyMergePatch(target, patch), result);
    }
  });

  test('is idempotent, and touches only what the patch names', () => {
    const json = fc.dictionary(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }), {
      maxKeys: 4,
    });
    fc.assert(
      fc.property(json, json, (target, patch) => {
        const once = applyMergePatch(target, patch) as Record<string, unknown>;
        assert.ok(deepEqual(applyMergePatch(once, patch), once));
        for (const key of Object.keys(target)) {
          if (!Object.hasOwn(patch, key)) assert.ok(deepEqual(once[key], target[key]));
        }
      }),
    );
  });
});

describe('applyStrategicPatch()', () => {
  const item = object({
    name: text(),
    image: text(),
    env: keyedList(['name'], object({ name: text(), value: text() })),
  });
  const schema: Schema = object({
    containers: keyedList(['name'], item),
    finalizers: setOf(text()),
    args: list(text()),
    strategy: object({ type: text(), rollingUpdate: object({ max: text() }) }),
  });
  const cases = [
    [
      'merges items by key and keeps the others',
      {
        containers: [
          { name: 'a', image: '1' },
          { name: 'b', image: '1' },
        ],
      },
      { containers: [{ name: 'b', image: '2' }] },
      {
        containers: [
          { name: 'a', image: '1' },
          { name: 'b', image: '2' },
        ],
      },
    ],
    [
      'adds items with a new key',
      { containers: [{ name: 'a' }] },
      { containers: [{ name: 'c', env: [{ name: 'X', value: '1' }] }] },
      { containers: [{ name: 'a' }, { name: 'c', env: [{ name: 'X', value: '1' }] }] },
    ],
    [
      'deletes an item with $patch: delete',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      { containers: [{ $patch: 'delete', name: 'a' }] },
      { containers: [{ name: 'b' }] },
    ],
    [
      'replaces a list with $patch: replace',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      { containers: [{ name: 'c' }, { $patch: 'replace' }] },
      { containers: [{ name: 'c' }] },
    ],
    [
      'replaces an object with $patch: replace',
      { strategy: { type: 'a', rollingUpdate: { max: '1' } } },
      { strategy: { $patch: 'replace', type: 'b' } },
      { strategy: { type: 'b' } },
    ],
    ['a list without a key is replaced', { args: ['a', 'b'] }, { args: ['c'] }, { args: ['c'] }],
    ['a set grows', { finalizers: ['a'] }, { finalizers: ['a', 'b'] }, { finalizers: ['a', 'b'] }],
    [
      '$deleteFromPrimitiveList takes values out',
      { finalizers: ['a', 'b'] },
      { '$deleteFromPrimitiveList/finalizers': ['a'] },
      { finalizers: ['b'] },
    ],
    [
      '$setElementOrder orders the items it names',
      { containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] },
      {
        '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
        containers: [{ name: 'a', image: '1' }],
      },
      { containers: [{ name: 'c' }, { name: 'b' }, { name: 'a', image: '1' }] },
    ],
    [
      '$retainKeys drops the others',
      { strategy: { type: 'a', rollingUpdate: { max: '1' } } },
      { strategy: { $retainKeys: ['type'], type: 'Recreate' } },
      { strategy: { type: 'Recreate' } },
    ],
    ['null removes', { args: ['a'], containers: [] }, { args: null }, { containers: [] }],
  ] as const;
  for (const [name, target, patch, result] of cases) {
    test(name, () => {
      const before = structuredClone(target);
      assert.deepEqual(applyStrategicPatch(target, patch, schema), result);
      assert.deepEqual(target, before, 'the input is not edited');
    });
  }

  test('an item without its key and an unknown directive are refused', () => {
    assert.throws(
      () => applyStrategicPatch({}, { containers: [{ image: 'x' }] }, schema),
      /merge key: name/,
    );
    assert.throws(
      () => applyStrategicPatch({}, { $patch: 'invert' }, schema),
      /unknown patch directive/,
    );
  });
});
