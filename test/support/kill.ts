// The program of a pod killed as a crash does it: nothing of it is asked, nothing ends in order. Used by end-to-end tests.

import assert from 'node:assert/strict';
import type { PodName } from './pod-api.ts';
import type { Sandbox } from './sandbox.ts';

/** `folder/main.ts` of this tree, found by what it was started with: pods may see the processes of others. */
export async function killProgram(sandbox: Sandbox, pod: PodName, folder: string): Promise<void> {
  const script = `
    const { readdirSync, readFileSync } = require('node:fs');
    const read = (pid, file) => {
      try { return readFileSync('/proc/' + pid + '/' + file, 'utf8').split('\\0'); } catch { return []; }
    };
    const pids = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).filter((pid) =>
      read(pid, 'cmdline').some((word) => /\\/${folder.replaceAll('/', '\\/')}\\/main\\.[jt]s$/.test(word)) &&
      read(pid, 'environ').includes('POD_NAME=${pod.name}'));
    for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
    console.log(pids.length);`;
  const { code, stdout, stderr } = await sandbox.exec(pod, [process.execPath, '-e', script]);
  // whoever asked may go with it
  if (code === 0) assert.equal(stdout, '1\n', stderr);
}
