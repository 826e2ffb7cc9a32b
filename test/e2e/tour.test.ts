// The tour, exactly as a newcomer starts it: it keeps its promises, ends with 0 and leaves nothing behind.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { entryPath } from '../../runtime/entry.ts';
import { leftovers, TEST_NETWORK } from '../support/sandbox.ts';

const modes = TEST_NETWORK === 'loopback' ? ['loopback'] : [TEST_NETWORK, 'loopback'];

// they mostly wait, and do not know of each other: side by side they take half the time
describe('the tour', { concurrency: true }, () => {
  for (const mode of modes) {
    test(`in ${mode} mode it shows clear text, then nothing but TLS, and leaves nothing behind`, async () => {
      const home = mkdtempSync(join(tmpdir(), 'ambit-tour-'));
      const before = { mounts: mounts(), links: links() };
      try {
        const { code, output } = await tour(home, mode);
        assert.equal(code, 0, output);
        assert.match(output, /Anybody on that wire reads this:[\s\S]*(GET|HTTP\/1\.1 200)/);
        assert.match(output, /handshakes seen, all TLS 1\.3, both sides with a certificate/);
        assert.match(output, /\d+ on port 15008, 0 anywhere else, no readable line/);
        assert.match(output, /[1-9]\d* requests answered since the label, 0 failed/);
        assert.match(output, /long-lived connections, 0 dropped/);
        assert.match(output, /the same as before, 0 restarts/);
        assert.deepEqual(leftovers(home), []);
        assert.deepEqual(processesOf(home), []);
        assert.deepEqual({ mounts: mounts(), links: links() }, before);
      } finally {
        rmSync(home, { recursive: true, force: true });
      }
    });
  }
});

function tour(home: string, mode: string): Promise<{ code: number | null; output: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [entryPath('sandbox/main'), 'demo', '--once', '--network', mode],
    { env: { ...env, XDG_STATE_HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const lastResort = (): void => void child.kill('SIGTERM');
  const onSignal = (): void => process.exit(143);
  process.on('exit', lastResort);
  process.on('SIGTERM', onSignal);
  let output = '';
  const read = (text: string): void => {
    output += text;
  };
  child.stdout.setEncoding('utf8').on('data', read);
  child.stderr.setEncoding('utf8').on('data', read);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('exit', lastResort);
      process.off('SIGTERM', onSignal);
      resolve({ code, output });
    });
  });
}

/** Every process that was started with this state directory, or names it. */
function processesOf(home: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter((pid) =>
      ['cmdline', 'environ'].some((file) => readIfThere(`/proc/${pid}/${file}`).includes(home)),
    )
    .map((pid) => readIfThere(`/proc/${pid}/cmdline`).replaceAll('\0', ' '));
}

function mounts(): string[] {
  return readIfThere('/proc/self/mountinfo').split('\n').sort();
}

function links(): string[] {
  return readdirSync('/sys/class/net').sort();
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // the process ended meanwhile, or is somebody else's
    return '';
  }
}
