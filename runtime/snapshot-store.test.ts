// What a proxy knows, kept on disk: what comes back is what was kept, and nothing that is wrong with the disk or the file
// is worse than a line in the log.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { TYPE_ADDRESS, TYPE_ENROLMENT } from '../wire/discovery.ts';
import { createLog } from './log.ts';
import { ManualClock } from './manual-clock.ts';
import {
  decodeSaved,
  encodeSaved,
  type SavedResources,
  SavedSnapshotError,
} from './saved-snapshot.ts';
import { SnapshotStore } from './snapshot-store.ts';

const OWN = { cluster: 'Kubernetes', node: 'node-1' };
const DAY_MS = 86_400_000;
const resources: SavedResources = new Map(
  [TYPE_ADDRESS, TYPE_ENROLMENT].map((typeUrl) => [
    typeUrl,
    ['a', 'b'].map((name) => ({
      name,
      version: `v-${name}`,
      aliases: [],
      typeUrl,
      body: new Uint8Array([1, 2, 3]),
    })),
  ]),
);

describe('a saved snapshot', () => {
  const saved = { ...OWN, savedAt: 1000, resources };
  const bytes = encodeSaved(saved);

  test('comes back as it was', () => {
    const read = decodeSaved(bytes, OWN);
    assert.equal(read.savedAt, 1000);
    assert.deepEqual(plain(read.resources), plain(resources));
  });

  test('with any one byte of it changed, or cut anywhere, is refused', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, change) => {
          const broken = Buffer.from(bytes);
          broken[at]! ^= change;
          try {
            // the time it was made is no part of what is summed up; all else is
            assert.deepEqual(plain(decodeSaved(broken, OWN).resources), plain(resources));
          } catch (error) {
            assert.ok(error instanceof SavedSnapshotError, String(error));
          }
          assert.throws(() => decodeSaved(bytes.subarray(0, at), OWN), SavedSnapshotError);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('of bytes that never were one fails as documented', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        assert.throws(() => decodeSaved(Buffer.from(garbage), OWN), SavedSnapshotError);
      }),
    );
  });

  for (const [what, expected] of [
    ['another cluster', { ...OWN, cluster: 'other' }],
    ['another node', { ...OWN, node: 'node-2' }],
  ] as const) {
    test(`of ${what} is refused`, () => {
      assert.throws(() => decodeSaved(bytes, expected), /it is of node "node-1" in cluster/);
    });
  }

  test('of another format is refused', () => {
    const other = Buffer.from(
      bytes.toString('latin1').replace('"format":1', '"format":2'),
      'latin1',
    );
    assert.throws(() => decodeSaved(other, OWN), /format 2/);
  });
});

describe('the snapshot store', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ambit-state-'));
  });
  after(() => rm(directory, { recursive: true }));

  function open(path: string, maxAgeMs = DAY_MS) {
    const lines: string[] = [];
    const log = createLog({ component: 'test', write: (line) => lines.push(line) });
    const clock = new ManualClock();
    return { clock, lines, store: new SnapshotStore({ clock, log }, { path, ...OWN, maxAgeMs }) };
  }

  test('writes a burst of changes once, readable by its owner only, and reads it back', async () => {
    const path = join(directory, 'new', 'snapshot');
    const { clock, lines, store } = open(path);
    let reads = 0;
    for (let i = 0; i < 10; i++) {
      store.changed(() => {
        reads++;
        return resources;
      });
    }
    await clock.advance(5000);
    await store.close();
    assert.equal(reads, 1);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(join(directory, 'new')), ['snapshot']);
    const again = open(path);
    assert.deepEqual(plain((await again.store.load())!.resources), plain(resources));
    assert.deepEqual(lines, []);
  });

  test('starts without what is not there, and says nothing of it', async () => {
    const { lines, store } = open(join(directory, 'nothing'));
    assert.equal(await store.load(), undefined);
    assert.deepEqual(lines, []);
  });

  test('starts without what is corrupt or too old, and says why', async () => {
    const path = join(directory, 'bad');
    await writeFile(path, 'no snapshot\n');
    const corrupt = open(path);
    assert.equal(await corrupt.store.load(), undefined);
    assert.match(corrupt.lines[0] ?? '', /header cannot be read.*Ignored the saved snapshot/);
    const old = open(path, 60_000);
    await writeFile(path, encodeSaved({ ...OWN, savedAt: old.clock.now() - 61_000, resources }));
    assert.equal(await old.store.load(), undefined);
    assert.match(old.lines[0] ?? '', /1 minutes old/);
  });

  test('takes one from the future: the clock was set back meanwhile', async () => {
    const path = join(directory, 'future');
    const { clock, store } = open(path);
    await writeFile(path, encodeSaved({ ...OWN, savedAt: clock.now() + DAY_MS, resources }));
    assert.notEqual(await store.load(), undefined);
  });

  test('says that its directory cannot be written, and the process goes on', async () => {
    const file = join(directory, 'a-file');
    await writeFile(file, '');
    const { clock, lines, store } = open(join(file, 'snapshot'));
    store.changed(() => resources);
    await clock.advance(5000);
    while (store.failures === 0) await turn();
    assert.match(lines[0] ?? '', /Cannot save the snapshot/);
    await store.close();
  });
});

function plain(all: SavedResources): unknown {
  return [...all].map(([typeUrl, some]) => [
    typeUrl,
    some.map(({ name, version, body }) => ({ name, version, body: [...body] })),
  ]);
}
