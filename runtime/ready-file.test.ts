import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLog, silentLog } from './log.ts';
import { Readiness } from './readiness.ts';
import { followReadiness } from './ready-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'ambit-ready-'));
after(() => rmSync(directory, { recursive: true }));

test('the file follows readiness, and a line left by an earlier process does not count', () => {
  const path = join(directory, 'ready');
  writeFileSync(path, 'ready\n');
  const readiness = new Readiness();
  const release = readiness.blocker('first snapshot');
  const file = followReadiness({ log: silentLog, readiness }, path);
  assert.equal(readFileSync(path, 'utf8'), 'not ready, pending: first snapshot\n');
  release();
  assert.equal(readFileSync(path, 'utf8'), 'ready\n');
  readiness.blocker('stopping');
  assert.equal(readFileSync(path, 'utf8'), 'not ready, pending: stopping\n');
  file.close();
  assert.throws(() => readFileSync(path));
});

test('a file that cannot be written is said, and nothing else fails', () => {
  const lines: string[] = [];
  const log = createLog({ component: 'test', write: (line) => lines.push(line) });
  const readiness = new Readiness();
  const file = followReadiness({ log, readiness }, join(directory, 'nowhere', 'ready'));
  assert.match(lines[0] ?? '', /Cannot write the readiness file/);
  file.close();
});
