import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { deepEqual } from '../equal.ts';
import { StatusError } from '../errors.ts';
import type { KindDefinition } from '../kinds.ts';
import type { KubeObject } from '../object.ts';
import { keyedList, list, mapOf, object, setOf, text } from '../schema.ts';
import { META } from '../schemas/meta.ts';
import {
  difference,
  type FieldSet,
  formatFieldsV1,
  intersection,
  parseFieldsV1,
  union,
} from './field-set.ts';
import { applyConfiguration, trackUpdate } from './managed-fields.ts';

const KIND: KindDefinition = {
  group: 'example.com',
  version: 'v1',
  kind: 'Thing',
  listKind: 'ThingList',
  plural: 'things',
  singular: 'thing',
  shortNames: [],
  categories: [],
  namespaced: true,
  verbs: [],
  subresources: [],
  schema: object({
    metadata: META,
    spec: object({
      size: text(),
      color: text(),
      data: mapOf(text()),
      args: list(text()),
      tags: setOf(text()),
      ports: keyedList(
        ['port', 'protocol'],
        object({ port: { type: 'integer' }, protocol: text({ default: 'TCP' }), name: text() }),
      ),
    }),
  }),
};

const thing = (spec: object, metadata: object = {}): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Thing',
  metadata: { name: 't', ...metadata },
  spec,
});

function apply(
  live: KubeObject | undefined,
  manager: string,
  spec: object,
  force = false,
): KubeObject {
  const writer = { manager, time: '2026-01-01T00:00:00Z' };
  const { object: merged, managedFields } = applyConfiguration(KIND, live, thing(spec), {
    writer,
    force,
  });
  return { ...merged, metadata: { ...merged.metadata, managedFields } };
}

function update(live: KubeObject, manager: string, spec: object): KubeObject {
  const object = { ...structuredClone(live), spec };
  const managedFields = trackUpdate(KIND, live, object, { manager, time: '2026-01-01T00:00:01Z' });
  return { ...object, metadata: { ...object.metadata, managedFields } };
}

const fieldsOf = (live: KubeObject, manager: string): unknown =>
  live.metadata.managedFields?.find((entry) => entry.manager === manager)?.fieldsV1;

describe('server-side apply', () => {
  test('the applier owns exactly what it applied, lists by their keys with defaults', () => {
    const live = apply(undefined, 'one', {
      size: 's',
      data: { k: 'v' },
      tags: ['x'],
      ports: [{ port: 80 }],
    });
    assert.deepEqual(fieldsOf(live, 'one'), {
      'f:spec': {
        'f:data': { 'f:k': {} },
        'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {} } },
        'f:size': {},
        'f:tags': { 'v:"x"': {} },
      },
    });
  });

  test('what is no longer applied goes, what others own stays', () => {
    let live = apply(undefined, 'one', { size: 's', color: 'c', data: { a: '1', b: '2' } });
    live = apply(live, 'two', { data: { b: '2', c: '3' } });
    live = apply(live, 'one', { size: 's' });
    assert.deepEqual(live['spec'], { size: 's', data: { b: '2', c: '3' } });
    live = apply(live, 'two', {});
    assert.deepEqual(live['spec'], { size: 's' });
  });

  test('items of keyed lists and sets come and go one by one', () => {
    let live = apply(undefined, 'one', { ports: [{ port: 80 }, { port: 81 }], tags: ['a', 'b'] });
    live = apply(live, 'two', { ports: [{ port: 90, name: 'x' }], tags: ['c'] });
    live = apply(live, 'one', { ports: [{ port: 81 }], tags: ['b'] });
    assert.deepEqual(live['spec'], {
      ports: [{ port: 81 }, { port: 90, name: 'x' }],
      tags: ['b', 'c'],
    });
  });

  test('a different value of another manager is a conflict that names manager and fields', () => {
    const live = apply(undefined, 'one', { size: 's', color: 'c' });
    assert.throws(
      () => apply(live, 'two', { size: 'l', color: 'd' }),
      (error: unknown) => {
        assert.ok(error instanceof StatusError);
        assert.equal(error.code, 409);
        assert.equal(
          error.message,
          'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.color\n- .spec.size',
        );
        assert.deepEqual(
          error.details?.causes?.map(({ field }) => field),
          ['.spec.color', '.spec.size'],
        );
        return true;
      },
    );
  });

  test('the same value is shared, not fought over', () => {
    let live = apply(undefined, 'one', { size: 's' });
    live = apply(live, 'two', { size: 's' });
    live = apply(live, 'one', {});
    assert.deepEqual(live['spec'], { size: 's' });
  });

  test('force takes the fields over', () => {
    let live = apply(undefined, 'one', { size: 's', color: 'c' });
    live = apply(live, 'two', { size: 'l' }, true);
    assert.deepEqual(live['spec'], { size: 'l', color: 'c' });
    assert.deepEqual(fieldsOf(live, 'one'), { 'f:spec': { 'f:color': {} } });
    live = apply(live, 'one', { color: 'c' });
    assert.deepEqual(live['spec'], { size: 'l', color: 'c' });
  });

  test('an update takes the fields it changes, and the next apply conflicts with it', () => {
    let live = apply(undefined, 'one', { size: 's', color: 'c' });
    live = update(live, 'editor', { size: 'xl', color: 'c' });
    assert.deepEqual(fieldsOf(live, 'editor'), { 'f:spec': { 'f:size': {} } });
    assert.throws(
      () => apply(live, 'one', { size: 's', color: 'c' }),
      /conflict with "editor" using example\.com\/v1: \.spec\.size/,
    );
  });

  test('a list without keys belongs to one manager as a whole', () => {
    const live = apply(undefined, 'one', { args: ['a'] });
    assert.throws(() => apply(live, 'two', { args: ['a', 'b'] }), /\.spec\.args/);
  });

  test('applying twice changes nothing, and withdrawing everything leaves nothing', () => {
    const spec = fc.record(
      {
        size: fc.constantFrom('s', 'm', 'l'),
        data: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), {
          maxKeys: 3,
        }),
        tags: fc.uniqueArray(fc.constantFrom('x', 'y', 'z')),
        ports: fc.uniqueArray(
          fc.record({ port: fc.constantFrom(1, 2, 3), name: fc.constantFrom('n', 'o') }),
          {
            selector: ({ port }) => port,
          },
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(spec, spec, spec, (first, second, third) => {
        let live = apply(undefined, 'one', first);
        live = apply(live, 'two', second, true);
        live = apply(live, 'one', third, true);
        const again = apply(live, 'one', third);
        assert.ok(deepEqual(again, live), 'idempotent');
        const left = apply(apply(live, 'one', {}), 'two', {});
        assert.ok(
          deepEqual(left['spec'] ?? {}, {}),
          `all withdrawn, but ${JSON.stringify(left['spec'])} is left`,
        );
      }),
    );
  });
});

describe('field sets', () => {
  const edges = fc.constantFrom('f:a', 'f:b', 'v:"x"', 'k:{"n":1}');
  const levels = (depth: number): fc.Arbitrary<FieldSet> =>
    fc.record({
      here: fc.boolean(),
      children:
        depth === 0
          ? fc.constant(new Map<string, FieldSet>())
          : fc
              .uniqueArray(fc.tuple(edges, levels(depth - 1)), {
                selector: ([edge]) => edge,
                maxLength: 3,
              })
              .map((entries) => new Map(entries)),
    });
  const trie = levels(3);
  const tidy = (set: FieldSet): FieldSet => parseFieldsV1(formatFieldsV1(set));

  test('survive the way through fieldsV1', () => {
    fc.assert(
      fc.property(trie, (raw) => {
        const set = tidy(raw);
        assert.deepEqual(formatFieldsV1(tidy(set)), formatFieldsV1(set));
      }),
    );
  });

  test('obey the laws of sets: what is in neither difference nor intersection was never there', () => {
    fc.assert(
      fc.property(trie, trie, (one, two) => {
        const [a, b] = [tidy(one), tidy(two)];
        const rebuilt = union(difference(a, b), intersection(a, b));
        assert.deepEqual(members(rebuilt), members(a));
        assert.deepEqual(members(union(a, b)), [...new Set([...members(a), ...members(b)])].sort());
      }),
    );
  });

  function members(set: FieldSet, path = ''): string[] {
    const own = set.here ? [path] : [];
    return [
      ...own,
      ...[...set.children].flatMap(([edge, child]) => members(child, `${path}/${edge}`)),
    ].sort();
  }
});
