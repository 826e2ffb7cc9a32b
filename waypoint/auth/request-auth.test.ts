import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  type ExternalAuthorizer,
  type HttpPolicy,
  type PolicyTest,
} from '../../mesh/http-policy.ts';
import type { RequestAuthentication } from '../../mesh/request-authentication.ts';
import {
  customPolicyOf,
  factsOf,
  httpPolicyOf,
  providerOf,
  ruleOf,
} from '../../mesh/test-http-policies.ts';
import { createConditions } from '../../runtime/conditions.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import {
  ExternalAuthorization,
  type ExternalVerdict,
  type Question,
} from './external-authorization.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { deniedByService } from './refusal.ts';
import { checkRequest, type GateVerdict } from './request-auth.ts';
import { ISSUER, jwksOf, jwtRuleOf, makeKey, signToken, type TestKey } from './test-issuer.ts';
import { TokenVerifier } from './verify-token.ts';

const clock = new ManualClock();
const log = createLog({ component: 'test', level: 'off' });
const never = () => Promise.reject(new Error('not in this test'));
const verifier = new TokenVerifier({ clock, keys: new IssuerKeys({ clock, log, fetch: never }) });

let key: TestKey;
let token: string;
let tokens: RequestAuthentication;
before(async () => {
  key = await makeKey('k1');
  token = await signToken({ key, nowMs: clock.now(), claims: { groups: ['admin'] } });
  const rules = [jwtRuleOf({ kind: 'inline', jwks: jwksOf(key) })];
  tokens = { namespace: 'shop', name: 'tokens', targets: [], rules, broken: undefined };
});

/** Who is asked answers what the test says, in the order they are asked. */
class Scripted extends ExternalAuthorization {
  readonly asked: { provider: string; facts: Question['facts'] }[] = [];
  readonly #answers: Readonly<Record<string, (question: Question) => ExternalVerdict>>;

  constructor(answers: Readonly<Record<string, (question: Question) => ExternalVerdict>>) {
    super({ clock, log, connect: never });
    this.#answers = answers;
  }

  override ask({ name }: ExternalAuthorizer, question: Question): Promise<ExternalVerdict> {
    this.asked.push({ provider: name, facts: question.facts });
    const answer = this.#answers[name];
    assert.ok(answer !== undefined, `nobody expects ${name} to be asked`);
    return Promise.resolve(answer(question));
  }
}

const passing = ({ facts }: Question): ExternalVerdict => {
  return { kind: 'passed', request: facts.request, answerChanges: [] };
};
const refusing = (): ExternalVerdict => {
  const answer = { status: 302, headers: [['location', 'https://id.test']] as const, body: '' };
  return { kind: 'refused', refusal: deniedByService(answer, 'log in first') };
};

async function gate(
  policies: readonly HttpPolicy[],
  { facts = factsOf(), external = new Scripted({}), withTokens = true } = {},
): Promise<GateVerdict> {
  return checkRequest(
    { policies, authentications: withTokens ? [tokens] : [] },
    { facts, id: '', protocol: 'HTTP/2', body: undefined },
    { verifier, external, evaluate: createConditions() },
    new AbortController().signal,
  );
}
const bearing = (text: string) =>
  factsOf({ request: { headers: [['authorization', `Bearer ${text}`]] } });

function refusalOf(verdict: GateVerdict) {
  assert.equal(verdict.kind, 'refused');
  if (verdict.kind !== 'refused') throw new Error();
  return verdict.refusal;
}

const loggedIn: PolicyTest = {
  attribute: 'request.auth.principal',
  not: false,
  values: [{ kind: 'exact', value: `${ISSUER}/ann` }],
};

describe('the gate', () => {
  test('lets through what nobody forbids', async () => {
    const verdict = await gate([]);
    assert.ok(verdict.kind === 'passed');
    assert.equal(verdict.decision.basis, 'no-allow-policy');
    assert.deepEqual(verdict.request, factsOf().request);
  });

  test('denies in the words people look for, and says in the log which rule it was', async () => {
    const policy = httpPolicyOf({ name: 'closed', rules: [{ clauses: [] }] });
    const refusal = refusalOf(await gate([policy]));
    assert.deepEqual(
      [refusal.status, refusal.grpcStatus, refusal.flag, refusal.body],
      [403, 7, 'DENY', 'RBAC: access denied'],
    );
    assert.equal(refusal.detail, 'explicitly denied by: shop/closed, rule 0');
  });

  test('knows who asks by the token, and policy decides with what it says', async () => {
    const allow = httpPolicyOf({ action: 'allow', rules: [ruleOf(loggedIn)] });
    const verdict = await gate([allow], { facts: bearing(token) });
    assert.ok(verdict.kind === 'passed');
    assert.equal(verdict.token?.claims['sub'], 'ann');
    assert.equal(refusalOf(await gate([allow])).status, 403);
    assert.equal(refusalOf(await gate([allow], { facts: bearing('x.y.z') })).status, 401);
    const cel = (text: string): HttpPolicy =>
      httpPolicyOf({
        action: 'allow',
        rules: [ruleOf({ attribute: 'cel', not: false, values: [text] })],
      });
    const admin = cel('"admin" in request.auth.claims.groups');
    assert.equal((await gate([admin], { facts: bearing(token) })).kind, 'passed');
    // without a token the expression fails, and lets nobody in
    assert.equal(refusalOf(await gate([admin])).status, 403);
    assert.equal(refusalOf(await gate([cel('this is no CEL')])).status, 403);
  });

  test('does not believe a token that nobody verified here', async () => {
    const allow = httpPolicyOf({ action: 'allow', rules: [ruleOf(loggedIn)] });
    const forged = factsOf({ token: { issuer: ISSUER, claims: { sub: 'ann' } } });
    assert.equal((await gate([allow], { facts: forged })).kind, 'refused');
    assert.equal((await gate([allow], { facts: forged, withTokens: false })).kind, 'refused');
  });
});

describe('providers', () => {
  const login = customPolicyOf(providerOf({ name: 'login' }), { name: 'login' });
  const opa = customPolicyOf(providerOf({ name: 'opa' }), {
    name: 'opa',
    rules: [ruleOf(loggedIn)],
  });

  test('whose answer may bring the token are asked before it is looked at', async () => {
    const external = new Scripted({
      login: ({ facts }) => ({
        kind: 'passed',
        request: { ...facts.request, headers: [['authorization', `Bearer ${token}`]] },
        answerChanges: [{ name: 'set-cookie', value: 'a=1', how: 'add' }],
      }),
      opa: passing,
    });
    const allow = httpPolicyOf({ name: 'allow', action: 'allow', rules: [ruleOf(loggedIn)] });
    const verdict = await gate([opa, login, allow], { external });
    assert.ok(verdict.kind === 'passed');
    assert.deepEqual(verdict.answerChanges, [{ name: 'set-cookie', value: 'a=1', how: 'add' }]);
    assert.deepEqual(verdict.request.headers, []);
    assert.deepEqual(
      external.asked.map(({ provider }) => provider),
      ['login', 'opa'],
    );
    assert.equal(external.asked[0]?.facts.token, undefined);
    assert.equal(external.asked[1]?.facts.token?.claims['sub'], 'ann');
  });

  test('that ask of the token are not asked about requests without the one they want', async () => {
    const external = new Scripted({});
    assert.equal((await gate([opa], { external })).kind, 'passed');
    assert.deepEqual(external.asked, []);
  });

  test('that refuse end it, before a bad token does, and before DENY', async () => {
    const deny = httpPolicyOf({ rules: [{ clauses: [] }] });
    const external = new Scripted({ login: refusing });
    const refusal = refusalOf(await gate([deny, login], { external, facts: bearing('bad') }));
    assert.deepEqual(
      [refusal.status, refusal.flag, refusal.code],
      [302, 'UAEX', 'EXTERNAL_AUTH_DENIED'],
    );
    assert.equal(refusal.detail, 'shop/login, rule 0, leaves it to login: log in first');
  });

  test('that let it pass do not take the place of DENY and ALLOW, and each is asked once', async () => {
    const twice = customPolicyOf(providerOf({ name: 'login' }), { name: 'twice' });
    const deny = httpPolicyOf({ name: 'deny', rules: [{ clauses: [] }] });
    const external = new Scripted({ login: passing });
    const refusal = refusalOf(await gate([login, twice, deny], { external }));
    assert.equal(refusal.code, 'POLICY_DENIED');
    assert.equal(external.asked.length, 1);
  });
});
