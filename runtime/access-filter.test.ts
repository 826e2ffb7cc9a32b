import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type AccessFilter, AccessGate, EVERYTHING } from './access-filter.ts';

const SHOP = { namespace: 'shop' };
const BANK = { namespace: 'bank' };
const WELL = { flags: ['-'], bad: false };
const BADLY = { flags: ['UF', 'URX'], bad: true };

function gate(filter: Partial<AccessFilter>, random = 0.5, level = 'info'): AccessGate {
  const writes = (one: string): boolean => level === 'info' || one === 'error';
  return new AccessGate({ log: { writes }, random: () => random }, { ...EVERYTHING, ...filter });
}

describe('the access filter', () => {
  const ends = { from: SHOP, to: undefined };

  test('tells everything by default, and nothing below the level of the log', () => {
    assert.equal(gate({}).tells('info', ends, WELL), true);
    assert.equal(gate({}, 0.5, 'error').tells('info', ends, WELL), false);
    assert.equal(gate({}, 0.5, 'error').tells('error', ends, BADLY), true);
  });

  test('goes by the namespace of either end', () => {
    const shop = gate({ namespaces: ['shop'] });
    assert.equal(shop.tells('error', { from: BANK, to: SHOP }, BADLY), true);
    assert.equal(shop.tells('error', { from: BANK, to: undefined }, BADLY), false);
    assert.equal(shop.concerns('debug', { from: BANK, to: BANK }), false);
  });

  test('goes by any of the flags', () => {
    assert.equal(gate({ flags: ['URX'] }).tells('error', ends, BADLY), true);
    assert.equal(gate({ flags: ['-'] }).tells('error', ends, BADLY), false);
    assert.equal(gate({ flags: ['-'] }).tells('info', ends, WELL), true);
  });

  test('never leaves out by luck what ended badly', () => {
    const few = gate({ sampling: 0.1 });
    assert.equal(few.tells('info', ends, WELL), false);
    assert.equal(few.tells('error', ends, BADLY), true);
    assert.equal(gate({ sampling: 0.6 }).tells('info', ends, WELL), true);
    assert.equal(gate({ errorsOnly: true }).tells('info', ends, WELL), false);
  });
});
