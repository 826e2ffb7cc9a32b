// Requests that try to get around policy, as bytes on the wire: each is denied, refused, or means what it seems to mean; and
// what reaches the application is what was judged. Tokens and issuers that misbehave let nobody in.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import { exportSPKI, importJWK } from 'jose';
import type { HttpPolicy, PolicyTest } from '../mesh/http-policy.ts';
import type { StringMatch } from '../mesh/policy.ts';
import type { JwtRule, KeySource } from '../mesh/request-authentication.ts';
import { type Service, serviceKey } from '../mesh/service.ts';
import { ISSUER, jwksOf, jwtRuleOf, makeKey, signToken, type TestKey } from './auth/test-issuer.ts';
import { Rig } from './test-rig.ts';

type RigService = ReturnType<Rig['service']>;

const STRANGER = 'spiffe://cluster.local/ns/shop-b/sa/client';

let rig: Rig;
let web: RigService;
/** Targets that reached the application. */
let seen: string[];

before(async () => {
  rig = await Rig.open();
  web = rig.service('web');
  await rig.http(web, 'web-1', (request, response) => {
    seen.push(request.url ?? '');
    response.end('in');
  });
});
after(() => rig.close());
beforeEach(() => {
  seen = [];
  for (const name of ['allow', 'deny', 'custom', 'audit']) {
    rig.discovery.push({ kind: 'http-policy-removed', name: `shop/${name}` });
  }
  rig.discovery.push({ kind: 'request-authentication-removed', name: 'shop/tokens' });
});

function hold(
  action: 'allow' | 'deny' | 'audit',
  ...rules: readonly (readonly PolicyTest[])[]
): void {
  const policy: HttpPolicy = {
    namespace: 'shop',
    name: action,
    targets: [{ kind: 'service', service: serviceKey(web) }],
    action,
    rules: rules.map((tests) => ({
      clauses: tests.length === 0 ? [] : [{ part: 'to', anyOf: [tests] }],
    })),
    dryRun: false,
  };
  rig.discovery.push({ kind: 'http-policy', policy });
}

const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const paths = (...values: readonly StringMatch[]): PolicyTest => {
  return { attribute: 'request.path', not: false, values };
};
const ADMIN = paths(exact('/admin'), { kind: 'prefix', value: '/admin/' });

/** The status of the answer to these bytes; 0: it was ended without one. */
async function raw(
  line: string,
  headers: readonly string[] = ['host: web'],
  to: Service & RigService = web,
): Promise<number> {
  const socket = await rig.connect(to);
  socket.on('error', () => {});
  const text = [line, ...headers, 'connection: close', '', ''].join('\r\n');
  socket.write(Buffer.from(text, 'latin1'));
  let got = '';
  try {
    for await (const chunk of socket) got += String(chunk);
  } catch {
    // ended in the middle
  }
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(got)?.[1] ?? 0);
}

const get = (path: string): Promise<number> => raw(`GET ${path} HTTP/1.1`);

describe('a path that is denied', () => {
  for (const path of [
    '/admin',
    '/admin/',
    '/admin/x',
    '//admin',
    '/./admin',
    '/x/../admin',
    '/x/%2e%2e/admin',
    '/x/%2E./admin',
    '/%61dmin',
    '/%61%64min/x',
    '/admin?x=/shop',
    '/admin%2fx',
    '/admin%2Fx',
    '/x/..%2fadmin',
    '/admin%5cx',
    '/x/..;/admin',
    '/;/admin',
    '/admin%00',
    '/admin%00.html',
    '/%00/../admin',
    '/admin\\x',
    '\\admin',
    '/x\\..\\admin',
    '/admin#x',
    '/%c0%ae%c0%ae/admin',
    '/x/%uff0e%uff0e/admin',
    '/%252e%252e/admin/../../admin',
    'http://web/admin',
    'http://web//admin',
    'HTTP://WEB/x/../admin',
  ]) {
    test(`is denied or refused as ${path}, and never reaches the application`, async () => {
      hold('deny', [ADMIN]);
      const status = await get(path);
      const passedOn = seen.filter((one) => /admin/i.test(one));
      if (status === 200) {
        // a name of its own, which no server takes for the denied one
        assert.ok(['/x/..;/admin', '/;/admin'].includes(path), `${path} was let in`);
        assert.deepEqual(passedOn, [path]);
        return;
      }
      assert.ok([400, 403].includes(status), `${path}: ${status}`);
      assert.deepEqual(passedOn, []);
    });
  }

  test('goes by case and by its end: /ADMIN and /administrator are others', async () => {
    hold('deny', [ADMIN]);
    for (const path of ['/ADMIN', '/administrator', '/admin-x', '/x/admin']) {
      assert.equal(await get(path), 200, path);
    }
  });

  test('is denied in bytes that are no UTF-8, as a path that is not allowed', async () => {
    hold('allow', [paths({ kind: 'prefix', value: '/shop' })]);
    for (const path of ['/\xff\xfe', '/%ff%fe', '/shop/\xc0\xae']) {
      assert.notEqual(await get(path), 200, JSON.stringify(path));
    }
    assert.equal(await get('/shop/a'), 200);
  });

  test('what is judged is what goes on', async () => {
    hold('allow', [paths(exact('/a/b'))]);
    for (const path of ['/a/b', '/a/./b', '/a/x/../b', '/a//b', '/%61/b']) {
      seen = [];
      assert.equal(await get(path), 200, path);
      const [forwarded = ''] = seen;
      assert.equal(new URL(forwarded, 'http://web').pathname.replaceAll('%61', 'a'), '/a/b', path);
    }
  });
});

describe('a host that is denied', () => {
  const HOST = { attribute: 'request.host', not: false, values: [exact('secret.com')] } as const;

  for (const host of [
    'secret.com',
    'Secret.COM',
    'secret.com.',
    'secret.com:80',
    'SECRET.com:8080',
    ' secret.com ',
  ]) {
    test(`is denied as "${host}"`, async () => {
      hold('deny', [HOST]);
      assert.equal(await raw('GET / HTTP/1.1', [`host: ${host}`]), 403);
      assert.deepEqual(seen, []);
    });
  }

  test('is denied in the absolute form too, whatever the header says', async () => {
    hold('deny', [HOST]);
    assert.equal(await raw('GET http://secret.com/ HTTP/1.1', ['host: other']), 403);
  });

  test('two hosts, none, or one that is no name are refused', async () => {
    hold('deny', [HOST]);
    for (const headers of [
      ['host: other', 'host: secret.com'],
      [],
      ['host: a b'],
      ['host: user@secret.com'],
      ['host: sécret.com'],
      ['host: other,secret.com'],
    ]) {
      assert.equal(await raw('GET / HTTP/1.1', headers), 400, headers.join());
    }
    assert.deepEqual(seen, []);
  });

  test('two names of HTTP/2 that differ are refused', async () => {
    hold('deny', [HOST]);
    const session = await rig.http2(web);
    const stream = session.request({ ':path': '/', ':authority': 'other', host: 'secret.com' });
    const [headers] = (await once(stream, 'response')) as [Record<string, number>];
    assert.equal(headers[':status'], 400);
    assert.deepEqual(seen, []);
  });

  test('a name that only ends or begins like it is another', async () => {
    hold('deny', [HOST]);
    for (const host of ['notsecret.com', 'secret.com.evil.test', 'secret.co']) {
      assert.equal(await raw('GET / HTTP/1.1', [`host: ${host}`]), 200, host);
    }
  });
});

describe('a header that is sent more than once', () => {
  const role = (value: string): PolicyTest => {
    return { attribute: 'request.header', name: 'x-role', not: false, values: [exact(value)] };
  };
  const cases = [
    [['x-role: bad', 'x-role: good'], 403, 403],
    [['x-role: good', 'x-role: bad'], 403, 403],
    [['X-ROLE: bad'], 403, 403],
    [['x-role: good,bad'], 403, 403],
    [['x-role: good , bad'], 403, 403],
    [['x-role: good'], 200, 200],
    [['x-role:'], 200, 403],
    [[], 200, 403],
  ] as const;
  for (const [headers, denied, allowed] of cases) {
    test(`${headers.join(' | ') || 'not at all'}: DENY if any value matches, ALLOW if all do`, async () => {
      hold('deny', [role('bad')]);
      assert.equal(await raw('GET / HTTP/1.1', ['host: web', ...headers]), denied);
      hold('deny');
      hold('allow', [role('good')]);
      assert.equal(await raw('GET / HTTP/1.1', ['host: web', ...headers]), allowed);
    });
  }

  test('names of the runtime’s own objects are headers like any other', async () => {
    const named = (name: string): PolicyTest => {
      return { attribute: 'request.header', name, not: false, values: [{ kind: 'presence' }] };
    };
    hold('allow', [named('__proto__')]);
    assert.equal(await get('/'), 403);
    assert.equal(await raw('GET / HTTP/1.1', ['host: web', '__proto__: x']), 200);
    hold('allow', [named('constructor')]);
    assert.equal(await get('/'), 403);
  });
});

describe('a method', () => {
  test('goes by case, and one that nobody knows is no GET', async () => {
    hold('allow', [{ attribute: 'request.method', not: false, values: [exact('GET')] }]);
    assert.equal(await get('/'), 200);
    for (const method of ['get', 'Get', 'GETS', 'PURGE']) {
      assert.notEqual(await raw(`${method} / HTTP/1.1`), 200, method);
    }
    assert.notEqual(await raw('GET\t / HTTP/1.1'), 200);
    assert.equal(await raw('HEAD / HTTP/1.1'), 403);
    assert.deepEqual(seen, ['/']);
  });

  test('in a header that asks for another one counts for nothing', async () => {
    hold('deny', [{ attribute: 'request.method', not: false, values: [exact('DELETE')] }]);
    const headers = ['host: web', 'x-http-method-override: DELETE'];
    assert.equal(await raw('GET / HTTP/1.1', headers), 200);
    assert.equal(await raw('DELETE / HTTP/1.1', ['host: web', 'x-http-method: GET']), 403);
  });
});

describe('who asks', () => {
  const own = (value: StringMatch): PolicyTest => {
    return { attribute: 'source.namespace', not: false, values: [value] };
  };

  test('is a whole name: namespace shop is not shop-b', async () => {
    hold('allow', [own(exact('shop'))]);
    assert.equal((await rig.ask(web)).status, 200);
    assert.equal((await rig.ask(web, { as: STRANGER })).status, 403);
  });

  test('is never what a header says', async () => {
    hold('allow', [own(exact('shop'))]);
    const headers = {
      'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/client',
      'x-ambit-source-principal': 'cluster.local/ns/shop/sa/client',
      'x-ambit-source-namespace': 'shop',
    };
    assert.equal((await rig.ask(web, { as: STRANGER, headers })).status, 403);
  });

  test('an address in X-Forwarded-For is not believed', async () => {
    hold('deny', [
      {
        attribute: 'remote.ip',
        not: true,
        values: [{ ip: '127.0.0.1' as never, prefixLength: 32 }],
      },
    ]);
    const headers = { 'x-forwarded-for': '10.1.2.3' };
    assert.equal((await rig.ask(web, { headers })).status, 200);
  });
});

describe('rules that are hardly any', () => {
  test('no rule never matches, a rule that asks nothing always does', async () => {
    hold('allow');
    assert.equal(await get('/'), 403);
    hold('allow', []);
    assert.equal(await get('/'), 200);
    hold('deny');
    assert.equal(await get('/'), 200);
    hold('deny', []);
    assert.equal(await get('/'), 403);
  });

  test('DENY is stronger than ALLOW, whichever came first', async () => {
    hold('deny', [ADMIN]);
    hold('allow', [ADMIN]);
    assert.equal(await get('/admin'), 403);
    assert.equal(await get('/shop'), 403);
  });

  test('a part that cannot be read closes ALLOW and opens DENY', async () => {
    const unreadable = { attribute: 'unreadable', why: 'it is new' } as const;
    hold('allow', [unreadable]);
    assert.equal(await get('/'), 403);
    hold('allow', []);
    hold('deny', [unreadable]);
    assert.equal(await get('/'), 403);
  });

  test('while a policy is replaced, no request sees none at all', async () => {
    hold('deny', [ADMIN]);
    const statuses = new Set<number>();
    const asking = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 5; i++) statuses.add(await get('/admin'));
    });
    const done = Promise.all(asking);
    for (let i = 0; i < 50; i++) {
      hold('deny', [ADMIN, paths({ kind: 'prefix', value: '/' })]);
      hold('deny', [ADMIN]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await done;
    assert.deepEqual([...statuses], [403]);
  });
});

describe('a token', () => {
  let key: TestKey;
  let rsa: TestKey;
  let stranger: TestKey;
  before(async () => {
    [key, rsa, stranger] = await Promise.all([
      makeKey('k1'),
      makeKey('r1', 'RS256'),
      makeKey('k1'),
    ]);
  });

  function accept(keys: KeySource, parts: Partial<JwtRule> = {}): void {
    const targets = [{ kind: 'service', service: serviceKey(web) }] as const;
    const rules = [jwtRuleOf(keys, parts)];
    const policy = { namespace: 'shop', name: 'tokens', targets, rules, broken: undefined };
    rig.discovery.push({ kind: 'request-authentication', policy });
  }
  const own = (): KeySource => ({ kind: 'inline', jwks: jwksOf(key, rsa) });
  const bear = async (token: string): Promise<number> =>
    raw('GET / HTTP/1.1', ['host: web', `authorization: Bearer ${token}`]);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = (): number => Math.floor(Date.now() / 1000);
  const sign = (
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    by: TestKey = key,
  ): Promise<string> => signToken({ key: by, nowMs: Date.now(), claims, header });

  test('that is good is let in', async () => {
    accept(own());
    assert.equal(await bear(await sign()), 200);
  });

  for (const alg of ['none', 'None', 'nOnE', '']) {
    test(`of algorithm "${alg}" is refused with 401`, async () => {
      accept(own());
      const claims = part({ iss: ISSUER, sub: 'ann', exp: now() + 60 });
      assert.equal(await bear(`${part({ alg })}.${claims}.`), 401);
    });
  }

  test('signed with the public key as if it were a secret is refused', async () => {
    accept(own());
    const pem = await exportSPKI((await importJWK(rsa.jwk)) as Parameters<typeof exportSPKI>[0]);
    const claims = part({ iss: ISSUER, sub: 'ann', exp: now() + 60 });
    const head = `${part({ alg: 'HS256', kid: 'r1' })}.${claims}`;
    const mac = createHmac('sha256', pem).update(head).digest('base64url');
    assert.equal(await bear(`${head}.${mac}`), 401);
  });

  for (const [name, header] of [
    ['the same kid', {}],
    ['a kid with a path', { kid: '../../../../dev/null' }],
    ['a kid of an object', { kid: '__proto__' }],
    ['a very long kid', { kid: 'k'.repeat(8000) }],
    ['its key in it', { jwk: { kty: 'EC' } }],
    ['an address for its key', { jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/' }],
    ['a critical extension nobody knows', { crit: ['x'], x: 1 }],
  ] as const) {
    test(`of a stranger with ${name} is refused`, async () => {
      accept(own());
      const token = await sign({}, header, stranger).catch(
        () => `${part({ alg: 'ES256', ...header })}.${part({ iss: ISSUER })}.AA`,
      );
      assert.equal(await bear(token), 401);
    });
  }

  for (const [name, claims, status] of [
    ['without an end', { exp: undefined }, 401],
    ['that has ended', { exp: () => now() - 90 }, 401],
    ['that ended within the minute clocks may differ', { exp: () => now() - 30 }, 200],
    ['that is not valid yet', { nbf: () => now() + 90 }, 401],
    ['whose end is a word', { exp: 'never' }, 401],
    ['for another audience', { aud: 'other' }, 401],
    ['for several audiences, one of them ours', { aud: ['other', 'shop'] }, 200],
    ['for an audience that is a list of nothing', { aud: [] }, 401],
    ['of another issuer', { iss: 'https://evil.test' }, 401],
    ['of an issuer in a list', { iss: [ISSUER] }, 401],
  ] as const) {
    test(`${name}: ${status}`, async () => {
      accept(own(), { audiences: ['shop'] });
      const filled = Object.fromEntries(
        Object.entries(claims).map(([claim, value]) => [
          claim,
          typeof value === 'function' ? (value as () => number)() : value,
        ]),
      );
      assert.equal(await bear(await sign(filled)), status);
    });
  }

  test('beside another one is refused, and so are bytes that are none', async () => {
    accept(own());
    const [one, two] = [await sign(), await sign({ sub: 'bob' })];
    const both = ['host: web', `authorization: Bearer ${one}`, `authorization: Bearer ${two}`];
    assert.notEqual(await raw('GET / HTTP/1.1', both), 200);
    for (const bad of [
      '.',
      '..',
      '...',
      'a.b.c',
      '%00',
      '\xff.\xff.\xff',
      one.slice(0, -3),
      `${one}.x`,
    ]) {
      assert.equal(await bear(bad), 401, JSON.stringify(bad.slice(0, 20)));
    }
    assert.deepEqual(seen, []);
  });

  test('whose issuer is away is refused, and requests without one go on', async () => {
    accept({ kind: 'fetched', uri: 'http://nobody.shop.svc.cluster.local/keys', timeoutMs: 300 });
    assert.equal(await bear(await sign()), 401);
    assert.equal(await get('/'), 200);
  });

  test('is not vouched for by an address of this machine or its neighbourhood', async () => {
    for (const host of ['127.0.0.1', '[::1]', 'localhost', '169.254.169.254', '0.0.0.0']) {
      accept({ kind: 'fetched', uri: `http://${host}:1/keys`, timeoutMs: 300 });
      assert.equal(await bear(await sign()), 401, host);
    }
  });

  for (const [name, answer] of [
    ['endless', Buffer.alloc(3 * 1024 * 1024, ' ')],
    ['no JSON', '<html>'],
    [
      'too many keys',
      () => JSON.stringify({ keys: Array.from({ length: 10_000 }, () => key.jwk) }),
    ],
    ['keys of a prototype', () => `{"__proto__":${jwksOf(key)}}`],
    ['a shared secret', JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'k1' }] })],
    ['a redirect', undefined],
  ] as const) {
    test(`whose issuer’s key set is ${name} is refused`, async () => {
      const issuer = rig.service(`issuer-${name.replaceAll(' ', '-')}`);
      const listener: RequestListener = (_, response) => {
        if (answer === undefined) {
          response.writeHead(302, { location: 'http://web.shop.svc.cluster.local/' }).end();
        } else response.end(typeof answer === 'function' ? answer() : answer);
      };
      await rig.http(issuer, issuer.name, listener);
      accept({ kind: 'fetched', uri: `http://${issuer.hostname}/keys`, timeoutMs: 2000 });
      assert.equal(await bear(await sign()), 401);
      assert.deepEqual(seen, []);
    });
  }

  test('of a key that nobody knows asks its issuer once, not for each request', async () => {
    const issuer = rig.service('issuer-asked');
    let fetches = 0;
    await rig.http(issuer, 'issuer-asked-1', (_, response) => {
      fetches++;
      response.end(jwksOf(key));
    });
    accept({ kind: 'fetched', uri: `http://${issuer.hostname}/keys`, timeoutMs: 2000 });
    for (let i = 0; i < 10; i++) {
      assert.equal(await bear(await sign({}, { kid: `new-${i}` }, stranger)), 401);
    }
    assert.ok(fetches <= 2, `${fetches} fetches`);
    assert.equal(await bear(await sign()), 200);
  });
});
