// The definitions of our policies through the API, at every edge of their schemas and rules: the last value that is let
// in, and the first that is not, with the field it is told by.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { type Answer, startTestServer, type TestServer } from '../test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const MANIFESTS = new URL('../../../manifests/crds/', import.meta.url);
const KINDS = ['authorizationpolicies', 'peerauthentications', 'requestauthentications'] as const;
type Kind = (typeof KINDS)[number];

const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);
const source = (fields: object): object => ({ rules: [{ from: [{ source: fields }] }] });
const operation = (fields: object): object => ({ rules: [{ to: [{ operation: fields }] }] });
const when = (fields: object): object => ({ rules: [{ when: [fields] }] });
const labels = (matchLabels: object): object => ({ selector: { matchLabels } });
const target = (fields: object): object => ({
  targetRefs: [{ kind: 'Gateway', name: 'g', ...fields }],
});
const GATEWAY = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'g' };

/** Kind, spec, and undefined where it is let in, else what its refusal says. */
type Case = readonly [Kind, object, RegExp | undefined];

const POLICIES: readonly Case[] = [
  ['authorizationpolicies', {}, undefined],
  ['authorizationpolicies', { action: 'AUDIT' }, undefined],
  ['authorizationpolicies', { action: 'deny' }, /spec\.action: Unsupported value: "deny"/],
  ['authorizationpolicies', { rules: [{}] }, undefined],
  ['authorizationpolicies', { rules: many(512, {}) }, undefined],
  ['authorizationpolicies', { rules: many(513, {}) }, /spec\.rules: Too many: 513/],
  ['authorizationpolicies', { rules: 7 }, /spec\.rules: Invalid value: "integer"/],
  ['authorizationpolicies', { rules: [{ from: [] }] }, /spec\.rules\[0\]\.from.*at least 1/],
  ['authorizationpolicies', { rules: [{ to: [] }] }, /spec\.rules\[0\]\.to.*at least 1/],
  ['authorizationpolicies', { rules: [{ when: [] }] }, /spec\.rules\[0\]\.when.*at least 1/],
  ['authorizationpolicies', { rules: [{ from: [{}] }] }, /from\[0\]\.source: Required value/],
  ['authorizationpolicies', { rules: [{ to: [{}] }] }, /to\[0\]\.operation: Required value/],
  ['authorizationpolicies', source({}), /from\[0\]\.source.*at least 1 properties/],
  ['authorizationpolicies', operation({}), /to\[0\]\.operation.*at least 1 properties/],
  ['authorizationpolicies', source({ principals: ['*'] }), undefined],
  ['authorizationpolicies', source({ principals: [''] }), /principals\[0\].*at least 1 chars/],
  ['authorizationpolicies', source({ ipBlocks: ['10.0.0.0/8', 'fd00::/8'] }), undefined],
  ['authorizationpolicies', source({ ipBlocks: ['web'] }), /ipBlocks\[0\].*should match/],
  [
    'authorizationpolicies',
    source({ notIpBlocks: ['10.0.0.0/'] }),
    /notIpBlocks\[0\].*should match/,
  ],
  ['authorizationpolicies', source({ serviceAccounts: ['web', 'ops/cron'] }), undefined],
  ['authorizationpolicies', source({ serviceAccounts: ['a/b/c'] }), /serviceAccounts\[0\].*match/],
  [
    'authorizationpolicies',
    source({ serviceAccounts: ['*'] }),
    /serviceAccounts\[0\].*should match/,
  ],
  ['authorizationpolicies', source({ serviceAccounts: ['x'.repeat(320)] }), undefined],
  ['authorizationpolicies', source({ serviceAccounts: ['x'.repeat(321)] }), /Too long.*320/],
  ...(['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const).map(
    (other): Case => [
      'authorizationpolicies',
      source({ notServiceAccounts: ['a'], [other]: ['b'] }),
      /from\[0\]\.source: .*serviceAccounts cannot be combined/,
    ],
  ),
  ['authorizationpolicies', source({ serviceAccounts: ['a'], ipBlocks: ['::1'] }), undefined],
  ['authorizationpolicies', operation({ ports: ['1', '65535'] }), undefined],
  ...['0', '65536', '080', '-1', 'http', '1.5', ''].map(
    (port): Case => ['authorizationpolicies', operation({ ports: [port] }), /ports\[0\]: Invalid/],
  ),
  ['authorizationpolicies', operation({ ports: [80] }), /ports\[0\]: Invalid value: "integer"/],
  ['authorizationpolicies', when({ key: 'source.ip', values: ['10.0.0.1'] }), undefined],
  ['authorizationpolicies', when({ key: 'source.ip', notValues: ['10.0.0.1'] }), undefined],
  ['authorizationpolicies', when({ key: 'source.ip' }), /when\[0\]: .*values or notValues/],
  ['authorizationpolicies', when({ values: ['a'] }), /when\[0\]\.key: Required value/],
  ['authorizationpolicies', when({ key: '', values: ['a'] }), /when\[0\]\.key.*at least 1 chars/],
  ['authorizationpolicies', labels({ app: 'x'.repeat(63) }), undefined],
  ['authorizationpolicies', labels({ app: 'x'.repeat(64) }), /matchLabels\.app: Too long/],
  ['authorizationpolicies', labels({ 'a*': 'x' }), /matchLabels: .*label key/],
  ['authorizationpolicies', labels({ '': 'x' }), /matchLabels: .*label key/],
  ['authorizationpolicies', labels({ app: 'x*' }), /matchLabels\.app: .*no wildcard/],
  ['authorizationpolicies', { targetRefs: [GATEWAY] }, undefined],
  ['authorizationpolicies', { targetRef: GATEWAY }, undefined],
  ['authorizationpolicies', target({ kind: 'Service' }), undefined],
  [
    'authorizationpolicies',
    target({ group: 'apps', kind: 'Deployment' }),
    /targetRefs\[0\]: .*Service/,
  ],
  ['authorizationpolicies', { targetRef: { kind: 'Pod', name: 'p' } }, /targetRef: .*a target is/],
  [
    'authorizationpolicies',
    target({ ...GATEWAY, namespace: 'ops' }),
    /\.namespace: .*another namespace/,
  ],
  ['authorizationpolicies', { targetRefs: many(16, GATEWAY) }, undefined],
  ['authorizationpolicies', { targetRefs: many(17, GATEWAY) }, /targetRefs: Too many: 17/],
  [
    'authorizationpolicies',
    { ...labels({ app: 'web' }), targetRefs: [GATEWAY] },
    /spec: .*only one of selector, targetRef and targetRefs/,
  ],
  ['authorizationpolicies', { targetRef: GATEWAY, targetRefs: [GATEWAY] }, /only one of selector/],
  ['authorizationpolicies', { action: 'CUSTOM', provider: { name: 'opa' } }, undefined],
  ['authorizationpolicies', { action: 'CUSTOM' }, /spec: .*action CUSTOM with a provider/],
  ['authorizationpolicies', { provider: { name: 'opa' } }, /provider goes with action CUSTOM/],
  ['authorizationpolicies', { action: 'CUSTOM', provider: {} }, /provider\.name: Required value/],
  ['peerauthentications', {}, undefined],
  ['peerauthentications', { mtls: { mode: 'STRICT' } }, undefined],
  ['peerauthentications', { mtls: { mode: 'strict' } }, /mtls\.mode: Unsupported value/],
  ['peerauthentications', { portLevelMtls: { 80: {} } }, /spec: .*portLevelMtls needs a selector/],
  [
    'peerauthentications',
    { selector: { matchLabels: {} }, portLevelMtls: { 80: {} } },
    /portLevelMtls needs a selector/,
  ],
  ...['1', '65535'].map(
    (port): Case => [
      'peerauthentications',
      { ...labels({ app: 'web' }), portLevelMtls: { [port]: { mode: 'DISABLE' } } },
      undefined,
    ],
  ),
  ...['0', '65536', '-1', 'http', '1.5'].map(
    (port): Case => [
      'peerauthentications',
      { ...labels({ app: 'web' }), portLevelMtls: { [port]: { mode: 'STRICT' } } },
      /spec\.portLevelMtls: Invalid value/,
    ],
  ),
  [
    'peerauthentications',
    { ...labels({ app: 'web' }), portLevelMtls: {} },
    /at least 1 properties/,
  ],
  ['peerauthentications', labels({ 'a*': 'x' }), /matchLabels: .*label key/],
];

describe('the definitions of our policies', () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
    for (const kind of KINDS) {
      const body: unknown = parse(await readFile(new URL(`${kind}.yaml`, MANIFESTS), 'utf8'));
      const answer = await server.call('POST', DEFINITIONS, { body });
      assert.equal(answer.status, 201, answer.body.message);
    }
  });
  after(() => server[Symbol.asyncDispose]());

  const pathOf = (kind: Kind): string =>
    `/apis/security.ambit-mesh.io/v1/namespaces/default/${kind}`;
  const make = (kind: Kind, spec: object, name = ''): Promise<Answer> => {
    const metadata = name === '' ? { generateName: 'p-' } : { name };
    return server.call('POST', pathOf(kind), { body: { metadata, spec } });
  };

  for (const [kind, spec, refusal] of POLICIES) {
    const shown = JSON.stringify(spec).slice(0, 110);
    test(`${refusal === undefined ? 'let in' : 'refuse'} ${kind} ${shown}`, async () => {
      const { status, body } = await make(kind, spec);
      assert.equal(status, refusal === undefined ? 201 : 422, body.message);
      if (refusal !== undefined) assert.match(body.message, refusal);
    });
  }

  test('let each writer of conditions have its own, whatever another applies', async () => {
    await make('authorizationpolicies', {}, 'shared');
    const apply = (manager: string, type: string, status: string): Promise<Answer> =>
      server.call(
        'PATCH',
        `${pathOf('authorizationpolicies')}/shared/status?fieldManager=${manager}&force=true`,
        {
          type: 'application/apply-patch+yaml',
          body: {
            apiVersion: 'security.ambit-mesh.io/v1',
            kind: 'AuthorizationPolicy',
            metadata: { name: 'shared' },
            status: {
              conditions: [
                {
                  type,
                  status,
                  reason: 'Because',
                  message: 'm',
                  lastTransitionTime: '2030-01-01T00:00:00Z',
                },
              ],
            },
          },
        },
      );
    await apply('one', 'Accepted', 'True');
    await apply('two', 'example.com/Reviewed', 'True');
    const { body, status } = await apply('one', 'Accepted', 'False');
    assert.equal(status, 200, body.message);
    const { conditions } = body['status'] as { conditions: { type: string; status: string }[] };
    assert.deepEqual(conditions.map(({ type, status: state }) => `${type}=${state}`).toSorted(), [
      'Accepted=False',
      'example.com/Reviewed=True',
    ]);
  });
});
