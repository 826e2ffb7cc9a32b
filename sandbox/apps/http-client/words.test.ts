import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { placeOf, readOrder } from './words.ts';

describe('readOrder()', () => {
  test('an address alone is one GET', () => {
    assert.deepEqual(readOrder(['http://echo']), {
      scheme: 'http',
      authority: 'echo',
      target: '',
      host: 'echo',
      port: 80,
      method: 'GET',
      headers: [],
      body: '',
      count: 1,
      timeoutMs: 5000,
      serverName: undefined,
      caFile: undefined,
    });
  });

  test('the path stays as it is written', () => {
    assert.equal(readOrder(['http://echo/a/../%7e//b?x=1&x=']).target, '/a/../%7e//b?x=1&x=');
    assert.equal(readOrder(['http://echo?x=1']).target, '/?x=1');
  });

  test('headers keep their order, and a name may be there twice', () => {
    const { headers } = readOrder(['-H', 'X-A: 1', 'http://echo', '-H', 'x-a:2', '-H', 'B:']);
    assert.deepEqual(headers, [
      ['X-A', '1'],
      ['x-a', '2'],
      ['B', ''],
    ]);
  });

  test('--connect leaves the authority alone', () => {
    const order = readOrder(['https://example.org/', '--connect=[fd00::1]:8443']);
    assert.deepEqual([order.authority, order.host, order.port], ['example.org', 'fd00::1', 8443]);
  });

  for (const [words, why] of [
    [[], /No address/],
    [['ftp://a'], /use SCHEME/],
    [['http://'], /use SCHEME/],
    [['http://a', 'http://b'], /Unexpected "http:\/\/b"/],
    [['--colour=red', 'http://a'], /Unknown option "--colour=red"/],
    [['--count=0', 'http://a'], /from 1 to/],
    [['-H', 'nothing', 'http://a'], /no header/],
    [['http://a:b:c'], /no HOST or HOST:PORT/],
  ] as const) {
    test(`${JSON.stringify(words)} is refused`, () =>
      assert.throws(
        () => readOrder(words),
        (error) => {
          assert.ok(error instanceof SyntaxError);
          assert.match(error.message, why);
          return true;
        },
      ));
  }
});

test('placeOf() reads names and addresses of both families', () => {
  assert.deepEqual(placeOf('a', 80), { host: 'a', port: 80 });
  assert.deepEqual(placeOf('10.0.0.1:8080', 80), { host: '10.0.0.1', port: 8080 });
  assert.deepEqual(placeOf('[fd00::1]', 80), { host: 'fd00::1', port: 80 });
});
