// Room for connections: each limit refuses with its own failure, is counted, and is said once in a while.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { FAILURES } from '../mesh/failures.ts';
import { entryPath } from '../runtime/entry.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { type LimitSettings, Limits } from './limits.ts';
import { memoryLog } from './test-support/world.ts';

const SETTINGS: LimitSettings = {
  maxConnections: 100,
  maxConnectionsPerPod: 10,
  memoryFraction: 0.9,
};

function setUp(settings: Partial<LimitSettings> = {}, descriptors = 1e6) {
  const clock = new ManualClock();
  const metrics = new Metrics();
  const { log, lines } = memoryLog();
  const use = { fraction: 0.5, words: 'the heap has 1 MiB of 2 MiB', looks: 0 };
  const memory = () => {
    use.looks++;
    return use;
  };
  const parts = { clock, log, metrics };
  const limits = new Limits(parts, { ...SETTINGS, ...settings }, { memory, descriptors });
  return { clock, metrics, lines, use, limits };
}

describe('Limits', () => {
  test('each has its own failure, that a peer sees as overload', async () => {
    const { limits, metrics } = setUp();
    limits.admit({ onNode: 99, ofPod: 9 });
    const cases = [
      ['CONNECTION_LIMIT', { onNode: 100, ofPod: 0 }],
      ['POD_CONNECTION_LIMIT', { onNode: 50, ofPod: 10 }],
    ] as const;
    for (const [code, open] of cases) {
      assert.throws(() => limits.admit(open), { code });
      assert.equal(FAILURES[code].flag, 'OVERLOAD');
    }
    const few = setUp({ maxConnections: 1e6 }, 1000);
    few.limits.admit({ onNode: 374, ofPod: 0 });
    assert.throws(() => few.limits.admit({ onNode: 375, ofPod: 0 }), {
      code: 'DESCRIPTOR_LIMIT',
      message: /1000 descriptors/,
    });
    const full = setUp();
    full.use.fraction = 0.9;
    assert.throws(() => full.limits.admit({ onNode: 0, ofPod: 0 }), {
      code: 'MEMORY_LIMIT',
      message: /the heap has 1 MiB of 2 MiB/,
    });
    assert.match(await metrics.text(), /^ambit_limit_reached_total\{limit="connections"\} 1$/m);
  });

  test('memory is looked at once in a while, and connections are taken again when there is some', async () => {
    const { limits, use, clock } = setUp();
    const none = { onNode: 0, ofPod: 0 };
    use.fraction = 1;
    for (let i = 0; i < 50; i++) assert.throws(() => limits.admit(none), { code: 'MEMORY_LIMIT' });
    assert.equal(use.looks, 1);
    use.fraction = 0.1;
    await clock.advance(100);
    limits.admit(none);
  });

  test('what is refused thousands of times is said once in ten seconds, with how often', async () => {
    const { limits, lines, clock } = setUp();
    const refused = (): void =>
      assert.throws(() => limits.admit({ onNode: 100, ofPod: 0 }), { code: 'CONNECTION_LIMIT' });
    for (let i = 0; i < 1000; i++) refused();
    assert.equal(lines.length, 1);
    await clock.advance(10_000);
    refused();
    assert.equal(lines.length, 2);
    assert.equal(lines[1]?.['times'], 1001);
  });

  test('this very process is within them', () => {
    const { log } = memoryLog();
    const settings = { ...SETTINGS, memoryFraction: 0.99 };
    new Limits({ clock: new ManualClock(), log }, settings).admit({ onNode: 0, ofPod: 0 });
  });
});

test('with no descriptor left at all, a connection that comes is closed at once: others go on, nothing spins', async () => {
  const program = [entryPath('node-agent/test-support/few-descriptors-program')];
  const child = spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, ...program]);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.stderr.pipe(process.stderr);
  await once(child, 'close');
  const { accepted, served, cpuPart, again } = JSON.parse(said) as Record<string, number>;
  assert.equal(accepted, 1, 'the one that came too late was not taken');
  assert.equal(served, 1, 'the open connection is served meanwhile');
  assert.ok(cpuPart! < 0.5, `the process used ${cpuPart} of a core while it could not accept`);
  assert.equal(again, 1, 'once there are descriptors again, connections are taken again');
});
