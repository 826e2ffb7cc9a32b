import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { projectPath } from './entry.ts';
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
  assert.equal(readFileSync(path, 'utf8'), `not ready, pending: first snapshot\n${process.pid}\n`);
  release();
  assert.equal(readFileSync(path, 'utf8'), `ready\n${process.pid}\n`);
  readiness.blocker('stopping');
  assert.equal(readFileSync(path, 'utf8'), `not ready, pending: stopping\n${process.pid}\n`);
  file.close();
  assert.throws(() => readFileSync(path));
});

test('the probe of the manifest believes a living process that says ready, and nobody else', () => {
  const manifest = readFileSync(projectPath('manifests/node-agent/daemonset.yaml'), 'utf8');
  const script = /^ +- '(\{ read -r state;.*)'$/m.exec(manifest)?.[1] ?? '';
  const path = join(directory, 'probed');
  const probe = (): number | null =>
    spawnSync('sh', ['-c', script], { env: { AMBIT_READY_FILE: path } }).status;
  assert.notEqual(probe(), 0, 'there is no file yet');
  const readiness = new Readiness();
  const release = readiness.blocker('first snapshot');
  const file = followReadiness({ log: silentLog, readiness }, path);
  assert.notEqual(probe(), 0);
  release();
  assert.equal(probe(), 0);
  const { pid } = spawnSync('true');
  writeFileSync(path, `ready\n${pid}\n`);
  assert.notEqual(probe(), 0, 'its process has ended');
  file.close();
});

test('a file that cannot be written is said, and nothing else fails', () => {
  const lines: string[] = [];
  const log = createLog({ component: 'test', write: (line) => lines.push(line) });
  const readiness = new Readiness();
  const file = followReadiness({ log, readiness }, join(directory, 'nowhere', 'ready'));
  assert.match(lines[0] ?? '', /Cannot write the readiness file/);
  file.close();
});
