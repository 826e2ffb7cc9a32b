import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepsPromise, stepsOf } from './walkthrough.ts';

test('steps are the lines of sh blocks, with what is promised of them', () => {
  const page = [
    '# Page',
    '```sh',
    "curl -w '#' web    # 200",
    'one \\',
    '  two',
    '',
    '```',
    '```yaml',
    'kind: X',
    '```',
    '```sh',
    'three  # a, b',
    '```',
  ].join('\n');
  assert.deepEqual(stepsOf(page), [
    { command: "curl -w '#' web", promised: '200' },
    { command: 'one   two', promised: undefined },
    { command: 'three', promised: 'a, b' },
  ]);
});

test('a promise is kept by every line, whatever the space between words', () => {
  assert.equal(keepsPromise('10 200, 2 429', '     10 200\n      2 429\n'), true);
  assert.equal(keepsPromise('10 200, 2 429', '     11 200\n      1 429\n'), false);
  assert.equal(keepsPromise('200', '200\n200\n'), false);
  assert.equal(keepsPromise('retry-after: …', 'retry-after: 6\r\n'), true);
  assert.equal(keepsPromise('retry-after: …', ''), false);
  assert.equal(keepsPromise('a.b', 'axb'), false);
});

test('what is about so is within four standard deviations, and of all that was asked', () => {
  assert.equal(keepsPromise('about 180 a, 20 b', '180 a\n20 b'), true);
  assert.equal(keepsPromise('about 180 a, 20 b', '196 a\n4 b'), true);
  assert.equal(keepsPromise('about 180 a, 20 b', '200 a'), false);
  assert.equal(keepsPromise('about 180 a, 20 b', '160 a\n40 b'), false);
  assert.equal(keepsPromise('about 180 a, 20 b', '180 a\n19 b'), false);
  assert.equal(keepsPromise('about 180 a, 20 b', '180 a\n20 c'), false);
});
