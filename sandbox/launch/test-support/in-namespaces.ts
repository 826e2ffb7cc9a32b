// Runs a test file inside network namespaces of its own, as root or as an ordinary user, so that no test can touch the
// machine's. Called at the top of each such file. Where the kernel allows none it says so on stderr and skips the file.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { probeIsolation } from '../isolation.ts';
import { withSystemPrograms } from '../requirements.ts';

/** An argument that the file's second run is started with. */
const INSIDE = '--inside-namespaces';

/**
 * `define` registers the file's tests; it is called only inside. The second run reports to the same test runner, because
 * it inherits its stdout and environment.
 */
export async function inNamespaces(
  fileUrl: string,
  define: () => void | Promise<void>,
): Promise<void> {
  if (process.argv.includes(INSIDE)) {
    await define();
    return;
  }
  const file = fileURLToPath(fileUrl);
  const isolation = await probeIsolation({ uid: process.getuid?.() ?? -1, env: process.env });
  if (isolation.mode === 'loopback') {
    process.stderr.write(`SKIPPED ${file}: ${isolation.reason}\n`);
    test(`needs network namespaces: ${file}`, { skip: isolation.reason }, () => {});
    return;
  }
  const [program = '', ...args] = isolation.prefix;
  const child = spawn(program, [...args, process.execPath, file, INSIDE], {
    stdio: 'inherit',
    env: withSystemPrograms(process.env),
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  process.exitCode = code ?? 1;
}
