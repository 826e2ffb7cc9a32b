// `npm test`: every test file, unit tests first, then the slower rungs of the ladder, each rung with its own concurrency.
// `npm test -- PATTERN...` runs only files whose path contains a pattern; `--repeat N` runs them N times, stopping at red.

import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { repeat: { type: 'string', default: '1' } },
});

// Files of the slower rungs mostly wait, so that more of them run at once than there are cores.
// A rung's time limit is for one test: far above what it needs, so that only a hang meets it.
const RUNGS = [
  {
    name: 'unit, contract and flow',
    pick: (file: string) => !/^test\/(netns|e2e|conformance)\//.test(file),
    concurrency: 2,
    timeoutMs: 120_000,
  },
  {
    name: 'network namespaces',
    pick: (file: string) => file.startsWith('test/netns/'),
    concurrency: 4,
    timeoutMs: 240_000,
  },
  {
    name: 'end to end',
    pick: (file: string) => file.startsWith('test/e2e/'),
    concurrency: 3,
    timeoutMs: 300_000,
  },
  {
    name: 'conformance',
    pick: (file: string) => file.startsWith('test/conformance/'),
    concurrency: 2,
    timeoutMs: 240_000,
  },
];

// One file that hangs must not hold the others, nor the whole run.
const FILE_LIMIT_MS = 600_000;

const files = globSync('**/*.test.ts', {
  exclude: (name) => name === 'node_modules' || name === 'dist',
})
  .filter(
    (file) => positionals.length === 0 || positionals.some((pattern) => file.includes(pattern)),
  )
  .sort();
if (files.length === 0) {
  process.stderr.write(`Cannot test: no test file matches ${positionals.join(' ')}\n`);
  process.exit(2);
}

for (let round = 1; round <= Number(values.repeat); round++) {
  for (const rung of RUNGS) {
    const picked = files.filter(rung.pick);
    if (picked.length === 0) continue;
    process.stdout.write(
      `# ${rung.name}: ${picked.length} files${round > 1 ? `, round ${round}` : ''}\n`,
    );
    const reporter = process.stdout.isTTY || process.env['CI'] !== undefined ? 'spec' : 'dot';
    const result = spawnSync(
      process.execPath,
      [
        '--test',
        `--import=${join(import.meta.dirname, 'file-deadline.ts')}`,
        `--test-concurrency=${rung.concurrency}`,
        `--test-timeout=${rung.timeoutMs}`,
        `--test-reporter=${reporter}`,
        ...picked.map((file) => join(process.cwd(), file)),
      ],
      {
        stdio: 'inherit',
        env: {
          ...process.env,
          AMBIT_TEST_FILE_LIMIT_MS: String(FILE_LIMIT_MS),
          // each file is a process that would read and compile the same sources again
          NODE_COMPILE_CACHE: join(process.cwd(), 'node_modules/.cache/compiled'),
        },
      },
    );
    if (result.status !== 0) process.exit(result.status ?? 1);
  }
}
