import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  missingMessage,
  type Runner,
  requirePrograms,
  withSystemPrograms,
} from './requirements.ts';

const ALL = ['nft', 'ip', 'unshare', 'nsenter', 'mount'];

function machine(
  programs: string[],
  code = 0,
): {
  find: (program: string) => boolean;
  run: Runner;
  ran: string[];
} {
  const ran: string[] = [];
  const there = new Set(programs);
  return {
    ran,
    find: (program) => there.has(program),
    run: async (command) => {
      ran.push(command.join(' '));
      if (code === 0 && command.includes('install')) for (const program of ALL) there.add(program);
      return { code, lastLine: 'E: no network' };
    },
  };
}

test('nothing is done where all programs are there', async () => {
  const { find, run, ran } = machine(ALL);
  const found = await requirePrograms({ report: () => {}, find, run }, { uid: 0, env: {} });
  assert.deepEqual(found, { state: 'met' });
  assert.deepEqual(ran, []);
});

test('as root with apt the missing programs are installed, and it is said', async () => {
  const said: string[] = [];
  const { find, run, ran } = machine(['apt-get', 'unshare', 'nsenter', 'mount']);
  const found = await requirePrograms(
    { report: (line) => said.push(line), find, run },
    { uid: 0, env: {} },
  );
  assert.deepEqual(found, { state: 'met' });
  assert.deepEqual(ran, ['apt-get install -y --no-install-recommends nftables iproute2']);
  assert.deepEqual(said, ['Installing nftables iproute2 (nft, ip not found)']);
});

test('an apt that fails is tried again with fresh lists, then the command is named', async () => {
  const { find, run, ran } = machine(['apt-get', 'ip', 'unshare', 'nsenter', 'mount'], 100);
  const found = await requirePrograms({ report: () => {}, find, run }, { uid: 0, env: {} });
  assert.equal(ran.length, 3);
  assert.equal(found.state, 'missing');
  assert.match(
    found.state === 'missing' ? missingMessage(found) : '',
    /nft not found \(apt-get failed: E: no network\); run "apt-get install -y --no-install-recommends nftables", or use "--network loopback"/,
  );
});

for (const [manager, uid, command] of [
  ['apt-get', 1000, 'sudo apt-get install -y --no-install-recommends nftables iproute2'],
  ['dnf', 0, 'dnf install -y nftables iproute'],
  ['apk', 1000, 'sudo apk add nftables iproute2'],
] as const) {
  test(`${manager} as user ${uid}: nothing is installed unasked, the exact command is named`, async () => {
    const { find, run, ran } = machine([manager, 'unshare', 'nsenter', 'mount']);
    const found = await requirePrograms({ report: () => {}, find, run }, { uid, env: {} });
    assert.equal(found.state === 'missing' ? found.command : '', command);
    assert.deepEqual(ran, []);
  });
}

test('directories of system programs are added to PATH once', () => {
  const once = withSystemPrograms({ PATH: '/bin:/home/me/bin' });
  assert.match(once['PATH'] ?? '', /^\/bin:\/home\/me\/bin:.*\/usr\/sbin/);
  assert.deepEqual(withSystemPrograms(once), once);
});
