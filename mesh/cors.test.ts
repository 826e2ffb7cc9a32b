import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { corsDecision, originMatches } from './cors.ts';
import { editHeaders } from './edit-request.ts';
import type { HeaderList } from './http-request.ts';
import type { CorsSettings } from './route.ts';
import { requestTo } from './test-routes.ts';

const settings = (parts: Partial<CorsSettings>): CorsSettings => ({
  allowOrigins: [],
  allowCredentials: false,
  allowMethods: [],
  allowHeaders: [],
  exposeHeaders: [],
  maxAgeSeconds: 5,
  ...parts,
});

const STRICT = settings({
  allowOrigins: ['https://www.foo.com', 'https://*.bar.com'],
  allowCredentials: true,
  allowMethods: ['GET', 'OPTIONS'],
  allowHeaders: ['x-header-1', 'x-header-2'],
  exposeHeaders: ['x-header-3', 'x-header-4'],
  maxAgeSeconds: 3600,
});

function preflight(
  cors: CorsSettings,
  origin: string,
  method: string,
  headers?: string,
): HeaderList {
  const decision = corsDecision(
    cors,
    requestTo('/', {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'access-control-request-method': method,
        ...(headers === undefined ? {} : { 'access-control-request-headers': headers }),
      },
    }),
  );
  assert.equal(decision.kind, 'preflight');
  assert.equal(decision.kind === 'preflight' && decision.status, 204);
  return decision.kind === 'preflight' ? decision.headers : [];
}

/** What is left of `answer` for the client. */
function answered(
  cors: CorsSettings,
  origin: string | undefined,
  answer: HeaderList = [],
): HeaderList {
  const headers = origin === undefined ? {} : { origin };
  const decision = corsDecision(cors, requestTo('/', { headers }));
  assert.notEqual(decision.kind, 'preflight');
  return decision.kind === 'response' ? editHeaders(answer, decision.edit) : answer;
}

describe('corsDecision() on a preflight', () => {
  test('from an origin that is allowed, exactly or by wildcard, gets all that is allowed', () => {
    for (const origin of ['https://www.foo.com', 'https://www.bar.com', 'https://a.b.bar.com']) {
      assert.deepEqual(preflight(STRICT, origin, 'GET', 'x-header-1, x-header-2'), [
        ['access-control-allow-origin', origin],
        ['access-control-allow-credentials', 'true'],
        ['access-control-allow-methods', 'GET, OPTIONS'],
        ['access-control-allow-headers', 'x-header-1, x-header-2'],
        ['access-control-expose-headers', 'x-header-3, x-header-4'],
        ['access-control-max-age', '3600'],
        ['vary', 'origin'],
      ]);
    }
  });

  test('from another origin is answered without any CORS header', () => {
    assert.deepEqual(preflight(STRICT, 'https://foobar.com', 'GET'), [['vary', 'origin']]);
  });

  test('wildcards are said as such without credentials', () => {
    const cors = settings({ allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] });
    assert.deepEqual(preflight(cors, 'https://a.com', 'PUT', 'x-1, x-2'), [
      ['access-control-allow-origin', '*'],
      ['access-control-allow-methods', '*'],
      ['access-control-allow-headers', '*'],
      ['access-control-max-age', '5'],
    ]);
  });

  test('with credentials what was asked for is echoed in place of wildcards', () => {
    const cors = settings({
      allowOrigins: ['*'],
      allowCredentials: true,
      allowMethods: ['*'],
      allowHeaders: ['*'],
      exposeHeaders: ['*'],
    });
    const granted = [
      ['access-control-allow-origin', 'https://a.com'],
      ['access-control-allow-credentials', 'true'],
      ['access-control-allow-methods', 'PUT'],
    ];
    const rest = [
      ['access-control-max-age', '5'],
      ['vary', 'origin'],
    ];
    assert.deepEqual(preflight(cors, 'https://a.com', 'PUT', 'x-1, x-2'), [
      ...granted,
      ['access-control-allow-headers', 'x-1, x-2'],
      ...rest,
    ]);
    assert.deepEqual(preflight(cors, 'https://a.com', 'PUT'), [...granted, ...rest]);
  });

  test('OPTIONS that asks for no method goes on to the service', () => {
    const request = requestTo('/', { method: 'OPTIONS', headers: { origin: 'https://a.com' } });
    assert.equal(corsDecision(STRICT, request).kind, 'response');
  });
});

describe('corsDecision() on any other request', () => {
  test('says who may read the answer, in place of what the service says', () => {
    const service: HeaderList = [
      ['access-control-allow-origin', '*'],
      ['access-control-allow-methods', 'DELETE'],
      ['content-type', 'text/plain'],
    ];
    assert.deepEqual(answered(STRICT, 'https://www.foo.com', service), [
      ['access-control-allow-origin', 'https://www.foo.com'],
      ['content-type', 'text/plain'],
      ['access-control-allow-credentials', 'true'],
      ['access-control-expose-headers', 'x-header-3, x-header-4'],
      ['vary', 'origin'],
    ]);
    assert.deepEqual(answered(STRICT, 'https://foobar.com', service), [
      ['content-type', 'text/plain'],
      ['vary', 'origin'],
    ]);
  });

  test('without an origin adds what caches have to know, or nothing where all get the same', () => {
    assert.deepEqual(answered(STRICT, undefined), [['vary', 'origin']]);
    const open = settings({ allowOrigins: ['*'] });
    assert.deepEqual(corsDecision(open, requestTo('/')), { kind: 'none' });
    assert.deepEqual(answered(open, 'https://a.com:12345'), [['access-control-allow-origin', '*']]);
  });
});

describe('originMatches()', () => {
  test('scheme, host and port have to be the same, a port that the scheme implies counts as none', () => {
    assert.ok(originMatches('https://a.com', 'https://A.com'));
    assert.ok(originMatches('https://a.com:443', 'https://a.com'));
    assert.ok(originMatches('http://a.com:8080', 'http://a.com:8080'));
    assert.ok(originMatches('http://[::1]:8080', 'http://[::1]:8080'));
    for (const origin of ['http://a.com', 'https://a.com:8443', 'https://b.a.com', 'https://a.co'])
      assert.ok(!originMatches('https://a.com', origin), origin);
  });

  test('a wildcard stands for one label or more on the left', () => {
    assert.ok(originMatches('https://*.bar.com', 'https://www.bar.com'));
    assert.ok(originMatches('https://*.bar.com', 'https://a.b.bar.com'));
    assert.ok(originMatches('https://*', 'https://a.com'));
    for (const origin of [
      'https://bar.com',
      'https://.bar.com',
      'https://foobar.com',
      'http://www.bar.com',
      'https://www.bar.com:444',
      'https://www.bar.com.evil.org',
      'https://evil.org/.bar.com',
      'https://evil.org?.bar.com',
      'https://evil.org#.bar.com',
      'https://user@www.bar.com/',
    ])
      assert.ok(!originMatches('https://*.bar.com', origin), origin);
  });

  test('what is no origin is met by * alone', () => {
    assert.ok(originMatches('*', 'null'));
    for (const origin of ['null', '', 'https://', 'www.foo.com', 'https://a.com/'])
      assert.ok(!originMatches('https://*', origin), origin);
  });
});
