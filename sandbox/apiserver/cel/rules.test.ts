// x-kubernetes-validations through the API: what a definition's rules refuse, in the words of a real API server, and
// which definitions are refused for their rules.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Schema } from '../schema.ts';
import { type Answer, startTestServer, type TestServer } from '../test-server.ts';
import { compileRules } from './compile.ts';
import { validateRules } from './evaluate.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WIDGETS = '/apis/example.com/v1/namespaces/default/widgets';

type Rule = Readonly<Record<string, unknown>> & { readonly rule: string };
type Part = Readonly<Record<string, unknown>>;

/** Widgets whose spec has these rules, and these properties. */
function definition(rules: readonly Rule[], properties: Part): object {
  const spec = { type: 'object', properties, 'x-kubernetes-validations': rules };
  const schema = { type: 'object', properties: { spec } };
  return {
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  };
}

const INT = { type: 'integer' };
const TEXT = { type: 'string' };
const NAMED = { type: 'object', properties: { name: TEXT, size: INT } };
const PROPERTIES = {
  min: INT,
  max: INT,
  ratio: { type: 'number' },
  name: TEXT,
  since: { type: 'string', format: 'date-time' },
  timeout: { type: 'string', format: 'duration' },
  'dashed-name': TEXT,
  namespace: TEXT,
  either: { 'x-kubernetes-int-or-string': true },
  ports: { type: 'object', maxProperties: 10, additionalProperties: TEXT },
  tags: { type: 'array', maxItems: 10, items: TEXT },
  parts: {
    type: 'array',
    maxItems: 10,
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
    items: NAMED,
  },
  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
};

async function defined(
  server: TestServer,
  rules: readonly Rule[],
  parts: Part = {},
): Promise<void> {
  const body = definition(rules, { ...PROPERTIES, ...parts });
  const answer = await server.call('POST', DEFINITIONS, { body });
  assert.equal(answer.status, 201, answer.body.message);
  assert.equal(answer.headers['warning'], undefined);
}

const make = (server: TestServer, spec: object, name = 'w'): Promise<Answer> =>
  server.call('POST', WIDGETS, { body: { metadata: { name }, spec } });
const change = (server: TestServer, spec: object, name = 'w'): Promise<Answer> =>
  server.call('PATCH', `${WIDGETS}/${name}`, {
    type: 'application/merge-patch+json',
    body: { spec },
  });
const prefix = 'Widget.example.com "w" is invalid: ';

describe('a rule', () => {
  const cases: [string, Rule, object, object, string][] = [
    [
      'compares fields',
      { rule: 'self.min <= self.max', message: 'min must not exceed max' },
      { min: 1, max: 1 },
      { min: 2, max: 1 },
      'spec: Invalid value: "object": min must not exceed max',
    ],
    [
      'without a message names itself',
      { rule: 'self.min > 0' },
      { min: 1 },
      { min: 0 },
      'spec: Invalid value: "object": failed rule: self.min > 0',
    ],
    [
      'has a reason and a path',
      {
        rule: 'has(self.name)',
        message: 'say it',
        reason: 'FieldValueRequired',
        fieldPath: '.name',
      },
      { name: 'a' },
      { min: 1 },
      'spec.name: Required value: say it',
    ],
    [
      'may forbid',
      { rule: '!has(self.free)', reason: 'FieldValueForbidden', fieldPath: '.free', message: 'no' },
      { min: 1 },
      { free: {} },
      'spec.free: Forbidden: no',
    ],
    [
      'makes its message',
      { rule: 'self.min > 5', messageExpression: '"min is " + string(self.min) + ", not above 5"' },
      { min: 6 },
      { min: 3 },
      'spec: Invalid value: "object": min is 3, not above 5',
    ],
    [
      'falls back to its message when the expression for it fails',
      { rule: 'self.min > 5', messageExpression: 'self.name + "!"', message: 'too small' },
      { min: 6 },
      { min: 3 },
      'spec: Invalid value: "object": too small',
    ],
    [
      'reads escaped names',
      { rule: "self.dashed__dash__name == 'a' && self.__namespace__ == 'b'", message: 'm' },
      { 'dashed-name': 'a', namespace: 'b' },
      { 'dashed-name': 'a', namespace: 'c' },
      'spec: Invalid value: "object": m',
    ],
    [
      'reads keys of a map',
      { rule: 'self.ports.all(key, int(key) <= 65535)', message: 'm' },
      { ports: { 80: 'a' } },
      { ports: { 65536: 'a' } },
      'spec: Invalid value: "object": m',
    ],
    [
      'tells integers, numbers and either apart',
      {
        rule: "self.ratio > 0.5 && (type(self.either) == int || self.either == 'x')",
        message: 'm',
      },
      { ratio: 1, either: 3 },
      { ratio: 1, either: 'y' },
      'spec: Invalid value: "object": m',
    ],
    [
      'knows times and durations',
      {
        rule: "self.since < timestamp('2030-01-01T00:00:00Z') && self.timeout <= duration('1m')",
        message: 'm',
      },
      { since: '2029-12-31T23:59:59Z', timeout: '60s' },
      { since: '2029-12-31T23:59:59Z', timeout: '61s' },
      'spec: Invalid value: "object": m',
    ],
    [
      'has quantifiers over lists of objects',
      {
        rule: 'self.parts.exists_one(p, p.size > 1) && self.parts.filter(p, p.size > 0).size() == 2',
        message: 'm',
      },
      {
        parts: [
          { name: 'a', size: 1 },
          { name: 'b', size: 2 },
        ],
      },
      {
        parts: [
          { name: 'a', size: 2 },
          { name: 'b', size: 2 },
        ],
      },
      'spec: Invalid value: "object": m',
    ],
    [
      'has the functions Kubernetes adds',
      {
        rule: "self.tags.isSorted() && self.tags.all(t, isIP(t) || isCIDR(t)) && 'x'.matches('^[a-z]$')",
        message: 'm',
      },
      { tags: ['10.0.0.0/8', 'fd00::1'] },
      { tags: ['10.0.0.0/33'] },
      'spec: Invalid value: "object": m',
    ],
  ];
  for (const [name, rule, good, bad, message] of cases) {
    test(name, async () => {
      await using server = await startTestServer();
      await defined(server, [rule]);
      const fine = await make(server, good, 'good');
      assert.equal(fine.status, 201, fine.body.message);
      const { status, body } = await make(server, bad);
      assert.deepEqual([status, body.message], [422, prefix + message]);
    });
  }

  test('that cannot be evaluated refuses the object and says why', async () => {
    await using server = await startTestServer();
    await defined(server, [{ rule: 'self.min > 0', message: 'm' }]);
    const { status, body } = await make(server, { max: 1 });
    assert.equal(status, 422);
    assert.match(
      body.message,
      /spec: Invalid value: "object": .*min.* evaluating rule: self\.min > 0$/,
    );
  });

  test('is named with the index of the value it stands under, and the cause has the field', async () => {
    await using server = await startTestServer();
    const items = {
      ...NAMED,
      'x-kubernetes-validations': [{ rule: 'self.size > 0', message: 'too small' }],
    };
    await defined(server, [], { parts: { ...PROPERTIES.parts, items } });
    const { body } = await make(server, {
      parts: [
        { name: 'a', size: 1 },
        { name: 'b', size: 0 },
      ],
    });
    assert.equal(body.message, `${prefix}spec.parts[1]: Invalid value: "object": too small`);
    assert.deepEqual(
      body.details.causes?.map(({ field, reason }) => [field, reason]),
      [['spec.parts[1]', 'FieldValueInvalid']],
    );
  });

  test('is not asked while the schema does not hold, and that is said', async () => {
    await using server = await startTestServer();
    await defined(server, [{ rule: 'self.min > 0', message: 'm' }]);
    const { body } = await make(server, { min: 'x' });
    assert.match(body.message, /spec\.min: Invalid value/);
    assert.match(body.message, /<nil>: .*some validation rules were not checked/);
    assert.doesNotMatch(body.message, /spec: Invalid value: "object": m/);
  });
});

describe('a transition rule', () => {
  test('is asked on updates only', async () => {
    await using server = await startTestServer();
    await defined(server, [{ rule: 'self.min >= oldSelf.min', message: 'min must not shrink' }]);
    assert.equal((await make(server, { min: 5 })).status, 201);
    assert.equal((await change(server, { min: 6 })).status, 200);
    const { body } = await change(server, { min: 5 });
    assert.equal(body.message, `${prefix}spec: Invalid value: "object": min must not shrink`);
  });

  test('with optionalOldSelf is asked at creation too', async () => {
    await using server = await startTestServer();
    const rule = 'oldSelf.hasValue() ? self.min >= oldSelf.value().min : self.min == 1';
    await defined(server, [{ rule, optionalOldSelf: true, message: 'm' }]);
    assert.equal((await make(server, { min: 2 })).status, 422);
    assert.equal((await make(server, { min: 1 })).status, 201);
    assert.equal((await change(server, { min: 3 })).status, 200);
    assert.equal((await change(server, { min: 2 })).status, 422);
  });

  test('finds the old member of a keyed list wherever it stands now', async () => {
    await using server = await startTestServer();
    const items = {
      ...NAMED,
      'x-kubernetes-validations': [{ rule: 'self.size == oldSelf.size', message: 'fixed' }],
    };
    await defined(server, [], { parts: { ...PROPERTIES.parts, items } });
    await make(server, {
      parts: [
        { name: 'a', size: 1 },
        { name: 'b', size: 2 },
      ],
    });
    const swapped = [
      { name: 'new', size: 9 },
      { name: 'b', size: 2 },
      { name: 'a', size: 1 },
    ];
    assert.equal((await change(server, { parts: swapped })).status, 200);
    const { body } = await change(server, { parts: [{ name: 'b', size: 3 }] });
    assert.equal(body.message, `${prefix}spec.parts[0]: Invalid value: "object": fixed`);
  });

  test('a rule that came later is not held against what an update leaves alone', async () => {
    await using server = await startTestServer();
    await defined(server, []);
    await make(server, { min: 0 });
    const stricter = definition([{ rule: 'self.min > 0', message: 'm' }], PROPERTIES);
    const { body } = await server.call('GET', `${DEFINITIONS}/widgets.example.com`);
    const put = await server.call('PUT', `${DEFINITIONS}/widgets.example.com`, {
      body: { ...stricter, metadata: body.metadata },
    });
    assert.equal(put.status, 200, put.body.message);
    const labelled = await server.call('PATCH', `${WIDGETS}/w`, {
      type: 'application/merge-patch+json',
      body: { metadata: { labels: { a: 'b' } } },
    });
    assert.equal(labelled.status, 200, labelled.body.message);
    assert.equal((await change(server, { max: 1 })).status, 422);
  });
});

describe('a definition is refused for a rule', () => {
  const at = 'spec.versions[0].schema.openAPIV3Schema.properties[spec].x-kubernetes-validations[0]';
  const cases: [string, Rule, string, RegExp][] = [
    ['that is empty', { rule: ' ' }, '.rule', /Required value: rule is not specified/],
    ['that does not parse', { rule: 'self.min >' }, '.rule', /compilation failed: ERROR/],
    ['that names nobody', { rule: 'other.min > 1' }, '.rule', /undeclared reference to 'other'/],
    ['that calls nobody', { rule: 'grow(self)' }, '.rule', /undeclared reference to 'grow'/],
    [
      'that reads a field that is not there',
      { rule: 'self.mni > 1' },
      '.rule',
      /undefined field 'mni'/,
    ],
    [
      'that reads one deep inside a quantifier',
      { rule: 'self.parts.all(p, p.sise > 1)' },
      '.rule',
      /undefined field 'sise'/,
    ],
    ['that is no bool', { rule: 'self.min + 1' }, '.rule', /must evaluate to a bool/],
    ['that is a text', { rule: 'self.name' }, '.rule', /must evaluate to a bool/],
    [
      'whose message is no text',
      { rule: 'true', messageExpression: 'self.min' },
      '.messageExpression',
      /must evaluate to a string/,
    ],
    [
      'whose message has lines',
      { rule: 'true', message: 'a\nb' },
      '.message',
      /must not contain line breaks/,
    ],
    ['of an unknown reason', { rule: 'true', reason: 'Because' }, '.reason', /must be one of/],
    ['with a path to nowhere', { rule: 'true', fieldPath: '.nope' }, '.fieldPath', /valid path/],
    [
      'that says optionalOldSelf for nothing',
      { rule: 'true', optionalOldSelf: true },
      '.optionalOldSelf',
      /must not be set/,
    ],
    [
      'that could take for ever',
      { rule: 'self.endless.all(a, self.endless.all(b, a <= b))' },
      '.rule',
      /exceeds budget by factor of/,
    ],
  ];
  for (const [name, rule, field, message] of cases) {
    test(name, async () => {
      await using server = await startTestServer();
      const endless = { type: 'array', items: INT };
      const body = definition([rule], { ...PROPERTIES, endless });
      const { status, body: answer } = await server.call('POST', DEFINITIONS, { body });
      assert.equal(status, 422);
      assert.match(answer.message, message);
      assert.equal(answer.details.causes?.[0]?.field, at + field);
    });
  }

  test('that asks for what was before, below a list that is replaced as a whole', async () => {
    await using server = await startTestServer();
    const items = { type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] };
    const body = definition([], { ...PROPERTIES, tags: { type: 'array', maxItems: 3, items } });
    const { status, body: answer } = await server.call('POST', DEFINITIONS, { body });
    assert.equal(status, 422);
    assert.match(answer.message, /uncorrelatable portion/);
  });
});

test('rules that take too long together are given up, and the object is refused', () => {
  const schema: Schema = {
    type: 'object',
    'x-kubernetes-validations': [{ rule: 'true' }, { rule: 'size(self) == 0' }],
  };
  const { tree, errors } = compileRules(schema, 'schema');
  assert.ok(tree !== undefined && errors.length === 0);
  let now = 0;
  const slow = (): number => {
    now += 600;
    return now;
  };
  assert.deepEqual(
    validateRules(tree, {}, undefined, slow).map(({ message }) => message),
    [
      'Invalid value: "object": no further validation rules will be run due to call cost exceeds limit for rule: size(self) == 0',
    ],
  );
});
