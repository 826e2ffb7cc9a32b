// Policies with targetRefs, seen through the whole translation: where they hold, what waypoints are told, and what each
// object's status and the mesh's problems say.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HttpPolicy } from '../../mesh/http-policy.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { Namespace, Service } from '../../runtime/kubernetes/objects.ts';
import { decodeHttpPolicy, encodeHttpPolicy } from '../../wire/http-policy-resource.ts';
import {
  decodeRequestAuthentication,
  encodeRequestAuthentication,
} from '../../wire/request-authentication-resource.ts';
import type { AuthorizationPolicyObject } from './authorization.ts';
import type { RequestAuthenticationObject } from './request-authentication.ts';
import { EMPTY_WORLD } from './test-world.ts';
import { createTranslationMemo, type Translation, translate, type World } from './world.ts';

const SETTINGS = {
  cluster: 'Kubernetes',
  network: '',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'ambit-system',
  outboundPolicy: 'allow-any',
} as const;

const service = (name: string, namespace: string, waypoint?: string): Service => ({
  metadata: {
    name,
    namespace,
    ...(waypoint === undefined ? {} : { labels: { 'ambit-mesh.io/use-waypoint': waypoint } }),
  },
  spec: { clusterIP: '10.96.0.1', clusterIPs: ['10.96.0.1'], ports: [{ port: 80 }] },
});
const gateway = (name: string, namespace: string, gatewayClassName: string): Gateway => ({
  metadata: { name, namespace },
  spec: { gatewayClassName, listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
});
const WORLD: World = {
  ...EMPTY_WORLD,
  namespaces: new Map(
    ['shop', 'ambit-system'].map((name): [string, Namespace] => [name, { metadata: { name } }]),
  ),
  services: [service('web', 'shop', 'waypoint'), service('bare', 'shop'), service('judge', 'shop')],
  gateways: [
    gateway('waypoint', 'shop', 'ambit-waypoint'),
    gateway('front', 'shop', 'somebody-elses'),
    gateway('edge', 'shop', 'ambit-ingress'),
    gateway('own', 'shop', 'own-edge'),
  ],
  gatewayClasses: new Map([
    [
      'own-edge',
      {
        metadata: { name: 'own-edge' },
        spec: { controllerName: 'ambit-mesh.io/gateway-controller' },
      },
    ],
  ]),
};

type Spec = NonNullable<AuthorizationPolicyObject['spec']>;

const policyObject = (spec: object, namespace = 'shop', more: object = {}) =>
  ({ metadata: { name: 'p', namespace, ...more }, spec }) as AuthorizationPolicyObject;

function translated(object: AuthorizationPolicyObject, world: Partial<World> = {}): Translation {
  return translate({ ...WORLD, authorizationPolicies: [object], ...world }, SETTINGS);
}

function told({ outcomes }: Translation): string[] {
  return outcomes
    .filter(({ object }) => object.metadata.name === 'p')
    .flatMap(({ findings }) => findings)
    .map(({ type, status, reason }) => `${type}=${status} ${reason}`);
}

const WEB = { kind: 'Service', name: 'web' };
const ADMIN = { to: [{ operation: { paths: ['/admin/*'] } }] };

describe('an AuthorizationPolicy with targetRefs', () => {
  const GATEWAY_API = 'gateway.networking.k8s.io';
  const accepted = 'Accepted=True Accepted';
  const cases: readonly [string, object, string, HttpPolicy['targets'], readonly string[]][] = [
    [
      'a Service holds at the waypoint of it',
      WEB,
      'shop',
      [{ kind: 'service', service: 'shop/web.shop.svc.cluster.local' }],
      [accepted, 'Enforced=True Enforced'],
    ],
    [
      'a Service without a waypoint is enforced by nobody, and lets nobody in',
      { ...WEB, name: 'bare' },
      'shop',
      [{ kind: 'service', service: 'shop/bare.shop.svc.cluster.local' }],
      [accepted, 'Enforced=False NoWaypoint'],
    ],
    [
      'a Service that is not there holds nowhere',
      { ...WEB, name: 'none' },
      'shop',
      [],
      [accepted, 'Enforced=False TargetNotFound'],
    ],
    [
      'a Gateway holds for all that it serves',
      { group: GATEWAY_API, kind: 'Gateway', name: 'waypoint' },
      'shop',
      [{ kind: 'gateway', gateway: 'shop/waypoint' }],
      [accepted, 'Enforced=True Enforced'],
    ],
    [
      'a Gateway of somebody else’s is not ours to enforce at',
      { group: GATEWAY_API, kind: 'Gateway', name: 'front' },
      'shop',
      [],
      ['Accepted=False TargetNotOurs', 'Enforced=False TargetNotOurs'],
    ],
    [
      'a GatewayClass, in the root namespace, holds for all of it',
      { group: GATEWAY_API, kind: 'GatewayClass', name: 'ambit-waypoint' },
      'ambit-system',
      [{ kind: 'gateway-class', name: 'ambit-waypoint' }],
      [accepted, 'Enforced=True Enforced'],
    ],
    [
      'a GatewayClass is not for other namespaces',
      { group: GATEWAY_API, kind: 'GatewayClass', name: 'ambit-waypoint' },
      'shop',
      [],
      ['Accepted=False RefNotPermitted', 'Enforced=False RefNotPermitted'],
    ],
    [
      'a Gateway for ingress',
      { group: GATEWAY_API, kind: 'Gateway', name: 'edge' },
      'shop',
      [{ kind: 'gateway', gateway: 'shop/edge' }],
      [accepted, 'Enforced=True Enforced'],
    ],
    [
      'a GatewayClass of people’s own with our controller stands for its Gateways',
      { group: GATEWAY_API, kind: 'GatewayClass', name: 'own-edge' },
      'ambit-system',
      [{ kind: 'gateway', gateway: 'shop/own' }],
      [accepted, 'Enforced=True Enforced'],
    ],
    [
      'a target in another namespace is not followed',
      { ...WEB, namespace: 'ops' },
      'shop',
      [],
      ['Accepted=False RefNotPermitted', 'Enforced=False RefNotPermitted'],
    ],
    [
      'a kind that is no target',
      { kind: 'Pod', name: 'web-1' },
      'shop',
      [],
      ['Accepted=False UnsupportedTarget', 'Enforced=False UnsupportedTarget'],
    ],
  ];
  for (const [name, ref, namespace, targets, conditions] of cases) {
    test(`${name}: ${conditions.join(', ')}`, () => {
      const object = policyObject({ targetRefs: [ref], action: 'DENY', rules: [ADMIN] }, namespace);
      const result = translated(object);
      assert.deepEqual(result.httpPolicies[0]?.targets ?? [], targets);
      assert.deepEqual(told(result), conditions);
      assert.ok(
        !result.policies.some(({ name: of }) => of === 'p'),
        'node agents hear nothing of it',
      );
      assert.equal(result.problems.length, conditions[1] === 'Enforced=True Enforced' ? 0 : 1);
    });
  }

  test('some of several targets that cannot hold it leave it in force at the others, and are named', () => {
    const result = translated(
      policyObject({ targetRefs: [WEB, { ...WEB, name: 'none' }], action: 'DENY', rules: [{}] }),
    );
    assert.deepEqual(told(result), ['Accepted=True Accepted', 'Enforced=True PartiallyEnforced']);
    const [, enforced] = result.outcomes.flatMap(({ object, findings }) =>
      object.metadata.name === 'p' ? findings : [],
    );
    assert.match(
      enforced?.message ?? '',
      /waypoint shop\/waypoint\. There is no Service shop\/none/,
    );
  });

  test('what did not change is the same object in the next translation', () => {
    const memo = createTranslationMemo();
    const object = policyObject({ targetRefs: [WEB], action: 'DENY', rules: [ADMIN] });
    const world = { ...WORLD, authorizationPolicies: [object] };
    const [first] = translate(world, SETTINGS, memo).httpPolicies;
    assert.equal(
      translate({ ...world, services: [...WORLD.services] }, SETTINGS, memo).httpPolicies[0],
      first,
    );
    const bare = translate({ ...world, services: [] }, SETTINGS, memo);
    assert.deepEqual(bare.httpPolicies, []);
    assert.deepEqual(told(bare), ['Accepted=True Accepted', 'Enforced=False TargetNotFound']);
  });

  test('the older targetRef is the same', () => {
    const result = translated(policyObject({ targetRef: WEB, action: 'DENY', rules: [ADMIN] }));
    assert.equal(result.httpPolicies.length, 1);
  });

  test('says so when it only reports', () => {
    const audit = translated(policyObject({ targetRefs: [WEB], action: 'AUDIT', rules: [{}] }));
    assert.deepEqual(told(audit), ['Accepted=True Accepted', 'Enforced=False AuditOnly']);
    const annotations = { 'istio.io/dry-run': 'true' };
    const dry = translated(policyObject({ targetRefs: [WEB] }, 'shop', { annotations }));
    assert.deepEqual(told(dry), ['Accepted=True Accepted', 'Enforced=False DryRun']);
    assert.equal(dry.httpPolicies[0]?.dryRun, true);
  });

  test('an action nobody knows, and rules that are none, allow nothing', () => {
    const strange = translated(policyObject({ targetRefs: [WEB], action: 'SHRUG', rules: [{}] }));
    assert.deepEqual(
      [strange.httpPolicies[0]?.action, strange.httpPolicies[0]?.rules],
      ['allow', []],
    );
    assert.deepEqual(told(strange), [
      'Accepted=False UnsupportedAction',
      'Enforced=True PartiallyEnforced',
    ]);
    const broken = translated(policyObject({ targetRefs: [WEB], rules: 'x' as never as Spec }));
    const [policy] = broken.httpPolicies;
    assert.deepEqual([policy?.action, policy?.rules], ['allow', []]);
    assert.deepEqual(policy?.targets, [{ kind: 'namespace', namespace: 'shop' }]);
    assert.equal(told(broken)[0], 'Accepted=False Unreadable');
  });

  test('everything that a rule can ask reaches the waypoint as written', () => {
    const rule = {
      from: [
        {
          source: {
            principals: ['cluster.local/ns/shop/*'],
            notNamespaces: ['ops'],
            requestPrincipals: ['*'],
            remoteIpBlocks: ['10.0.0.0/8'],
          },
        },
        { source: { serviceAccounts: ['web', 'ops/job'] } },
      ],
      to: [
        {
          operation: {
            hosts: ['*.shop.test'],
            methods: ['GET'],
            notPaths: ['/a/{*}/b'],
            ports: ['80'],
          },
        },
      ],
      when: [
        { key: 'request.headers[X-Role]', values: ['admin'] },
        { key: 'request.auth.claims[realm][roles]', notValues: ['none'] },
        { key: 'cel', values: ['request.path.size() < 5'] },
      ],
    };
    const result = translated(policyObject({ targetRefs: [WEB], rules: [rule] }));
    assert.deepEqual(told(result), ['Accepted=True Accepted', 'Enforced=True Enforced']);
    const [policy] = result.httpPolicies;
    assert.ok(policy);
    assert.deepEqual(decodeHttpPolicy(encodeHttpPolicy(policy)), policy);
    const tests = policy.rules.flatMap(({ clauses }) =>
      clauses.flatMap(({ anyOf }) => anyOf.flat()),
    );
    assert.deepEqual(
      tests.map((one) => `${'not' in one && one.not ? 'not ' : ''}${one.attribute}`),
      [
        'source.principal',
        'not source.namespace',
        'request.auth.principal',
        'remote.ip',
        'source.serviceAccount',
        'request.host',
        'request.method',
        'not request.path',
        'destination.port',
        'request.header',
        'not request.auth.claim',
        'cel',
      ],
    );
  });

  test('what cannot be read is named, and makes the policy stricter', () => {
    const rule = {
      from: [{ source: { ipBlocks: ['10.0.0.0/33'], mood: ['good'] } }],
      to: [{ operation: { paths: ['/a/{**}/{*}'] } }],
      when: [{ key: 'cel', values: ['request.path ==='] }, { key: 'request.phase' }],
    };
    const result = translated(policyObject({ targetRefs: [WEB], action: 'DENY', rules: [rule] }));
    assert.deepEqual(told(result), [
      'Accepted=False UnsupportedField',
      'Enforced=True PartiallyEnforced',
    ]);
    const [problem] = result.problems;
    for (const part of [
      'from[0].source.ipBlocks[0] "10.0.0.0/33"',
      'from[0].source.mood',
      'to[0].operation.paths[0]',
      'when[0].values[0]',
      'when[1].key request.phase',
      'the rule denies without regard to them',
    ]) {
      assert.ok(problem?.message.includes(part), `${part} in ${problem?.message}`);
    }
  });
});

describe('CUSTOM and its providers', () => {
  const custom = policyObject({
    targetRefs: [WEB],
    action: 'CUSTOM',
    provider: { name: 'judge' },
    rules: [{}],
  });
  const withProvider = (text: string): Translation =>
    translated(custom, {
      extensionProviders: {
        metadata: { name: 'ambit-extension-providers', namespace: 'ambit-system' },
        data: { judge: text },
      },
    });
  const providerIn = ({ httpPolicies }: Translation): unknown => {
    const [policy] = httpPolicies;
    return policy?.action === 'custom' ? policy.provider : undefined;
  };

  test('a provider is a service of the mesh, with the reference’s settings', () => {
    const result = withProvider(`
envoyExtAuthzHttp:
  service: judge.shop.svc.cluster.local
  port: 80
  timeout: 250ms
  failOpen: true
  statusOnError: "503"
  pathPrefix: /check
  includeRequestHeadersInCheck: [X-Ask]
  includeAdditionalHeadersInCheck: { X-From: mesh }
  includeRequestBodyInCheck: { maxRequestBytes: 100, allowPartialMessage: true }
  headersToUpstreamOnAllow: [X-User]
`);
    assert.deepEqual(told(result), ['Accepted=True Accepted', 'Enforced=True Enforced']);
    assert.deepEqual(providerIn(result), {
      name: 'judge',
      protocol: 'http',
      service: 'shop/judge.shop.svc.cluster.local',
      port: 80,
      timeoutMs: 250,
      failOpen: true,
      statusOnError: 503,
      pathPrefix: '/check',
      includeRequestHeaders: ['x-ask'],
      includeAdditionalHeaders: [['x-from', 'mesh']],
      includeRequestBody: { maxBytes: 100, allowPartial: true, asBytes: false },
      headersToUpstreamOnAllow: ['x-user'],
      headersToDownstreamOnAllow: [],
      headersToDownstreamOnDeny: [],
    });
    const [policy] = result.httpPolicies;
    assert.ok(policy);
    assert.deepEqual(decodeHttpPolicy(encodeHttpPolicy(policy)), policy);
  });

  for (const [name, text, why] of [
    ['no YAML', ': {', /./],
    ['neither kind', 'envoyOtel: {}', /field envoyOtel/],
    ['both kinds', 'envoyExtAuthzGrpc: {}\nenvoyExtAuthzHttp: {}', /either/],
    ['an unknown service', 'envoyExtAuthzGrpc: { service: none, port: 80 }', /no service none/],
    [
      'another port',
      'envoyExtAuthzGrpc: { service: judge.shop.svc.cluster.local, port: 81 }',
      /no port 81/,
    ],
    [
      'an unknown field',
      'envoyExtAuthzGrpc: { service: a, port: 1, failClosed: true }',
      /failClosed/,
    ],
    [
      'a timeout that is none',
      'envoyExtAuthzGrpc: { service: judge.shop.svc.cluster.local, port: 80, timeout: soon }',
      /timeout "soon"/,
    ],
    [
      'failOpen that is no answer',
      'envoyExtAuthzGrpc: { service: judge.shop.svc.cluster.local, port: 80, failOpen: "no" }',
      /failOpen/,
    ],
  ] as const) {
    test(`a provider with ${name} cannot be asked, which denies and is told`, () => {
      const result = withProvider(text);
      assert.match((providerIn(result) as { why: string }).why, why);
      assert.deepEqual(told(result), [
        'Accepted=False ProviderUnusable',
        'Enforced=True PartiallyEnforced',
      ]);
      assert.ok(result.problems.some(({ object }) => object.startsWith('ConfigMap')));
    });
  }

  test('without the ConfigMap it says where providers belong', () => {
    const result = translated(custom);
    assert.match(
      result.problems[0]?.remedy ?? '',
      /ConfigMap ambit-extension-providers of namespace ambit-system/,
    );
  });
});

describe('a RequestAuthentication', () => {
  const RULE = { issuer: 'https://id.test', jwks: '{"keys":[]}' };
  const tokens = (spec: object): Translation =>
    translate(
      {
        ...WORLD,
        requestAuthentications: [
          { metadata: { name: 'p', namespace: 'shop' }, spec } as RequestAuthenticationObject,
        ],
      },
      SETTINGS,
    );

  test('reaches the waypoint with all of its rule', () => {
    const result = tokens({
      targetRefs: [WEB],
      jwtRules: [
        {
          ...RULE,
          audiences: ['shop'],
          fromHeaders: [{ name: 'X-Token', prefix: 'T ' }],
          fromParams: ['t'],
          fromCookies: ['c'],
          forwardOriginalToken: true,
          outputPayloadToHeader: 'X-Payload',
          outputClaimToHeaders: [{ header: 'X-Sub', claim: 'sub' }],
        },
        { issuer: 'https://b.test', jwksUri: 'https://b.test/keys', timeout: '2s' },
        { issuer: 'https://c.test' },
      ],
    });
    assert.deepEqual(told(result), ['Accepted=True Accepted', 'Enforced=True Enforced']);
    const [policy] = result.requestAuthentications;
    assert.ok(policy);
    assert.deepEqual(decodeRequestAuthentication(encodeRequestAuthentication(policy)), policy);
    assert.deepEqual(policy.rules[0], {
      issuer: 'https://id.test',
      audiences: ['shop'],
      keys: { kind: 'inline', jwks: '{"keys":[]}' },
      fromHeaders: [{ name: 'x-token', prefix: 'T ' }],
      fromParams: ['t'],
      fromCookies: ['c'],
      forwardOriginalToken: true,
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
    });
    assert.deepEqual(
      policy.rules.slice(1).map(({ keys }) => keys),
      [
        { kind: 'fetched', uri: 'https://b.test/keys', timeoutMs: 2000 },
        { kind: 'discovered', issuer: 'https://c.test', timeoutMs: 5000 },
      ],
    );
  });

  for (const [name, rule] of [
    ['an issuer that is no web address, and no keys', { issuer: 'me@test' }],
    ['no issuer', { jwks: '{}' }],
    ['keys at no web address', { issuer: 'a', jwksUri: 'file:///etc/passwd' }],
    ['a timeout that is none', { issuer: 'a', jwksUri: 'https://a.test', timeout: 'soon' }],
    ['a header name that is none', { ...RULE, fromHeaders: [{ name: 'a b' }] }],
  ] as const) {
    test(`with ${name} lets nobody through, and says so`, () => {
      const result = tokens({ targetRefs: [WEB], jwtRules: [RULE, rule] });
      assert.match(result.requestAuthentications[0]?.broken ?? '', /spec\.jwtRules\[1\]/);
      assert.deepEqual(told(result), [
        'Accepted=False Unreadable',
        'Enforced=True PartiallyEnforced',
      ]);
      assert.equal(result.problems[0]?.object, 'RequestAuthentication shop/p');
    });
  }

  test('without targetRefs is for nobody: node agents see no tokens', () => {
    const result = tokens({ jwtRules: [RULE] });
    assert.deepEqual(result.requestAuthentications, []);
    assert.deepEqual(told(result), ['Accepted=True Accepted', 'Enforced=False WaypointRequired']);
  });
});
