import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hostOf, hostPatternsOf } from './host.ts';

describe('hostOf()', () => {
  test('leaves out the port, the dot of the DNS root, and case', () => {
    assert.equal(hostOf('Secret.com:80'), 'secret.com');
    assert.equal(hostOf('secret.com.'), 'secret.com');
    assert.equal(hostOf('10.0.0.1:80'), '10.0.0.1');
    assert.equal(hostOf('[::1]:80'), '[::1]');
    assert.equal(hostOf('[::1]'), '[::1]');
    assert.equal(hostOf(''), '');
  });
});

describe('hostPatternsOf()', () => {
  test('the host itself, its wildcards from the longest, any host', () => {
    assert.deepEqual(hostPatternsOf('a.b.c'), ['a.b.c', '*.b.c', '*.c', '']);
    assert.deepEqual(hostPatternsOf('a'), ['a', '']);
  });

  test('addresses and what is no name have no wildcards', () => {
    assert.deepEqual(hostPatternsOf('[::1]'), ['[::1]', '']);
    assert.deepEqual(hostPatternsOf(''), ['']);
    assert.equal(hostPatternsOf('a.'.repeat(5000)).length, 2);
  });
});
