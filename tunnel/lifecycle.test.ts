// The table of a tunnel's states, walked whole.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Lifecycle, TUNNEL_STEPS, type TunnelLife, type TunnelState } from './lifecycle.ts';

const LIVES: Readonly<Record<TunnelState, TunnelLife>> = {
  open: { state: 'open' },
  draining: { state: 'draining' },
  ended: { state: 'ended', cause: undefined },
};
const WAYS: Readonly<Record<TunnelState, readonly TunnelState[]>> = {
  open: [],
  draining: ['draining'],
  ended: ['ended'],
};

describe('Lifecycle', () => {
  for (const from of ['open', 'draining', 'ended'] as const) {
    for (const to of ['open', 'draining', 'ended'] as const) {
      const allowed = TUNNEL_STEPS[from].includes(to);
      test(`${allowed ? 'moves' : 'does not move'} from ${from} to ${to}`, () => {
        const moves: string[] = [];
        const lifecycle = new Lifecycle((before, after) => moves.push(`${before} ${after.state}`));
        for (const step of WAYS[from]) lifecycle.move(LIVES[step]);
        moves.length = 0;
        assert.equal(lifecycle.move(LIVES[to]), allowed);
        assert.equal(lifecycle.life.state, allowed ? to : from);
        assert.deepEqual(moves, allowed ? [`${from} ${to}`] : []);
      });
    }
  }
});
