// runInside() in the test's own namespace: output, failures, input. Another namespace is test/netns' matter.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { CommandError, runInside } from './commands.ts';
import { inNetns, openNetns } from './syscalls.ts';

const skip = whyNot();
if (skip !== undefined)
  process.stderr.write(`SKIPPED node-agent/capture/commands.test.ts: ${skip}\n`);

/** Entering even one's own namespace takes a right that plain containers lack. */
function whyNot(): string | undefined {
  if (spawnSync('ip', ['-V']).error !== undefined) return 'ip is not installed';
  const netns = openNetns('/proc/self/ns/net');
  try {
    inNetns(netns, () => {});
    return undefined;
  } catch (error) {
    return `this process may not enter network namespaces: ${String(error)}`;
  } finally {
    netns.close();
  }
}

describe('runInside()', { skip: skip !== undefined }, () => {
  test('gives what the program printed', async () => {
    const netns = openNetns('/proc/self/ns/net');
    assert.match(await runInside(netns, 'ip', ['-V']), /ip utility/);
    netns.close();
  });

  test('says what the program complained about', async () => {
    const netns = openNetns('/proc/self/ns/net');
    await assert.rejects(runInside(netns, 'ip', ['-batch', '-'], 'nonsense\n'), (error) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.missing, false);
      assert.match(error.message, /^ip -batch - failed: .*nonsense/);
      return true;
    });
    netns.close();
  });
});
