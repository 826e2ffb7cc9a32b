// Runs a test file inside namespaces of its own: network and mounts, and a user namespace unless we are root. Called at the
// top of every netns test file. Where the kernel forbids it, says so on stderr and leaves the file without tests.

import { spawnSync } from 'node:child_process';

const INSIDE = 'AMBIT_TEST_INSIDE_NAMESPACES';

/**
 * True when this process is inside: define the tests. False when it is not, and the file has been run in a child that was,
 * with the same stdin, stdout and stderr, so that the test runner sees its tests as this file's.
 */
export function enterNamespaces(file: string): boolean {
  // an ordinary user's PATH often ends before the folders of nft and ip
  process.env['PATH'] = `${process.env['PATH']}:/usr/sbin:/sbin`;
  if (process.env[INSIDE] !== undefined) {
    // ip keeps names of namespaces there; a mount of our own goes with us
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`Cannot mount a /run of our own: ${stderr}`);
    return true;
  }
  const missing = whatIsMissing();
  if (missing !== undefined) {
    process.stderr.write(`SKIPPED ${file}: ${missing}\n`);
    return false;
  }
  const { status, signal } = spawnSync(
    'unshare',
    [...flags(), process.execPath, ...process.execArgv, file],
    {
      stdio: 'inherit',
      env: { ...process.env, [INSIDE]: '1' },
    },
  );
  process.exitCode = status ?? (signal === null ? 1 : 128);
  return false;
}

function flags(): string[] {
  const own = ['--net', '--mount', '--fork', '--kill-child'];
  return process.getuid?.() === 0 ? own : ['--user', '--map-root-user', ...own];
}

function whatIsMissing(): string | undefined {
  for (const [program, args] of [
    ['nft', ['--version']],
    ['ip', ['-V']],
    ['unshare', ['--version']],
  ] as const) {
    if (spawnSync(program, args).error !== undefined) return `${program} is not installed`;
  }
  const probe = spawnSync('unshare', [...flags(), 'nft', 'list', 'ruleset'], { encoding: 'utf8' });
  if (probe.status !== 0) {
    return `this kernel does not let us have network namespaces: ${probe.stderr.trim()}`;
  }
  return undefined;
}
