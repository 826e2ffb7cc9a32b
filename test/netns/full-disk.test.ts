// A disk that is really full, for what the agent keeps there.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { SnapshotStore } from '../../runtime/snapshot-store.ts';
import { TYPE_ENROLMENT } from '../../wire/discovery.ts';
import { enterNamespaces } from './namespaces.ts';

if (enterNamespaces(import.meta.filename)) {
  test('a full disk: the old snapshot stays, the failure is counted and said, and room is used when there is some', async () => {
    const disk = '/run/small-disk';
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
    const path = join(disk, 'snapshot');
    writeFileSync(path, 'the one before');
    writeFileSync(join(disk, 'filler'), Buffer.alloc(40 * 1024));
    const lines: string[] = [];
    const log = createLog({ component: 'test', write: (line) => lines.push(line) });
    const clock = new ManualClock();
    const settings = { path, cluster: 'c', node: 'n', maxAgeMs: 1e9 };
    const store = new SnapshotStore({ clock, log }, settings);
    const body = new Uint8Array(30 * 1024).fill(7);
    const resource = { name: 'a', version: '1', aliases: [], typeUrl: TYPE_ENROLMENT, body };
    store.changed(() => new Map([[TYPE_ENROLMENT, [resource]]]));
    await clock.advance(5000);
    while (clock.pending() === 0) await turn();
    assert.equal(store.failures, 1);
    assert.match(lines[0] ?? '', /ENOSPC.*Cannot save the snapshot/);
    assert.equal(readFileSync(path, 'utf8'), 'the one before');
    assert.deepEqual(readdirSync(disk).toSorted(), ['filler', 'snapshot']);
    rmSync(join(disk, 'filler'));
    await clock.advance(60_000);
    await store.close();
    const saved = await new SnapshotStore({ clock, log }, settings).load();
    assert.deepEqual(saved?.resources.get(TYPE_ENROLMENT)?.[0]?.body.length, body.length);
  });
}
