import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ANY_FACTS, factsOf } from '../mesh/test-http-policies.ts';
import { compileCondition, conditionProblem } from './condition.ts';

const FACTS = factsOf({
  request: {
    authority: 'Web.Shop.:80',
    path: '/a/b',
    query: 'x=1',
    headers: [
      ['x-role', 'admin'],
      ['x-role', 'guest'],
      ['x-forwarded-for', '9.9.9.9'],
    ],
  },
  token: {
    issuer: 'https://id.test',
    claims: { sub: 'ann', level: 3, groups: ['a', 'b'], realm: { ok: true } },
  },
  sni: 'web.shop',
  trustedHops: 1,
});
const holds = (text: string, facts = FACTS): boolean | undefined => compileCondition(text)(facts);

describe('a condition', () => {
  test('sees the request, who sends it, and where to', () => {
    for (const text of [
      'request.method == "GET" && request.scheme == "http"',
      'request.host == "web.shop" && request.authority == "Web.Shop.:80"',
      'request.path.startsWith("/a/") && request.query == "x=1"',
      'request.headers["x-role"] == "admin,guest"',
      '!("x-none" in request.headers) && !has(request.headers.none)',
      'request.auth.principal == "https://id.test/ann"',
      'request.auth.claims.level >= 3 && "b" in request.auth.claims.groups',
      'request.auth.claims.realm.ok && !has(request.auth.claims.none)',
      'source.principal == "cluster.local/ns/shop/sa/web"',
      'source.namespace == "shop" && source.serviceAccount == "web"',
      'source.ip == "10.0.0.1" && remote.ip == "9.9.9.9"',
      'inRange(remote.ip, "9.0.0.0/8") && !inRange(source.ip, "9.0.0.0/8")',
      'destination.port == 80 && destination.ip == "10.0.0.2"',
      'connection.sni == "web.shop"',
      'request.path.matches("^/a/[a-z]+$")',
      'request.headers.exists(name, name.startsWith("x-"))',
      'request.auth.claims.groups.all(g, g in ["a", "b"])',
      'request.method.lowerAscii() == "get"',
    ]) {
      assert.equal(holds(text), true, text);
    }
  });

  test('without a token or an identity sees empty texts', () => {
    const nobody = factsOf({ source: { ...FACTS.source, identity: undefined } });
    assert.equal(holds('request.auth.principal == "" && source.principal == ""', nobody), true);
    assert.equal(holds('size(request.auth.claims) == 0', nobody), true);
  });

  test('that fails, or gives no bool, has no answer', () => {
    for (const text of [
      'request.headers["x-none"] == "a"',
      'request.auth.claims.none == 1',
      '1 / (destination.port - 80) == 1',
      'request.path',
      'request.path < 3',
      'inRange("x", "10.0.0.0/8")',
      'request.path.matches("(")',
    ]) {
      assert.equal(holds(text), undefined, text);
    }
    const garbled = factsOf({ trustedHops: 1, request: { headers: [['x-forwarded-for', 'x']] } });
    assert.equal(holds('remote.ip != "1.1.1.1"', garbled), undefined);
    const many = { issuer: 'i', claims: { groups: Array.from({ length: 1001 }, () => 'a') } };
    assert.equal(holds('request.method == "GET"', factsOf({ token: many })), undefined);
  });

  test('never throws, whatever the request', () => {
    const condition = compileCondition(
      'request.auth.claims.groups.exists(g, g == "a") || request.headers["x-a"] == remote.ip',
    );
    fc.assert(
      fc.property(ANY_FACTS, (facts) => {
        assert.ok([true, false, undefined].includes(condition(facts)));
      }),
    );
  });
});

describe('what is refused when it is compiled', () => {
  test('names, functions and grammar that nobody knows, with why', () => {
    assert.match(conditionProblem('requst.path == ""') ?? '', /requst is not known: .*request/);
    assert.match(conditionProblem('request.path.frobnicate()') ?? '', /frobnicate\(\)/);
    assert.match(conditionProblem('"a".split("")') ?? '', /split\(\)/);
    assert.notEqual(conditionProblem('request.path =='), undefined);
    assert.notEqual(conditionProblem(''), undefined);
    assert.equal(conditionProblem('request.path == ""'), undefined);
  });

  test('what would take too long', () => {
    const claims = 'request.auth.claims';
    assert.match(conditionProblem(`"${'a'.repeat(1024)}" == ""`) ?? '', /longer than 1024/);
    const nested = `${claims}.a.exists(x, ${claims}.b.exists(y, ${claims}.c.exists(z, x == y)))`;
    assert.match(conditionProblem(nested) ?? '', /too many steps/);
    assert.equal(conditionProblem(`${claims}.a.exists(x, x == "b")`), undefined);
  });

  test('an expression of any characters is compiled or refused, never more', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        const problem = conditionProblem(text);
        assert.ok(problem === undefined || problem.length > 0);
      }),
    );
  });
});

test('a pattern that a backtracking matcher would never be done with takes no time', () => {
  const path = `/${'a'.repeat(1000)}!`;
  assert.equal(holds('request.path.matches("^/(a+)+$")', factsOf({ request: { path } })), false);
});
