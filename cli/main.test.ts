import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { entryPath } from '../runtime/entry.ts';
import { VERSION } from '../runtime/version.ts';

function ambit(...words: string[]): { code: number | null; stdout: string; stderr: string } {
  const result = spawnSync(process.execPath, [entryPath('cli/main'), ...words], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], KUBECONFIG: '/does/not/exist', HOME: '/does/not/exist' },
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

for (const words of [
  ['bogus'],
  ['status', '-o', 'xml'],
  ['namespace', 'add'],
  ['status', '--bogus'],
  ['waypoint', 'apply', '--for', 'pods'],
]) {
  test(`misuse exits 2 and says what is wrong: ambit ${words.join(' ')}`, () => {
    const { code, stderr } = ambit(...words);
    assert.equal(code, 2);
    assert.match(stderr, /^error: /m);
  });
}

test('help exits 0', () => {
  assert.equal(ambit('--help').code, 0);
});

test('version names the cli without a cluster', () => {
  assert.deepEqual(ambit('version', '--client'), {
    code: 0,
    stdout: `client version: ${VERSION}\n`,
    stderr: '',
  });
});

test('a waypoint is generated without a cluster', () => {
  const { code, stdout } = ambit('waypoint', 'generate', '-n', 'shop', '--for', 'all');
  assert.equal(code, 0);
  assert.match(stdout, /^apiVersion: gateway\.networking\.k8s\.io\/v1\nkind: Gateway\n/);
  assert.match(stdout, /waypoint-for: all/);
});

test('a cluster that cannot be reached exits 1 with one line that says what was tried', () => {
  const { code, stderr } = ambit('status');
  assert.equal(code, 1);
  assert.match(stderr, /^Error: .+\n$/);
});
