import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../mesh/address.ts';
import { type RequestTarget, readHost, readRequestTarget } from './request-target.ts';

const refused = (reason: string, status = 400) => ({ form: 'refused', reason, status });

function reason(method: string, target: string): string | undefined {
  const read: RequestTarget = readRequestTarget(method, target);
  return read.form === 'refused' ? read.reason : undefined;
}

describe('readRequestTarget()', () => {
  test('origin-form: path and query, an empty query is not none', () => {
    assert.deepEqual(readRequestTarget('GET', '/a/../b?c=/../d?e'), {
      form: 'origin',
      path: '/b',
      forwarded: '/b',
      query: 'c=/../d?e',
    });
    assert.deepEqual(readRequestTarget('GET', '/%61?'), {
      form: 'origin',
      path: '/a',
      forwarded: '/%61',
      query: '',
    });
    assert.deepEqual(readRequestTarget('GET', '/'), {
      form: 'origin',
      path: '/',
      forwarded: '/',
      query: undefined,
    });
  });

  test('absolute-form: its host counts; an empty path is /, but * for OPTIONS', () => {
    const absolute = { form: 'absolute', scheme: 'http', query: undefined };
    const read = (target: string, method = 'GET') => readRequestTarget(method, target);
    assert.deepEqual(read('http://Echo:8080/a'), {
      ...absolute,
      authority: 'echo:8080',
      path: '/a',
      forwarded: '/a',
    });
    assert.deepEqual(read('HTTPS://echo'), {
      ...absolute,
      scheme: 'https',
      authority: 'echo',
      path: '/',
      forwarded: '/',
    });
    assert.deepEqual(read('http://echo?a=b'), {
      ...absolute,
      authority: 'echo',
      path: '/',
      forwarded: '/',
      query: 'a=b',
    });
    assert.deepEqual(read('http://echo', 'OPTIONS'), {
      ...absolute,
      authority: 'echo',
      path: '*',
      forwarded: '*',
    });
    assert.equal(read('http://echo?', 'OPTIONS').form, 'absolute');
  });

  test('a URL inside a path is a path', () => {
    const read = readRequestTarget('GET', '/proxy/http://other/x');
    assert.equal(read.form === 'origin' && read.path, '/proxy/http:/other/x');
  });

  test('asterisk-form: OPTIONS alone', () => {
    assert.deepEqual(readRequestTarget('OPTIONS', '*'), {
      form: 'asterisk',
      path: '*',
      forwarded: '*',
      query: undefined,
    });
    assert.deepEqual(readRequestTarget('GET', '*'), refused('form-of-another-method'));
  });

  test('authority-form: CONNECT alone, and CONNECT in no other form', () => {
    assert.deepEqual(readRequestTarget('CONNECT', '10.0.0.1:443'), {
      form: 'authority',
      authority: { kind: 'address', ip: parseIp('10.0.0.1'), port: 443 },
    });
    for (const target of ['/a', '*', 'echo', 'http://echo:80/', 'echo:80/', ''])
      assert.deepEqual(readRequestTarget('CONNECT', target), refused('bad-host'), target);
    assert.deepEqual(readRequestTarget('GET', 'echo:80'), refused('no-leading-slash'));
  });

  test('refuses by name what is wrong', () => {
    const cases: readonly (readonly [string, string])[] = [
      ['/a#b', 'fragment'],
      ['/a?b#c', 'fragment'],
      ['http://echo#', 'fragment'],
      ['/a?b c', 'bad-query'],
      ['/a?b\u00e9', 'bad-query'],
      ['/a?\r\nx: y', 'bad-query'],
      ['/a b', 'bad-character'],
      ['/a\\b', 'backslash'],
      ['ftp://echo/', 'bad-scheme'],
      ['javascript://echo/', 'bad-scheme'],
      ['http://', 'bad-host'],
      ['http:///a', 'bad-host'],
      ['http://user@echo/', 'bad-host'],
      ['http://user:pass@echo/', 'bad-host'],
      ['http://echo:/', 'bad-host'],
      ['http://echo:0/', 'bad-host'],
      ['http://echo:99999/', 'bad-host'],
      ['http://a\\b/', 'bad-host'],
      ['http://ec ho/', 'bad-host'],
      ['http://[::1/', 'bad-host'],
      ['http:/echo/', 'no-leading-slash'],
      ['', 'no-leading-slash'],
      ['?a', 'no-leading-slash'],
    ];
    for (const [target, expected] of cases)
      assert.equal(reason('GET', target), expected, JSON.stringify(target));
  });

  test('what is too long ends with 414', () => {
    assert.deepEqual(
      readRequestTarget('GET', `/${'a'.repeat(70_000)}`),
      refused('target-too-long', 414),
    );
    assert.deepEqual(readRequestTarget('GET', `/${'a'.repeat(8192)}`), refused('too-long', 414));
    assert.equal(reason('GET', `/?${'a'.repeat(60_000)}`), undefined);
  });

  test('the query goes on as the client wrote it, whatever is in it', () => {
    const query = 'a[]=1&b=%zz&c=\\&d=%2F..%00&&=|{}"<>^`';
    const read = readRequestTarget('GET', `/a?${query}`);
    assert.equal(read.form === 'origin' && read.query, query);
  });

  test('every spelling of a path that policy forbids is either refused or that path', () => {
    const spellings = ['//admin', '/./admin', '/x/../admin', '/%61dmin', '/admin%2fx'];
    for (const target of [...spellings, '\\admin', '/admin%5cx', '/x/..;/admin', '/admin%00']) {
      const read = readRequestTarget('GET', target);
      assert.ok(
        read.form === 'refused' || (read.form === 'origin' && read.path === '/admin'),
        target,
      );
    }
  });

  test('never throws; what is accepted reads the same again, and is fit for a request line', () => {
    const piece = fc.constantFrom(
      ...'/ ? # * http:// a .b :80 %2e .. @ [::1] \u00e9'.split(' '),
      ' ',
    );
    const target = fc.oneof(
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
      fc.string({ unit: 'binary' }),
    );
    const method = fc.constantFrom('GET', 'OPTIONS', 'CONNECT');
    fc.assert(
      fc.property(method, target, (method, target) => {
        const read = readRequestTarget(method, target);
        if (read.form === 'refused' || read.form === 'authority') return;
        const { path, forwarded, query } = read;
        const line = query === undefined ? forwarded : `${forwarded}?${query}`;
        assert.match(line, /^[\x21-\x7e]+$/);
        const form = path === '*' ? 'asterisk' : 'origin';
        assert.deepEqual(readRequestTarget(method, line), { form, path, forwarded, query });
      }),
      { numRuns: 2000 },
    );
  });
});

describe('readHost()', () => {
  test('is in lower case, without the dot of the root, with the port as it came', () => {
    assert.equal(readHost('Secret.com'), 'secret.com');
    assert.equal(readHost('secret.com.'), 'secret.com');
    assert.equal(readHost('secret.com.:80'), 'secret.com:80');
    assert.equal(readHost('echo:8080'), 'echo:8080');
    assert.equal(readHost('10.0.0.1'), '10.0.0.1');
    assert.equal(readHost('[2001:DB8::1]:80'), '[2001:db8::1]:80');
    assert.equal(readHost('[::1]'), '[::1]');
  });

  test('anything else is refused', () => {
    const bad = ['', '.', ':80', 'a:', 'a:0', 'a:080', 'a:99999', 'a b', 'a ', ' a', 'a/b', 'u@a'];
    for (const text of [
      ...bad,
      'a..',
      'a..b',
      '::1',
      '[::1',
      '[a]',
      '*.a',
      'b\u00fccher.de',
      'a\n',
      'a:80\n',
    ])
      assert.equal(readHost(text), undefined, JSON.stringify(text));
  });

  test('never throws, and reads its own result the same', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.domain(), fc.stringMatching(/^[a.:[\]0-9]{0,9}$/)),
        (text) => {
          const host = readHost(text);
          if (host !== undefined) assert.equal(readHost(host), host);
        },
      ),
    );
  });
});
