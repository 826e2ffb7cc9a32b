import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { GatewayListener } from './gateway-listeners.ts';
import { pickListener } from './pick-listener.ts';

function listener(hostname: string): GatewayListener {
  return { name: hostname === '' ? 'any' : hostname, port: 80, hostname, serves: { kind: 'http' } };
}

const ALL = ['', '*.com', '*.bar.com', 'foo.bar.com', '*.foo.bar.com'].map(listener);

describe('pickListener()', () => {
  const cases = [
    ['foo.bar.com', 'foo.bar.com'],
    ['FOO.bar.com.:8080', 'foo.bar.com'],
    ['x.foo.bar.com', '*.foo.bar.com'],
    ['boo.bar.com', '*.bar.com'],
    ['a.b.bar.com', '*.bar.com'],
    ['bar.com', '*.com'],
    ['com', ''],
    ['', ''],
    ['10.0.0.1', ''],
    ['[::1]:80', ''],
  ] as const;
  for (const [host, expected] of cases) {
    test(`"${host}" meets "${expected}"`, () => {
      assert.equal(pickListener(ALL, host)?.hostname, expected);
    });
  }

  test('nothing is met where no listener covers the host', () => {
    const named = ALL.filter(({ hostname }) => hostname !== '');
    assert.equal(pickListener(named, 'x.example'), undefined);
    assert.equal(pickListener(named, ''), undefined);
  });

  test('the order of the listeners decides nothing', () => {
    const shuffled = fc.shuffledSubarray(ALL, { minLength: ALL.length });
    const host = fc.constantFrom(...cases.map(([one]) => one));
    fc.assert(
      fc.property(shuffled, host, (listeners, asked) => {
        assert.equal(pickListener(listeners, asked), pickListener(ALL, asked));
      }),
    );
  });
});
