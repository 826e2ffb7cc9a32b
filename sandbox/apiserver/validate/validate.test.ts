import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../object.ts';
import { integer, keyedList, mapOf, object, type Schema, text } from '../schema.ts';
import { labelValueProblem, nameProblem, qualifiedNameProblem } from './names.ts';
import { validateSchema } from './schema.ts';
import { dropNulls, fillDefaults, pruneUnknown } from './structure.ts';

const SCHEMA: Schema = object({
  spec: object({
    size: text({ default: 's', enum: ['s', 'l'] }),
    count: integer({ default: 1, minimum: 0 }),
    maybe: text({ nullable: true }),
    labels: mapOf(text()),
    items: keyedList(['name'], object({ name: text(), weight: integer({ default: 5 }) }, ['name'])),
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  }),
});

const keys = fc.constantFrom(
  'spec',
  'size',
  'count',
  'maybe',
  'labels',
  'items',
  'free',
  'name',
  'weight',
  'other',
);
const anything = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>('s', 'x', 1, -1, null, true),
    fc.dictionary(keys, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
})).value;
const objects = fc.dictionary(keys, anything, {
  maxKeys: 4,
  noNullPrototype: true,
}) as fc.Arbitrary<JsonObject>;

describe('structure', () => {
  test('what was pruned once has nothing unknown any more', () => {
    fc.assert(
      fc.property(objects, (value) => {
        pruneUnknown(value, SCHEMA);
        assert.deepEqual(pruneUnknown(value, SCHEMA), []);
      }),
    );
  });

  test('unknown fields are named by their path', () => {
    const value = {
      spec: {
        siize: 1,
        items: [{ name: 'a' }, { name: 'b', wait: 1 }],
        free: { x: 1 },
        labels: { y: 'z' },
      },
      top: 1,
    };
    assert.deepEqual(pruneUnknown(value, SCHEMA).sort(), [
      'spec.items[1].wait',
      'spec.siize',
      'top',
    ]);
  });

  test('defaults are filled in once, and stay', () => {
    fc.assert(
      fc.property(objects, (value) => {
        fillDefaults(value, SCHEMA);
        const once = structuredClone(value);
        fillDefaults(value, SCHEMA);
        assert.deepEqual(value, once);
      }),
    );
  });

  test('a default is given where the parent is there, also for a null that may not be', () => {
    const value = { spec: { count: null, maybe: null, items: [{ name: 'a' }] } };
    fillDefaults(value, SCHEMA);
    assert.deepEqual(value, {
      spec: { size: 's', count: 1, maybe: null, items: [{ name: 'a', weight: 5 }] },
    });
    const empty = {};
    fillDefaults(empty, SCHEMA);
    assert.deepEqual(empty, {});
  });

  test('nulls go where null is no value', () => {
    const value = { spec: { size: null, maybe: null, labels: { a: null, b: 'c' } } };
    dropNulls(value, SCHEMA);
    assert.deepEqual(value, { spec: { maybe: null, labels: { b: 'c' } } });
  });
});

describe('validateSchema()', () => {
  test('whatever comes, it answers with errors that name a field', () => {
    fc.assert(
      fc.property(anything, (value) => {
        for (const { field, message } of validateSchema(value, SCHEMA)) {
          assert.equal(typeof field, 'string');
          assert.ok(message.length > 0);
        }
      }),
    );
  });

  const combinations: [string, Schema, unknown, boolean][] = [
    ['anyOf takes either', { anyOf: [{ required: ['a'] }, { required: ['b'] }] }, { b: 1 }, true],
    ['anyOf wants one', { anyOf: [{ required: ['a'] }, { required: ['b'] }] }, {}, false],
    [
      'oneOf refuses both',
      { oneOf: [{ required: ['a'] }, { required: ['b'] }] },
      { a: 1, b: 1 },
      false,
    ],
    ['not refuses', { not: { required: ['a'] } }, { a: 1 }, false],
    ['allOf wants all', { allOf: [{ minimum: 1 }, { maximum: 3 }] }, 4, false],
    ['multipleOf', { type: 'integer', multipleOf: 5 }, 7, false],
    ['a date-time', { type: 'string', format: 'date-time' }, '2026-01-02T03:04:05.123456Z', true],
    ['no date-time', { type: 'string', format: 'date-time' }, 'yesterday', false],
    [
      'a repeated set member',
      { type: 'array', 'x-kubernetes-list-type': 'set' },
      ['a', 'a'],
      false,
    ],
  ];
  for (const [name, schema, value, valid] of combinations) {
    test(name, () => assert.equal(validateSchema(value, schema).length === 0, valid));
  }
});

describe('names', () => {
  const cases: [string, string | undefined, boolean][] = [
    ['label a-1', nameProblem('a-1', 'label'), true],
    ['label a.b', nameProblem('a.b', 'label'), false],
    ['label of 64', nameProblem('x'.repeat(64), 'label'), false],
    ['subdomain a.b-c', nameProblem('a.b-c', 'subdomain'), true],
    ['subdomain a..b', nameProblem('a..b', 'subdomain'), false],
    ['rfc1035 1a', nameProblem('1a', 'rfc1035'), false],
    ['path system:node', nameProblem('system:node', 'path'), true],
    ['path ..', nameProblem('..', 'path'), false],
    ['path a/b', nameProblem('a/b', 'path'), false],
    ['label value empty', labelValueProblem(''), true],
    ['label value a_B.c', labelValueProblem('a_B.c'), true],
    ['label value a b', labelValueProblem('a b'), false],
    ['label value -a', labelValueProblem('-a'), false],
    ['key example.com/a', qualifiedNameProblem('example.com/a'), true],
    ['key /a', qualifiedNameProblem('/a'), false],
    ['key a/b/c', qualifiedNameProblem('a/b/c'), false],
    ['key Example.com/a', qualifiedNameProblem('Example.com/a'), false],
  ];
  for (const [name, problem, good] of cases) {
    test(`${name} is ${good ? 'good' : 'refused'}`, () =>
      assert.equal(problem === undefined, good));
  }
});
