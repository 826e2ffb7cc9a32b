import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { redirectLocation, rewriteRequest } from './edit-request.ts';
import type { PathEdit } from './route.ts';
import { matching, requestTo } from './test-routes.ts';

const by = (path?: string) => ({ match: matching(path === undefined ? {} : { path }) });
const full = (value: string): PathEdit => ({ type: 'full', value });
const prefix = (value: string): PathEdit => ({ type: 'prefix', value });

function rewritten(target: string, edit: PathEdit, path?: string): string {
  const { path: edited } = rewriteRequest(
    requestTo(target),
    { hostname: undefined, path: edit },
    by(path),
  );
  return edited;
}

describe('rewriteRequest()', () => {
  test('replaces paths as the cases of the Gateway API say', () => {
    assert.equal(rewritten('/prefix/one/two', prefix('/one'), '/prefix/one'), '/one/two');
    assert.equal(rewritten('/strip-prefix/three', prefix('/'), '/strip-prefix'), '/three');
    assert.equal(rewritten('/strip-prefix', prefix('/'), '/strip-prefix'), '/');
    assert.equal(rewritten('/full/one/two', full('/one'), '/full/one'), '/one');
    assert.equal(rewritten('/full/x/test', full('/test'), '/full/x'), '/test');
    assert.equal(rewritten('/prefix/x/one', prefix('/prefix'), '/prefix/x'), '/prefix/one');
  });

  test('a slash at the end of prefix or replacement changes nothing', () => {
    const cases: readonly (readonly [string, string, string, string])[] = [
      ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
      ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
      ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
      ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
      ['/foo', '/foo', '/xyz', '/xyz'],
      ['/foo/', '/foo', '/xyz', '/xyz/'],
      ['/foo/bar', '/foo', '', '/bar'],
      ['/foo/', '/foo', '', '/'],
      ['/foo', '/foo', '', '/'],
      ['/foo/', '/foo', '/', '/'],
      ['/foo', '/foo', '/', '/'],
      ['/bar', '/', '/xyz', '/xyz/bar'],
    ];
    for (const [path, matched, replacement, expected] of cases)
      assert.equal(rewritten(path, prefix(replacement), matched), expected, `${path} ${matched}`);
  });

  test('a match without a path has the prefix /, one that is no prefix matched the whole path', () => {
    assert.equal(rewritten('/a/b', prefix('/x')), '/x/a/b');
    assert.equal(rewritten('/a/b', prefix('/x'), '=/a/b'), '/x');
    assert.equal(rewritten('/a/b', prefix('/x'), '~/a/.*'), '/x');
  });

  test('the query is kept, and so is all else', () => {
    const request = requestTo('/a?b=c', { method: 'POST', headers: { d: 'e' } });
    const rewrite = { hostname: undefined, path: full('/x') };
    assert.deepEqual(rewriteRequest(request, rewrite, by('/')), { ...request, path: '/x' });
  });

  test('a hostname takes the place of the authority, port and all', () => {
    const request = requestTo('/a', { host: 'echo:8080' });
    const to = (hostname: string) =>
      rewriteRequest(request, { hostname, path: undefined }, by('/')).authority;
    assert.equal(to('One.example.org'), 'one.example.org');
    assert.equal(to('a b'), 'echo:8080');
  });

  test('what may not stand in a request line is encoded', () => {
    assert.equal(
      rewritten('/a', full('/b c\r\nd?e#f\\\u00e9%20')),
      '/b%20c%0D%0Ad%3Fe%23f%5C%C3%A9%20',
    );
    assert.equal(rewritten('/a', full('\ud800')), '/%EF%BF%BD');
    assert.equal(rewritten('/a', full('no-slash')), '/no-slash');
  });

  test('a path begins with one slash, is never empty, and gets no two in a row', () => {
    const path = fc.stringMatching(/^(\/[ab]{0,2}){0,3}$/);
    const replacement = fc.stringMatching(/^[/ab]{0,5}$/);
    fc.assert(
      fc.property(path, path, replacement, (matched, rest, replacement) => {
        const wanted = matched.replaceAll(/\/+/g, '/');
        const target = `${wanted}${rest}`.replaceAll(/\/+/g, '/') || '/';
        for (const edit of [prefix(replacement), full(replacement)]) {
          assert.match(rewritten(target, edit, wanted || '/'), /^\/(?!.*\/\/)/);
        }
      }),
    );
  });
});

type Redirect = Parameters<typeof redirectLocation>[1];
const NOWHERE: Redirect = {
  scheme: undefined,
  hostname: undefined,
  path: undefined,
  port: undefined,
};

function location(
  target: string,
  filter: Partial<Redirect>,
  parts: {
    matched?: string;
    host?: string;
    scheme?: 'http' | 'https';
    listenerPort?: number;
  } = {},
): string {
  const { matched = '/', listenerPort = 80, ...request } = parts;
  return redirectLocation(
    requestTo(target, request),
    { ...NOWHERE, ...filter },
    by(matched),
    listenerPort,
  );
}

describe('redirectLocation(), by the cases of the Gateway API', () => {
  const hostname = 'example.org';

  test('to another host', () => {
    assert.equal(
      location('/hostname-redirect', { hostname }),
      'http://example.org/hostname-redirect',
    );
  });

  test('to another path', () => {
    const replacement = prefix('/replacement-prefix');
    assert.equal(
      location('/original-prefix/lemon', { path: replacement }, { matched: '/original-prefix' }),
      'http://echo/replacement-prefix/lemon',
    );
    assert.equal(
      location(
        '/full/path/original',
        { path: full('/full-path-replacement') },
        { matched: '/full' },
      ),
      'http://echo/full-path-replacement',
    );
    assert.equal(
      location('/path-and-host', { path: replacement, hostname }, { matched: '/path-and-host' }),
      'http://example.org/replacement-prefix',
    );
    assert.equal(
      location('/path-and-status', { path: replacement }, { matched: '/path-and-status' }),
      'http://echo/replacement-prefix',
    );
    assert.equal(
      location('/x', { path: full('/replacement-full'), hostname }),
      'http://example.org/replacement-full',
    );
  });

  test('to another port', () => {
    assert.equal(location('/port', { port: 8083 }), 'http://echo:8083/port');
    assert.equal(location('/p', { port: 8083, hostname }), 'http://example.org:8083/p');
  });

  test('to another scheme, whose own port is left out', () => {
    assert.equal(location('/scheme', { scheme: 'https' }), 'https://echo/scheme');
    assert.equal(location('/s', { scheme: 'https', hostname }), 'https://example.org/s');
  });

  test('the port: the filter, else that of a scheme it names, else that of the listener', () => {
    type Row = readonly ['http' | 'https', number, Partial<Redirect>, string];
    const rows: readonly Row[] = [
      ['http', 80, {}, 'http://example.org'],
      ['http', 80, { port: 80 }, 'http://example.org'],
      ['http', 80, { port: 8080 }, 'http://example.org:8080'],
      ['http', 80, { scheme: 'https' }, 'https://example.org'],
      ['http', 80, { scheme: 'https', port: 443 }, 'https://example.org'],
      ['http', 80, { scheme: 'https', port: 8443 }, 'https://example.org:8443'],
      ['http', 8080, {}, 'http://example.org:8080'],
      ['http', 8080, { port: 80 }, 'http://example.org'],
      ['http', 8080, { scheme: 'https' }, 'https://example.org'],
      ['https', 443, {}, 'https://example.org'],
      ['https', 443, { port: 443 }, 'https://example.org'],
      ['https', 443, { port: 8443 }, 'https://example.org:8443'],
      ['https', 443, { scheme: 'http' }, 'http://example.org'],
      ['https', 443, { scheme: 'http', port: 80 }, 'http://example.org'],
      ['https', 443, { scheme: 'http', port: 8080 }, 'http://example.org:8080'],
    ];
    for (const [scheme, listenerPort, filter, expected] of rows) {
      const found = location('/a', { hostname, ...filter }, { scheme, listenerPort });
      assert.equal(found, `${expected}/a`, JSON.stringify([scheme, listenerPort, filter]));
    }
  });
});

describe('redirectLocation()', () => {
  test('the port that the client wrote into Host does not count', () => {
    assert.equal(
      location('/a', {}, { host: 'echo:1234', listenerPort: 8080 }),
      'http://echo:8080/a',
    );
    assert.equal(location('/a', { port: 90 }, { host: '[::1]:1234' }), 'http://[::1]:90/a');
  });

  test('the query is kept', () => {
    const replaced = { path: full('/x') };
    assert.equal(location('/see-other?a=b&c', {}), 'http://echo/see-other?a=b&c');
    assert.equal(location('/a?', replaced), 'http://echo/x?');
  });

  test('OPTIONS * leads to the root, a request without a host to a relative reference', () => {
    assert.equal(location('*', { scheme: 'https' }), 'https://echo/');
    assert.equal(location('/a?b', { scheme: 'https' }, { host: '' }), '/a?b');
  });
});
