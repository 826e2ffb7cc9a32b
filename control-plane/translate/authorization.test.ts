// AuthorizationPolicy: what node agents are told for each shape a user can write, and what its status says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  type AuthorizationPolicyObject,
  authorizationOf,
  authorizationOutcome,
  unreadable,
} from './authorization.ts';

const ROOT = { rootNamespace: 'ambit-system' };

function authorize(spec: object, namespace = 'shop', annotations = {}) {
  const metadata = { name: 'p', namespace, annotations };
  const object = { metadata, spec } as AuthorizationPolicyObject;
  const translation = authorizationOf(object, ROOT);
  const { policy, limits } = translation;
  // only what a match says, without the attributes it leaves open
  const rules = policy?.rules.map(({ clauses }) =>
    clauses.map(({ matches }) =>
      matches.map((match) =>
        Object.fromEntries(Object.entries(match).filter(([, values]) => values.length > 0)),
      ),
    ),
  );
  return {
    policy,
    rules,
    reasons: limits.map(({ reason }) => reason),
    messages: limits.map(({ message }) => message).join('; '),
    findings: (workloads: number) =>
      authorizationOutcome(translation, workloads).findings.map(
        ({ type, status, reason }) => `${type}=${status} ${reason}`,
      ),
  };
}

const GET = { to: [{ operation: { methods: ['GET'], ports: ['80'] } }] };

describe('authorizationOf()', () => {
  const scopes: [string, object, string, string][] = [
    ['no selector', {}, 'shop', 'namespace'],
    ['no selector in the root namespace', {}, 'ambit-system', 'mesh'],
    ['a selector', { selector: { matchLabels: { app: 'web' } } }, 'shop', 'workload'],
  ];
  for (const [name, spec, namespace, scope] of scopes) {
    test(`${name} means scope ${scope}`, () => {
      assert.equal(authorize(spec, namespace).policy?.scope, scope);
    });
  }

  test('no rules at all is a policy that never matches: ALLOW then allows nothing', () => {
    assert.deepEqual(authorize({}).rules, []);
    assert.equal(authorize({}).policy?.action, 'allow');
  });

  test('an empty rule matches everything', () => {
    assert.deepEqual(authorize({ rules: [{}] }).rules, [[]]);
  });

  test('sources are ORed in a clause; from, to and each condition are ANDed as clauses', () => {
    const rule = {
      from: [
        { source: { principals: ['cluster.local/ns/shop/sa/web', '*/sa/x', 'a/*', '*'] } },
        {
          source: {
            namespaces: ['ops'],
            notIpBlocks: ['10.0.0.0/8', 'fd00::1'],
            serviceAccounts: ['web', 'ops/cron'],
          },
        },
      ],
      to: [{ operation: { ports: ['80', '443'] } }],
      when: [{ key: 'destination.ip', notValues: ['10.1.2.3'] }],
    };
    const result = authorize({ action: 'DENY', rules: [rule] });
    assert.equal(result.policy?.action, 'deny');
    assert.deepEqual(result.reasons, []);
    assert.deepEqual(result.rules, [
      [
        [
          {
            principals: [
              { kind: 'exact', value: 'cluster.local/ns/shop/sa/web' },
              { kind: 'suffix', value: '/sa/x' },
              { kind: 'prefix', value: 'a/' },
              { kind: 'presence' },
            ],
          },
          {
            namespaces: [{ kind: 'exact', value: 'ops' }],
            notSourceIps: [
              { ip: '10.0.0.0', prefixLength: 8 },
              { ip: 'fd00::1', prefixLength: 128 },
            ],
            serviceAccounts: [
              { namespace: 'shop', serviceAccount: 'web' },
              { namespace: 'ops', serviceAccount: 'cron' },
            ],
          },
        ],
        [{ destinationPorts: [80, 443] }],
        [{ notDestinationIps: [{ ip: '10.1.2.3', prefixLength: 32 }] }],
      ],
    ]);
  });

  test('an ALLOW rule with L7 parts is dropped whole, and the policy stays', () => {
    const result = authorize({ rules: [GET, { to: [{ operation: { ports: ['81'] } }] }] });
    assert.deepEqual(result.rules, [[[{ destinationPorts: [81] }]]]);
    assert.deepEqual(result.reasons, ['UnsupportedField']);
    assert.deepEqual(
      authorize({ rules: [GET] }).rules,
      [],
      'it may allow nothing, never everything',
    );
  });

  test('a DENY rule loses only its L7 parts, so that it denies more', () => {
    assert.deepEqual(authorize({ action: 'DENY', rules: [GET] }).rules, [
      [[{ destinationPorts: [80] }]],
    ]);
    const methods = {
      from: [{ source: { namespaces: ['ops'] } }],
      to: [{ operation: { methods: ['GET'] } }],
    };
    assert.deepEqual(authorize({ action: 'DENY', rules: [methods] }).rules, [
      [[{ namespaces: [{ kind: 'exact', value: 'ops' }] }]],
    ]);
    const condition = { when: [{ key: 'request.headers[x]', values: ['1'] }] };
    assert.deepEqual(authorize({ action: 'DENY', rules: [condition] }).rules, [[]]);
  });

  for (const [name, rule] of [
    ['a CIDR', { from: [{ source: { ipBlocks: ['10.0.0.0/33'] } }] }],
    ['a port', { to: [{ operation: { ports: ['http'] } }] }],
    ['an empty prefix length', { from: [{ source: { ipBlocks: ['10.0.0.0/'] } }] }],
  ] as const) {
    test(`${name} that cannot be read drops an ALLOW rule and is told`, () => {
      assert.deepEqual(authorize({ rules: [rule] }).rules, []);
      assert.deepEqual(authorize({ rules: [rule] }).reasons, ['UnsupportedField']);
    });
  }

  for (const text of ['', '**', '*shop*', 'cluster.local/ns/*/sa/web']) {
    test(`a name "${text}" that no caller can have allows nobody, and makes no DENY or exception void`, () => {
      for (const field of ['principals', 'notPrincipals', 'namespaces', 'notNamespaces']) {
        const source = { [field]: [text], ipBlocks: ['10.0.0.1'] };
        const rules = [{ from: [{ source }] }];
        const { messages, rules: allowed } = authorize({ rules });
        assert.deepEqual(allowed, []);
        assert.ok(
          messages.includes(`spec.rules[0].from[0].source.${field}[0] "${text}"`),
          messages,
        );
        assert.deepEqual(authorize({ action: 'DENY', rules }).rules, [
          [[{ sourceIps: [{ ip: '10.0.0.1', prefixLength: 32 }] }]],
        ]);
      }
      for (const key of ['source.principal', 'source.namespace']) {
        const rules = [{ when: [{ key, values: [text] }] }];
        assert.deepEqual(authorize({ rules }).rules, []);
        assert.deepEqual(authorize({ action: 'DENY', rules }).rules, [[]]);
      }
    });
  }

  test('a value that cannot be read widens a DENY, and never narrows it', () => {
    const deny = (rule: object): object[][][] | undefined =>
      authorize({ action: 'DENY', rules: [rule] }).rules;
    const ipBlocks = { from: [{ source: { ipBlocks: ['10.0.0.0/8', 'x'], namespaces: ['ops'] } }] };
    assert.deepEqual(deny(ipBlocks), [[[{ namespaces: [{ kind: 'exact', value: 'ops' }] }]]]);
    const notPorts = { to: [{ operation: { notPorts: ['80', 'http'] } }] };
    assert.deepEqual(deny(notPorts), [[[{ notDestinationPorts: [80] }]]]);
    assert.deepEqual(deny({ to: [{ operation: { ports: ['80', '0'] } }] }), [[]]);
  });

  test('a source, operation or condition that says nothing allows nothing, and is told', () => {
    for (const [rule, path] of [
      [{ from: [{ source: {} }] }, 'spec.rules[0].from[0].source (it is empty)'],
      [{ from: [{ source: { principals: [] } }] }, 'spec.rules[0].from[0].source (it is empty)'],
      [{ to: [{}] }, 'spec.rules[0].to[0].operation (it is empty)'],
      [{ when: [{ key: 'source.ip' }] }, 'spec.rules[0].when[0] (it has neither'],
    ] as const) {
      const { rules, messages } = authorize({ rules: [rule] });
      assert.deepEqual(rules, []);
      assert.ok(messages.includes(path), messages);
    }
  });

  const conditions: [string, string, string[], object][] = [
    ['source.ip', '10.0.0.0/8', ['x'], { sourceIps: [{ ip: '10.0.0.0', prefixLength: 8 }] }],
    ['source.namespace', 'o*', [], { namespaces: [{ kind: 'prefix', value: 'o' }] }],
    ['source.principal', '*', [], { principals: [{ kind: 'presence' }] }],
    [
      'source.serviceAccount',
      'web',
      ['a/b/c', '/x', '*'],
      { serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] },
    ],
    [
      'destination.ip',
      'fd00::1',
      ['fd00::1/'],
      { destinationIps: [{ ip: 'fd00::1', prefixLength: 128 }] },
    ],
    ['destination.port', '80', ['080', '65536', '-1', ''], { destinationPorts: [80] }],
  ];
  for (const [key, good, bad, match] of conditions) {
    test(`condition ${key} is read, both ways, and its bad values are told`, () => {
      const [attribute = '', values] = Object.entries(match)[0] ?? [];
      const not = `not${attribute[0]?.toUpperCase()}${attribute.slice(1)}`;
      const rules = (when: object): unknown => authorize({ rules: [{ when: [when] }] }).rules;
      assert.deepEqual(rules({ key, values: [good] }), [[[{ [attribute]: values }]]]);
      assert.deepEqual(rules({ key, notValues: [good] }), [[[{ [not]: values }]]]);
      for (const value of bad) {
        const { messages } = authorize({ rules: [{ when: [{ key, values: [value] }] }] });
        assert.ok(messages.includes(`spec.rules[0].when[0].values[0] "${value}"`), messages);
      }
    });
  }

  test('ServiceAccounts can be excluded', () => {
    const source = { notServiceAccounts: ['ops/cron'] };
    assert.deepEqual(authorize({ rules: [{ from: [{ source }] }] }).rules, [
      [[{ notServiceAccounts: [{ namespace: 'ops', serviceAccount: 'cron' }] }]],
    ]);
  });

  test('AUDIT is passed on; of a rule it cannot evaluate it reports nothing', () => {
    const port = { to: [{ operation: { ports: ['80'] } }] };
    const { policy, rules } = authorize({ action: 'AUDIT', rules: [port, GET] });
    assert.equal(policy?.action, 'audit');
    assert.deepEqual(rules, [[[{ destinationPorts: [80] }]]]);
  });

  test('dry run is asked for by our annotation or the reference’s, with anything that means true', () => {
    const dry = (annotations: object): boolean | undefined =>
      authorize({}, 'shop', annotations).policy?.dryRun;
    assert.equal(dry({ 'ambit-mesh.io/dry-run': 'true' }), true);
    assert.equal(dry({ 'istio.io/dry-run': 'True' }), true);
    assert.equal(dry({ 'istio.io/dry-run': 'false' }), false);
    assert.equal(dry({ 'ambit-mesh.io/dry-run': 'yes' }), false);
  });

  test('CUSTOM is not enforced by node agents, and told', () => {
    assert.deepEqual(authorize({ action: 'CUSTOM' }).reasons, ['UnsupportedAction']);
    assert.equal(authorize({ action: 'CUSTOM' }).policy, undefined);
  });

  test('one that cannot be read at all allows nothing where it is', () => {
    const object = { metadata: { name: 'p', namespace: 'shop' } };
    const { policy } = unreadable(object, ROOT, 'rules is no list');
    assert.deepEqual(
      [policy?.action, policy?.rules, policy?.scope, policy?.dryRun],
      ['allow', [], 'namespace', false],
    );
  });
});

describe('the status of an AuthorizationPolicy', () => {
  const allow = { rules: [{ to: [{ operation: { ports: ['80'] } }] }] };
  const DRY = { 'istio.io/dry-run': 'true' };
  const cases: [string, object, object, number, string, string][] = [
    ['in force', allow, {}, 2, 'Accepted=True Accepted', 'Enforced=True Enforced'],
    ['selects nobody', allow, {}, 0, 'Accepted=True Accepted', 'Enforced=False NoWorkloads'],
    ['in dry run', allow, DRY, 2, 'Accepted=True Accepted', 'Enforced=False DryRun'],
    [
      'an audit',
      { ...allow, action: 'AUDIT' },
      {},
      2,
      'Accepted=True Accepted',
      'Enforced=False AuditOnly',
    ],
    [
      'with L7 parts',
      { rules: [GET] },
      {},
      2,
      'Accepted=False UnsupportedValue',
      'Enforced=True PartiallyEnforced',
    ],
    [
      'custom',
      { action: 'CUSTOM' },
      {},
      2,
      'Accepted=False UnsupportedValue',
      'Enforced=False UnsupportedAction',
    ],
  ];
  for (const [name, spec, annotations, workloads, accepted, enforced] of cases) {
    test(`${name}: ${accepted}, ${enforced}`, () => {
      const found = authorize(spec, 'shop', annotations).findings(workloads);
      assert.deepEqual(found, [accepted, enforced]);
    });
  }

  test('a message names the field and what comes of it', () => {
    assert.equal(
      authorize({ rules: [{}, GET] }).messages,
      'Node agents cannot evaluate spec.rules[1].to[0].operation.methods: the rule allows nothing',
    );
  });
});
