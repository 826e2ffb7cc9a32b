// `npm run check`: everything that can be said about the code without running it. Each step names itself; the first
// lines of a failing step say what to mend. Exit code 1 when any step fails.

import { spawnSync } from 'node:child_process';
import { borderProblems } from './borders.ts';
import { deadLinks } from './links.ts';
import { settingProblems } from './settings.ts';

type Step = { readonly name: string; readonly run: () => string | undefined };

function command(name: string, args: readonly string[]): () => string | undefined {
  return () => {
    const result = spawnSync(name, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
    if (result.error !== undefined)
      return `Cannot run ${name}: ${result.error.message}. Run npm ci first`;
    return result.status === 0 ? undefined : `${result.stdout}${result.stderr}`;
  };
}

function listed(look: () => string[]): () => string | undefined {
  return () => {
    const problems = look();
    return problems.length === 0 ? undefined : problems.join('\n');
  };
}

const STEPS: readonly Step[] = [
  { name: 'types', run: command('tsc', ['--noEmit']) },
  { name: 'format', run: command('biome', ['ci', '--linter-enabled=false', '--colors=off', '.']) },
  { name: 'lint', run: command('oxlint', ['--type-aware']) },
  { name: 'borders', run: listed(borderProblems) },
  { name: 'links', run: listed(deadLinks) },
  { name: 'settings', run: listed(settingProblems) },
  { name: 'unused code', run: command('knip', ['--no-progress', '--no-config-hints']) },
];

let failed = 0;
for (const step of STEPS) {
  const started = performance.now();
  const problem = step.run();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `${problem === undefined ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)\n`,
  );
  if (problem !== undefined) {
    process.stdout.write(`${problem}\n`);
    failed++;
  }
}
process.exitCode = failed === 0 ? 0 : 1;
