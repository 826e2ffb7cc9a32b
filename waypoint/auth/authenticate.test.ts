import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { exportSPKI, importJWK } from 'jose';
import type { HttpRequest } from '../../mesh/http-request.ts';
import type { JwtRule, RequestAuthentication } from '../../mesh/request-authentication.ts';
import { factsOf } from '../../mesh/test-http-policies.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { type Authenticated, authenticate } from './authenticate.ts';
import { IssuerKeys } from './issuer-keys.ts';
import { ISSUER, jwksOf, jwtRuleOf, makeKey, signToken, type TestKey } from './test-issuer.ts';
import { TokenVerifier } from './verify-token.ts';

const clock = new ManualClock();
const log = createLog({ component: 'test', level: 'off' });
let key: TestKey;
let rsa: TestKey;
let stranger: TestKey;
before(async () => {
  key = await makeKey('k1');
  rsa = await makeKey('r1', 'RS256');
  stranger = await makeKey('k1');
});

const inline = (...keys: TestKey[]) => ({ kind: 'inline', jwks: jwksOf(...keys) }) as const;

function policyOf(...rules: JwtRule[]): RequestAuthentication {
  return { namespace: 'shop', name: 'r', targets: [], rules, broken: undefined };
}

function verifierOf(): TokenVerifier {
  const fetch = () => Promise.reject(new Error('nothing is fetched here'));
  return new TokenVerifier({ clock, keys: new IssuerKeys({ clock, log, fetch }) });
}

function requestWith(parts: Partial<HttpRequest>): HttpRequest {
  return factsOf({ request: parts }).request;
}

function bearing(token: string): HttpRequest {
  return requestWith({ headers: [['authorization', `Bearer ${token}`]] });
}

async function ask(
  request: HttpRequest,
  rules: JwtRule[] = [jwtRuleOf(inline(key, rsa))],
): Promise<Authenticated> {
  return authenticate([policyOf(...rules)], request, verifierOf());
}

async function whyRefused(request: HttpRequest, rules?: JwtRule[]): Promise<string> {
  const result = await ask(request, rules);
  assert.equal(result.kind, 'refused');
  if (result.kind !== 'refused') return '';
  const { status, grpcStatus, body, headers } = result.refusal;
  assert.deepEqual([status, grpcStatus], [401, 16]);
  assert.match(headers.find(([name]) => name === 'www-authenticate')?.[1] ?? '', /^Bearer error=/);
  return body;
}

const sign = (claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  signToken({ key, nowMs: clock.now(), claims, header });
const nowS = (): number => Math.floor(clock.now() / 1000);
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a good token', () => {
  test('gives its claims, and is taken out of the request', async () => {
    const result = await ask(bearing(await sign({ groups: ['a'] })));
    assert.ok(result.kind === 'known');
    assert.deepEqual([result.token?.issuer, result.token?.claims['sub']], [ISSUER, 'ann']);
    assert.deepEqual(result.request.headers, []);
  });

  test('of each algorithm that is allowed', async () => {
    for (const one of [rsa, await makeKey('ed', 'EdDSA'), await makeKey('ps', 'PS384')]) {
      const token = await signToken({ key: one, nowMs: clock.now() });
      assert.equal((await ask(bearing(token), [jwtRuleOf(inline(key, one))])).kind, 'known');
    }
  });

  test('without a kid is tried with every key that could be meant', async () => {
    const nameless = await makeKey(undefined);
    const token = await signToken({ key: nameless, nowMs: clock.now() });
    const rule = jwtRuleOf(inline(key, stranger, nameless));
    assert.equal((await ask(bearing(token), [rule])).kind, 'known');
    assert.match(await whyRefused(bearing(token), [jwtRuleOf(inline(key, stranger))]), /signature/);
  });

  test('stays in the request where the rule says so, and its claims are passed on', async () => {
    const rule = jwtRuleOf(inline(key), {
      forwardOriginalToken: true,
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [
        { header: 'x-sub', claim: 'sub' },
        { header: 'x-roles', claim: 'realm.roles' },
        { header: 'x-url', claim: 'https://id.test/kind' },
        { header: 'x-none', claim: 'none' },
        { header: 'x-odd', claim: 'odd' },
      ],
    });
    const claims = { realm: { roles: ['a', 'b'] }, 'https://id.test/kind': 'user', odd: 'ä\r\nx' };
    const token = await sign(claims);
    const sent = requestWith({
      headers: [
        ['x-sub', 'root'],
        ['x-none', 'root'],
        ['x-payload', 'root'],
        ['authorization', `bearer ${token}`],
      ],
    });
    const result = await ask(sent, [rule]);
    assert.ok(result.kind === 'known');
    assert.deepEqual(result.request.headers, [
      ['authorization', `bearer ${token}`],
      ['x-payload', token.split('.')[1]],
      ['x-sub', 'ann'],
      ['x-roles', 'a,b'],
      ['x-url', 'user'],
    ]);
  });

  test('is found in headers, parameters and cookies, and taken out of them', async () => {
    const token = await sign();
    const rule = jwtRuleOf(inline(key), {
      fromHeaders: [{ name: 'x-jwt', prefix: 'JWT ' }],
      fromParams: ['t'],
      fromCookies: ['session'],
    });
    const places: [Partial<HttpRequest>, Partial<HttpRequest>][] = [
      [{ headers: [['x-jwt', `JWT ${token}`]] }, { headers: [] }],
      [{ query: `a=1&t=${token}&b=2` }, { query: 'a=1&b=2', headers: [] }],
      [{ query: `t=${token}` }, { query: undefined, headers: [] }],
      [
        { headers: [['cookie', `a=1; session=${token}; b="2"`]] },
        { headers: [['cookie', 'a=1; b="2"']] },
      ],
      [{ headers: [['cookie', `session=${token}`]] }, { headers: [] }],
    ];
    for (const [parts, left] of places) {
      const result = await ask(requestWith(parts), [rule]);
      assert.ok(result.kind === 'known' && result.token !== undefined, JSON.stringify(parts));
      assert.deepEqual(result.request, { ...requestWith(parts), ...left });
    }
    const elsewhere = await ask(bearing(token), [rule]);
    assert.ok(elsewhere.kind === 'known' && elsewhere.token === undefined);
  });

  test('of one of several issuers is that issuer’s', async () => {
    const other = await makeKey('o1');
    const rules = [
      jwtRuleOf(inline(key)),
      jwtRuleOf(inline(other), { issuer: 'https://other.test' }),
    ];
    const token = await signToken({
      key: other,
      nowMs: clock.now(),
      claims: { iss: 'https://other.test' },
    });
    const result = await ask(bearing(token), rules);
    assert.ok(result.kind === 'known' && result.token?.issuer === 'https://other.test');
    const forged = await signToken({ key: other, nowMs: clock.now() });
    assert.match(await whyRefused(bearing(forged), rules), /no key/);
  });
});

describe('a bad token', () => {
  test('that nobody signed, or a shared secret did, is refused', async () => {
    const claims = { iss: ISSUER, sub: 'ann', exp: nowS() + 3600 };
    for (const alg of ['none', 'None', 'NONE']) {
      assert.match(await whyRefused(bearing(`${part({ alg })}.${part(claims)}.`)), /refused/);
    }
    // the issuer's public key taken for a secret
    const pem = await exportSPKI((await importJWK(rsa.jwk)) as Parameters<typeof exportSPKI>[0]);
    const head = `${part({ alg: 'HS256', kid: 'r1' })}.${part(claims)}`;
    const mac = createHmac('sha256', pem).update(head).digest('base64url');
    assert.match(await whyRefused(bearing(`${head}.${mac}`)), /algorithm/);
  });

  test('signed by another key is refused, whatever it says of its key', async () => {
    const forged = (header: Record<string, unknown>) =>
      signToken({ key: stranger, nowMs: clock.now(), header });
    assert.match(await whyRefused(bearing(await forged({}))), /signature/);
    assert.match(await whyRefused(bearing(await forged({ kid: 'unknown' }))), /no key/);
    assert.match(await whyRefused(bearing(await forged({ kid: '../../dev/null' }))), /no key/);
    assert.match(await whyRefused(bearing(await forged({ jwk: stranger.jwk }))), /signature/);
    assert.match(
      await whyRefused(
        bearing(await forged({ jku: 'https://evil.test/keys', x5u: 'https://evil.test' })),
      ),
      /signature/,
    );
  });

  test('of another time is refused, with a minute to spare for clocks', async () => {
    const at = async (claims: Record<string, unknown>) => bearing(await sign(claims));
    assert.match(await whyRefused(await at({ exp: nowS() - 61 })), /expired/);
    assert.equal((await ask(await at({ exp: nowS() - 58 }))).kind, 'known');
    assert.match(await whyRefused(await at({ nbf: nowS() + 62 })), /not valid yet/);
    assert.equal((await ask(await at({ nbf: nowS() + 58 }))).kind, 'known');
    assert.match(await whyRefused(await at({ exp: undefined })), /exp is missing/);
    assert.match(await whyRefused(await at({ exp: 'tomorrow' })), /refused/);
  });

  test('for somebody else, or of somebody else, is refused', async () => {
    const rules = [jwtRuleOf(inline(key), { audiences: ['shop', 'store'] })];
    const good = async (claims: Record<string, unknown>) =>
      (await ask(bearing(await sign(claims)), rules)).kind;
    assert.deepEqual(
      [await good({ aud: 'store' }), await good({ aud: ['x', 'shop'] })],
      ['known', 'known'],
    );
    for (const aud of ['shop2', ['x'], [], { shop: true }, undefined]) {
      assert.match(await whyRefused(bearing(await sign({ aud })), rules), /audience|aud/);
    }
    assert.match(await whyRefused(bearing(await sign({ iss: `${ISSUER}/` }))), /issuer/);
    assert.match(await whyRefused(bearing(await sign({ iss: [ISSUER] }))), /malformed/);
    assert.match(await whyRefused(bearing(await sign({ iss: undefined }))), /malformed/);
  });

  test('that is none is refused: empty, cut, too long, with more in it', async () => {
    const token = await sign();
    const cut = token.slice(0, -4);
    for (const bad of [
      '',
      'x',
      'a.b',
      '..',
      cut,
      `${token}.${token}`,
      'x'.repeat(20_000),
      `${token}, Bearer ${token}`,
    ]) {
      await whyRefused(bearing(bad));
    }
    const changed = `${token.split('.')[0]}.${part({ iss: ISSUER, sub: 'root', exp: nowS() + 9 })}.${token.split('.')[2]}`;
    assert.match(await whyRefused(bearing(changed)), /signature/);
  });

  test('beside another one is refused; the same one twice is one', async () => {
    const [one, two] = [await sign(), await sign({ sub: 'bob' })];
    const both = requestWith({
      headers: [
        ['authorization', `Bearer ${one}`],
        ['authorization', `Bearer ${two}`],
      ],
    });
    assert.match(await whyRefused(both), /more than one/);
    const there = { ...bearing(one), query: `access_token=${two}` };
    assert.match(await whyRefused(there), /more than one/);
    const same = await ask({ ...bearing(one), query: `access_token=${one}&a=1` });
    assert.ok(same.kind === 'known' && same.token !== undefined);
    assert.deepEqual([same.request.query, same.request.headers], ['a=1', []]);
  });

  test('of which the refusal tells the client nothing but what is wrong with it', async () => {
    const result = await ask(bearing(await sign({ exp: nowS() - 100 })));
    assert.ok(result.kind === 'refused');
    assert.deepEqual(result.refusal.headers[1], [
      'www-authenticate',
      'Bearer error="invalid_token", error_description="it has expired"',
    ]);
  });
});

describe('without a token', () => {
  test('a request goes on as nobody’s; other schemes are none of ours', async () => {
    for (const headers of [
      [],
      [['authorization', 'Basic YTpi']],
      [['authorization', 'Bearer']],
    ] as const) {
      const result = await ask(requestWith({ headers }));
      assert.ok(result.kind === 'known' && result.token === undefined, JSON.stringify(headers));
      assert.deepEqual(result.request.headers, headers);
    }
  });

  test('headers that only we say are gone all the same', async () => {
    const rule = jwtRuleOf(inline(key), { outputPayloadToHeader: 'x-payload' });
    const result = await ask(
      requestWith({
        headers: [
          ['x-payload', 'root'],
          ['a', 'b'],
        ],
      }),
      [rule],
    );
    assert.ok(result.kind === 'known');
    assert.deepEqual(result.request.headers, [['a', 'b']]);
  });

  test('where a policy cannot be read nobody gets through', async () => {
    const broken = { ...policyOf(), broken: 'of another version' };
    const result = await authenticate([policyOf(), broken], requestWith({}), verifierOf());
    assert.ok(result.kind === 'refused');
    assert.match(result.refusal.detail, /shop\/r: of another version/);
    assert.doesNotMatch(result.refusal.body, /shop/);
  });

  test('where no policy holds nothing is looked at', async () => {
    const request = bearing('rubbish');
    const result = await authenticate([], request, verifierOf());
    assert.deepEqual(result, { kind: 'known', token: undefined, request });
  });
});
