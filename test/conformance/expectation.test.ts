import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answered } from '../../sandbox/apps/http-client/result.ts';
import type { HttpEcho } from '../../sandbox/apps/http-echo/answer.ts';
import { mismatches, type Row, wordsOf } from './expectation.ts';

const ECHO: HttpEcho = {
  hostname: 'echo-v1-5d9c-x2x',
  namespace: 'mesh',
  ip: '10.0.0.1',
  peer: '10.0.0.2:1',
  local: '10.0.0.1:8080',
  proto: 'HTTP/1.1',
  method: 'GET',
  path: '/a?b=c',
  host: 'front',
  headers: [
    ['Host', 'front'],
    ['X-Twice', '1'],
    ['x-twice', '2'],
  ],
  bodyBytes: 0,
};
const ANSWER: Answered = { ok: true, status: 200, headers: [['X-Set', 'set']], echo: ECHO };
const ROW: Row = { url: 'http://front/a?b=c' };

function wrong(row: Row, answer: Partial<Answered> = {}, echo: Partial<HttpEcho> = {}): string {
  const whole = { ...ANSWER, echo: { ...ECHO, ...echo }, ...answer };
  return mismatches(row, whole, 'mesh').join('; ');
}

describe('mismatches()', () => {
  test('a request that came through unchanged has none', () => assert.equal(wrong(ROW), ''));

  test('what the row does not name is compared with the request itself', () => {
    assert.match(wrong(ROW, {}, { path: '/a' }), /^path is "\/a", expected "\/a\?b=c"$/);
    assert.match(wrong(ROW, {}, { host: 'echo-v1' }), /^host is "echo-v1", expected "front"$/);
    assert.match(wrong(ROW, {}, { method: 'POST' }), /^method/);
    assert.match(wrong(ROW, {}, { namespace: 'other' }), /^namespace/);
    assert.match(wrong(ROW, {}, { proto: 'HTTP/2.0' }), /^protocol/);
    assert.match(wrong({ ...ROW, headers: { Host: 'other' } }), /expected "other"/);
  });

  test('lines of a header are joined, a line with ", " in it is another value', () => {
    const row = { ...ROW, seen: { headers: { 'X-Twice': '1,2' } } };
    assert.equal(wrong(row), '');
    assert.match(wrong(row, {}, { headers: [['x-twice', '1, 2']] }), /is "1, 2"/);
    assert.match(wrong({ ...ROW, seen: { absent: ['x-TWICE'] } }), /expected absent/);
  });

  test('response headers, present and absent', () => {
    assert.equal(wrong({ ...ROW, response: { headers: { 'x-set': 'set' }, absent: ['y'] } }), '');
    assert.match(wrong({ ...ROW, response: { headers: { y: '1' } } }), /y is absent/);
    assert.match(wrong({ ...ROW, response: { absent: ['X-Set'] } }), /is "set"/);
  });

  test('a Location is the same whether its port is written or is the scheme’s own', () => {
    const row = { ...ROW, status: 302, location: 'https://front/a' };
    for (const location of ['https://front/a', 'https://front:443/a']) {
      assert.equal(wrong(row, { status: 302, headers: [['location', location]] }), '');
    }
    for (const location of ['http://front/a', '/a', 'https://front:80/a', 'https://front/b']) {
      assert.match(wrong(row, { status: 302, headers: [['location', location]] }), /^location/);
    }
    assert.match(wrong(row, { status: 302, headers: [] }), /^location is absent/);
  });

  test('another status, another backend, a failure, a proxy’s own answer', () => {
    assert.match(
      wrong(ROW, { status: 503, body: 'no' }),
      /^status is 503, expected 200; body "no"/,
    );
    assert.match(wrong({ ...ROW, backend: 'echo-v2' }), /echo-v1-5d9c-x2x answered/);
    assert.deepEqual(mismatches(ROW, { ok: false, error: 'late' }, 'mesh'), ['it failed: late']);
    const { echo: _, ...page } = ANSWER;
    assert.match(mismatches(ROW, page, 'mesh')[0] ?? '', /^no echo answered/);
    assert.equal(wrong({ ...ROW, status: [404, 503] }, { status: 404 }), '');
  });

  test('gRPC: the status of the call, the path of the method', () => {
    const row = { url: 'grpc://front:7070' };
    const seen = {
      method: 'POST',
      path: '/proto.EchoTestService/Echo',
      host: 'front:7070',
      proto: 'HTTP/2.0',
    } as const;
    const ended = (status: number) => ({ grpc: { status, message: '' } });
    assert.equal(wrong(row, ended(0), seen), '');
    assert.match(wrong(row, ended(14), seen), /grpc-status is 14, expected 0/);
    assert.match(wrong(row, {}, seen), /grpc-status is absent/);
    assert.equal(wrong({ ...row, grpc: 12 }, ended(12)), '');
  });
});

test('wordsOf() says a row in the words of the client', () => {
  const row: Row = { url: 'http://a/', method: 'PUT', headers: { A: '1' }, words: ['--count=2'] };
  assert.deepEqual(wordsOf(row), ['http://a/', '--method=PUT', '-H', 'A: 1', '--count=2']);
});
