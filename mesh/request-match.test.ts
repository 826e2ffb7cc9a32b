import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from './address.ts';
import { authorizeRequest } from './authorize-request.ts';
import { parseCidr } from './cidr.ts';
import type { PolicyTest } from './http-policy.ts';
import { isTemplate, templateMatches, templateProblem } from './path-template.ts';
import type { StringMatch } from './policy.ts';
import { hostForms, type RequestFacts, remoteIpOf } from './request-subject.ts';
import { factsOf, httpPolicyOf, ruleOf } from './test-http-policies.ts';

const evaluate = (): boolean | undefined => undefined;
const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const PRESENT = { kind: 'presence' } as const;

function denied(test: PolicyTest, facts: RequestFacts): boolean {
  const policy = httpPolicyOf({ rules: [ruleOf(test)] });
  return authorizeRequest([policy], facts, { evaluate }).verdict === 'deny';
}
function allowed(test: PolicyTest, facts: RequestFacts): boolean {
  const policy = httpPolicyOf({ action: 'allow', rules: [ruleOf(test)] });
  return authorizeRequest([policy], facts, { evaluate }).verdict === 'allow';
}
/** What a plain answer gives: both kinds of policy see the same. */
function matches(test: PolicyTest, facts: RequestFacts): boolean {
  const yes = denied(test, facts);
  assert.equal(allowed(test, facts), yes, 'ALLOW and DENY disagree');
  return yes;
}

describe('paths', () => {
  const path = (value: string): RequestFacts => factsOf({ request: { path: value } });
  const is = (wanted: StringMatch, value: string): boolean =>
    matches({ attribute: 'request.path', not: false, values: [wanted] }, path(value));

  test('are compared exactly: case, and a slash at the end, make another path', () => {
    assert.equal(is(exact('/admin'), '/admin'), true);
    assert.equal(is(exact('/admin'), '/ADMIN'), false);
    assert.equal(is(exact('/admin'), '/admin/'), false);
    assert.equal(is({ kind: 'prefix', value: '/admin' }, '/administrator'), true);
    assert.equal(is({ kind: 'suffix', value: '/Buy' }, '/shop.Cart/Buy'), true);
    assert.equal(is(PRESENT, '*'), true);
  });

  test('a template has one segment for {*}, any number for {**}', () => {
    const cases: readonly [string, readonly string[], readonly string[]][] = [
      ['/a/{*}', ['/a/b', '/a/{*}'], ['/a', '/a/', '/a/b/c', '/b/b', '/a/b/']],
      ['/a/{*}/c', ['/a/b/c'], ['/a//c', '/a/b/c/', '/a/b', '/a/b/d']],
      ['/{*}/{*}', ['/a/b'], ['/a', '/a/', '//b']],
      ['/a/{**}', ['/a/', '/a/b', '/a/b/c/'], ['/a', '/ab/c']],
      ['/a/{**}/z', ['/a/b/z', '/a/b/c/z', '/a//z'], ['/a/z', '/a/b/zz', '/a/b/z/']],
      ['/{*}/b/{**}', ['/a/b/', '/a/b/c/d'], ['/b/', '/a/b', '/a/c/b/d']],
    ];
    for (const [template, good, bad] of cases) {
      assert.equal(templateProblem(template), undefined, template);
      for (const one of good)
        assert.equal(templateMatches(template, one), true, `${template} ${one}`);
      for (const one of bad)
        assert.equal(templateMatches(template, one), false, `${template} ${one}`);
    }
  });

  test('a template that is none is told from one, with why', () => {
    assert.equal(isTemplate('/a/{*}'), true);
    assert.equal(isTemplate('/a*'), false);
    assert.match(templateProblem('{*}') ?? '', /begins with/);
    assert.match(templateProblem('/a{*}') ?? '', /"a\{\*\}"/);
    assert.match(templateProblem('/{id}') ?? '', /"\{id\}"/);
    assert.match(templateProblem('/{*}/b*') ?? '', /"b\*"/);
    assert.match(templateProblem('/{**}/{*}') ?? '', /last/);
  });
});

describe('hosts', () => {
  const host = (authority: string, wanted: StringMatch): boolean =>
    matches(
      { attribute: 'request.host', not: false, values: [wanted] },
      factsOf({ request: { authority } }),
    );

  test('one name in its every spelling is one host', () => {
    for (const authority of [
      'Secret.com',
      'secret.com.',
      'secret.com:80',
      'SECRET.com.:80',
      ' secret.com ',
    ]) {
      assert.equal(host(authority, exact('secret.com')), true, authority);
      assert.equal(host(authority, exact('Secret.COM')), true, authority);
    }
    assert.equal(host('secret.com.evil.test', exact('secret.com')), false);
    assert.equal(host('notsecret.com', exact('secret.com')), false);
    assert.equal(host('a.secret.com:8080', { kind: 'suffix', value: '.secret.com' }), true);
  });

  test('a policy that names a port is held to it', () => {
    assert.equal(host('secret.com:80', exact('secret.com:80')), true);
    assert.equal(host('secret.com', exact('secret.com:80')), false);
    assert.equal(host('secret.com:8080', { kind: 'prefix', value: 'secret.com:' }), true);
    assert.deepEqual(hostForms('[fd00::1]:80'), ['[fd00::1]', '[fd00::1]:80']);
    assert.deepEqual(hostForms('a:'), ['a']);
    assert.deepEqual(hostForms(''), []);
  });
});

describe('headers', () => {
  const role = (...values: string[]): RequestFacts =>
    factsOf({ request: { headers: values.map((value) => ['x-role', value] as const) } });
  const is = (wanted: StringMatch, not = false): PolicyTest => ({
    attribute: 'request.header',
    name: 'x-role',
    not,
    values: [wanted],
  });

  test('one line, one value', () => {
    assert.equal(matches(is(exact('admin')), role('admin')), true);
    assert.equal(matches(is(exact('admin')), role('Admin')), false);
    assert.equal(matches(is(exact('admin')), role()), false);
    assert.equal(matches(is(PRESENT, true), role()), true);
    assert.equal(matches(is(PRESENT, true), role('x')), false);
  });

  test('of several values, DENY needs one that matches and ALLOW all of them', () => {
    for (const facts of [role('admin', 'guest'), role('guest', 'admin')]) {
      assert.equal(denied(is(exact('admin')), facts), true);
      assert.equal(allowed(is(exact('admin')), facts), false);
      assert.equal(denied(is(exact('admin'), true), facts), true);
      assert.equal(allowed(is(exact('admin'), true), facts), false);
    }
    assert.equal(denied(is(exact('admin')), role('guest, admin')), true);
    assert.equal(allowed(is(exact('admin')), role('guest, admin')), false);
    assert.equal(allowed(is(exact('admin')), role('admin', 'admin')), true);
  });

  test('a line that is a sentence with a comma is one value to ALLOW', () => {
    const agent: StringMatch = { kind: 'prefix', value: 'Mozilla/' };
    assert.equal(allowed(is(agent), role('Mozilla/5.0 (KHTML, like Gecko)')), true);
  });

  test('an empty header is not there for ALLOW, and there for DENY', () => {
    assert.equal(allowed(is(PRESENT), role('')), false);
    assert.equal(denied(is(PRESENT), role('')), true);
    assert.equal(denied(is(PRESENT, true), role('')), true);
    assert.equal(allowed(is(PRESENT, true), role('')), false);
  });
});

describe('methods', () => {
  test('go by case, and by the whole word', () => {
    const get: PolicyTest = { attribute: 'request.method', not: false, values: [exact('GET')] };
    for (const [method, yes] of [
      ['GET', true],
      ['get', false],
      ['GETS', false],
      ['GET\t', false],
    ] as const) {
      assert.equal(matches(get, factsOf({ request: { method } })), yes, method);
    }
  });
});

describe('addresses', () => {
  const via = (trustedHops: number, ...lines: string[]): RequestFacts =>
    factsOf({
      trustedHops,
      request: { headers: lines.map((line) => ['x-forwarded-for', line] as const) },
    });

  test('the client is what the last trusted proxy saw', () => {
    assert.equal(remoteIpOf(via(1, '1.1.1.1, 2.2.2.2')), '2.2.2.2');
    assert.equal(remoteIpOf(via(2, '1.1.1.1, 2.2.2.2')), '1.1.1.1');
    assert.equal(remoteIpOf(via(2, '1.1.1.1', '2.2.2.2')), '1.1.1.1');
    assert.equal(remoteIpOf(via(1, '[fd00::1]')), 'fd00::1');
    assert.equal(remoteIpOf(via(1, '[fd00::1]:443')), 'fd00::1');
    assert.equal(remoteIpOf(via(1, '1.1.1.1:443')), '1.1.1.1');
  });

  test('who wrote a header that nobody vouches for is still the caller', () => {
    assert.equal(remoteIpOf(via(0, '1.1.1.1')), '10.0.0.1');
    assert.equal(remoteIpOf(via(2, '1.1.1.1')), '10.0.0.1');
    assert.equal(remoteIpOf(via(1)), '10.0.0.1');
  });

  test('a place that holds no address keeps everybody out', () => {
    const facts = via(1, '1.1.1.1, unknown');
    assert.equal(remoteIpOf(facts), undefined);
    const inside = (not: boolean): PolicyTest => {
      return { attribute: 'remote.ip', not, values: [parseCidr('1.0.0.0/8')] };
    };
    for (const not of [false, true]) {
      assert.equal(denied(inside(not), facts), true);
      assert.equal(allowed(inside(not), facts), false);
    }
  });

  test('source, remote and destination are three', () => {
    const facts = factsOf({
      trustedHops: 1,
      request: { headers: [['x-forwarded-for', '9.9.9.9']] },
      destination: { ip: parseIp('10.0.0.2'), port: 8080 },
    });
    const at = (attribute: 'source.ip' | 'remote.ip' | 'destination.ip', range: string): boolean =>
      matches({ attribute, not: false, values: [parseCidr(range)] }, facts);
    assert.deepEqual(
      [at('source.ip', '10.0.0.1'), at('remote.ip', '9.9.9.9'), at('destination.ip', '10.0.0.2')],
      [true, true, true],
    );
    assert.equal(at('remote.ip', '10.0.0.1'), false);
  });
});

describe('tokens', () => {
  const withClaims = (claims: Record<string, unknown>): RequestFacts =>
    factsOf({ token: { issuer: 'https://id.test', claims } });
  const claim = (path: string[], wanted: StringMatch, not = false): PolicyTest => ({
    attribute: 'request.auth.claim',
    path,
    not,
    values: [wanted],
  });
  const principal: PolicyTest = {
    attribute: 'request.auth.principal',
    not: false,
    values: [exact('https://id.test/ann')],
  };

  test('the principal is issuer and subject; without a token there is none', () => {
    assert.equal(matches(principal, withClaims({ sub: 'ann' })), true);
    assert.equal(matches(principal, withClaims({ sub: 'annie' })), false);
    assert.equal(matches(principal, factsOf()), false);
    const none: PolicyTest = { ...principal, not: true, values: [PRESENT] };
    assert.equal(matches(none, factsOf()), true);
    assert.equal(matches(none, withClaims({ sub: 'ann' })), false);
  });

  test('of a list one member suffices, in scope the words are the members', () => {
    assert.equal(matches(claim(['groups'], exact('b')), withClaims({ groups: ['a', 'b'] })), true);
    assert.equal(matches(claim(['groups'], exact('b')), withClaims({ groups: 'a b' })), false);
    assert.equal(matches(claim(['scope'], exact('b')), withClaims({ scope: 'a b' })), true);
    assert.equal(
      matches(claim(['groups'], exact('b'), true), withClaims({ groups: ['b'] })),
      false,
    );
  });

  test('claims are found by path among the own ones only, and objects have no text', () => {
    const claims = withClaims({ realm: { roles: ['a'] }, verified: true, level: 3 });
    assert.equal(matches(claim(['realm', 'roles'], exact('a')), claims), true);
    assert.equal(matches(claim(['realm'], PRESENT), claims), false);
    assert.equal(matches(claim(['verified'], exact('true')), claims), true);
    assert.equal(matches(claim(['level'], exact('3')), claims), true);
    for (const path of [['constructor', 'name'], ['__proto__', 'x'], ['toString']]) {
      assert.equal(matches(claim(path, PRESENT), claims), false);
    }
  });
});

describe('conditions', () => {
  test('one that fails lets nobody in and keeps everybody out', () => {
    for (const not of [false, true]) {
      const test: PolicyTest = { attribute: 'cel', not, values: ['1 / 0 == 1'] };
      assert.equal(denied(test, factsOf()), true);
      assert.equal(allowed(test, factsOf()), false);
    }
  });

  test('the port is the one that the client asked for', () => {
    const test: PolicyTest = { attribute: 'destination.port', not: false, values: [80] };
    assert.equal(matches(test, factsOf()), true);
    assert.equal(matches({ ...test, values: [8080] }, factsOf()), false);
  });
});
