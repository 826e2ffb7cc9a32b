import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Result } from '../../sandbox/apps/http-client/result.ts';
import type { HttpEcho } from '../../sandbox/apps/http-echo/answer.ts';
import { shareProblems } from './shares.ts';

const SHARES = { 'echo-v1': 0.7, 'echo-v2': 0.3 };

function answers(counts: Readonly<Record<string, number>>): Result[] {
  return Object.entries(counts).flatMap(([name, count]) =>
    Array.from({ length: count }, (): Result => {
      const echo = { hostname: `${name}-5d9c-x2x` } as HttpEcho;
      return { ok: true, status: 200, headers: [], echo };
    }),
  );
}

describe('shareProblems()', () => {
  test('five percentage points either way are within', () => {
    assert.deepEqual(shareProblems(answers({ 'echo-v1': 65, 'echo-v2': 35 }), 100, SHARES), []);
    assert.deepEqual(shareProblems(answers({ 'echo-v1': 75, 'echo-v2': 25 }), 100, SHARES), []);
    assert.match(
      shareProblems(answers({ 'echo-v1': 64, 'echo-v2': 36 }), 100, SHARES).join(),
      /echo-v1 answered 64\.0 %, expected 70 %/,
    );
  });

  test('nobody else may answer', () => {
    const all = answers({ 'echo-v1': 69, 'echo-v2': 30, 'echo-v3': 1 });
    assert.deepEqual(shareProblems(all, 100, SHARES), ['echo-v3 answered 1 and has no share']);
  });

  test('each must be answered', () => {
    const all = [
      ...answers({ 'echo-v1': 69, 'echo-v2': 30 }),
      { ok: false, error: 'late' } as const,
    ];
    assert.match(shareProblems(all, 100, SHARES)[0] ?? '', /was not answered: .*late/);
    assert.match(shareProblems(all.slice(1), 100, SHARES).join(), /99 of 100 were told of/);
  });
});
