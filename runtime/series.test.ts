import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from './manual-clock.ts';
import { type SeriesCell, SeriesCells } from './series.ts';

type Cell = SeriesCell & { readonly name: string; open: boolean };

function setUp(maxCells = 3) {
  const clock = new ManualClock();
  const inUse = ({ open }: Cell): boolean => open;
  const cells = new SeriesCells<Cell>(clock, { maxCells, idleMs: 1000, inUse });
  const take = (name: string, open = false): Cell | undefined =>
    cells.take(name, () => ({ name, open, usedAt: 0 }));
  const names = (): string[] => [...cells.all()].map(({ name }) => name);
  return { clock, cells, take, names };
}

describe('series', () => {
  test('are found again, and go when nobody used them for long', async () => {
    const { clock, take, names } = setUp();
    const a = take('a');
    take('b');
    await clock.advance(600);
    assert.equal(take('a'), a);
    await clock.advance(600);
    assert.deepEqual(names(), ['a']);
  });

  test('in use stay, and the longest unused make room for new ones', async () => {
    const { clock, take, names } = setUp();
    for (const name of ['open', 'old', 'new']) {
      take(name, name === 'open');
      await clock.advance(1);
    }
    assert.ok(take('more'));
    assert.deepEqual(names(), ['open', 'new', 'more']);
  });

  test('find no room when all are in use; what stands for the rest does', () => {
    const { cells, take, names } = setUp(1);
    take('a', true);
    assert.equal(take('b'), undefined);
    const rest = { name: 'rest', open: false, usedAt: 0 };
    assert.equal(
      cells.takeAnyway('rest', () => rest),
      rest,
    );
    assert.equal(
      cells.takeAnyway('rest', () => assert.fail('it is there')),
      rest,
    );
    assert.deepEqual(names(), ['a', 'rest']);
  });
});
