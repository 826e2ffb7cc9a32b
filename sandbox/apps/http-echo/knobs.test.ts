import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readKnobs } from './knobs.ts';
import { Tries } from './tries.ts';

const NOTHING = { delayMs: 0, status: 200, setHeaders: [], retry: undefined };

describe('readKnobs()', () => {
  for (const [target, knobs] of [
    ['/', {}],
    ['/?delay=500ms', { delayMs: 500 }],
    ['/?delay=1.5s', { delayMs: 1500 }],
    ['/?delay=soon', {}],
    ['/status/404', { status: 404 }],
    ['/status/404/more', { status: 404 }],
    ['/status/99', {}],
    ['/statuses/404', {}],
    ['/?codes=503', { status: 503 }],
    ['/?codes=700:1', {}],
    [
      '/?headers=x-a:1,x-b:%202',
      {
        setHeaders: [
          ['x-a', '1'],
          ['x-b', '2'],
        ],
      },
    ],
    ['/retry?succeedAfter=2', {}],
    ['/elsewhere?uuid=k', {}],
    [
      '/retry/it?uuid=k&succeedAfter=2',
      { retry: { key: 'k', failures: 2, status: undefined, delayMs: 0 } },
    ],
    [
      '/retry?uuid=k&succeedAfter=1&responseCode=503&delayRetry=1s',
      { retry: { key: 'k', failures: 1, status: 503, delayMs: 1000 } },
    ],
  ] as const) {
    test(`${target} asks for ${JSON.stringify(knobs)}`, () =>
      assert.deepEqual(
        readKnobs(target, undefined, () => 0),
        { ...NOTHING, ...knobs },
      ));
  }

  test('codes are chosen by their weights', () => {
    const status = (chance: number): number =>
      readKnobs('/?codes=503:1,200:3', undefined, () => chance).status;
    assert.deepEqual([0, 0.24, 0.25, 0.99].map(status), [503, 503, 200, 200]);
  });

  test('the header sets response headers, a name twice too', () => {
    assert.deepEqual(readKnobs('/', 'x-a:1, x-a: 2,nonsense', () => 0).setHeaders, [
      ['x-a', '1'],
      ['x-a', '2'],
    ]);
  });

  test('no request is refused, whatever is written', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (target, header) => {
        const { status, delayMs } = readKnobs(`/${target}`, header, () => 0.5);
        assert.ok(status >= 200 && status < 600 && delayMs >= 0);
      }),
    );
  });
});

test('tries are counted by key, and old keys are forgotten', () => {
  const tries = new Tries();
  assert.deepEqual([tries.count('a'), tries.count('a'), tries.count('b')], [1, 2, 1]);
  for (let i = 0; i < 10_000; i++) tries.count(`k${i}`);
  assert.equal(tries.count('a'), 1);
});
