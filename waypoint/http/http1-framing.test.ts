import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { framingProblem, type RawHead } from './http1-framing.ts';

function statusFor(lines: readonly string[], over: Partial<RawHead> = {}): number | undefined {
  return framingProblem({
    method: 'GET',
    httpVersion: '1.1',
    rawHeaders: ['Host', 'a', ...lines],
    upgrades: false,
    ...over,
  })?.status;
}

describe('the framing of a request', () => {
  test('is taken where there is one way to read it', () => {
    assert.equal(statusFor([]), undefined);
    assert.equal(statusFor(['content-length', '5']), undefined);
    assert.equal(statusFor(['transfer-encoding', 'Chunked']), undefined);
    assert.equal(statusFor(['content-length', '0'], { upgrades: true }), undefined);
  });

  test('is refused with two Hosts, even with the same', () => {
    assert.equal(statusFor(['host', 'a']), 400);
    assert.equal(statusFor(['HOST', 'b']), 400);
  });

  test('is refused without a Host, unless it is HTTP/1.0', () => {
    assert.equal(statusFor([], { rawHeaders: [] }), 400);
    assert.equal(statusFor([], { rawHeaders: [], httpVersion: '1.0' }), undefined);
  });

  test('is refused with a method of RTSP', () => {
    assert.equal(statusFor([], { method: 'DESCRIBE' }), 501);
  });

  test('is refused with another transfer coding than chunked', () => {
    assert.equal(statusFor(['transfer-encoding', 'gzip, chunked']), 501);
    for (const coding of ['gzip', 'identity', ', chunked', 'chunked, gzip', 'chunked;a=b', '']) {
      assert.equal(statusFor(['transfer-encoding', coding]), 400, coding);
    }
    const twice = ['transfer-encoding', 'identity', 'transfer-encoding', 'chunked'];
    assert.equal(statusFor(twice), 400);
  });

  test('is refused in HTTP/1.0 with a transfer coding', () => {
    assert.equal(statusFor(['transfer-encoding', 'chunked'], { httpVersion: '1.0' }), 400);
  });

  test('is refused in another version than HTTP/1', () => {
    for (const httpVersion of ['2.0', '0.9', '1.2']) {
      assert.equal(statusFor([], { httpVersion }), 505, httpVersion);
    }
  });

  test('is refused with a body before another protocol', () => {
    assert.equal(statusFor(['content-length', '2'], { upgrades: true }), 400);
    assert.equal(statusFor(['transfer-encoding', 'chunked'], { upgrades: true }), 400);
  });
});
