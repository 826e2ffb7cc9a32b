// `npm run build`: dist/ for the image and for `npm install -g`: compiled sources and the manifests, no tests.

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, globSync, rmSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
const result = spawnSync('tsc', ['--noEmit', 'false', '--project', 'tsconfig.json'], {
  stdio: 'inherit',
});
if (result.status !== 0) process.exit(result.status ?? 1);
for (const file of globSync('dist/**/*.test.{js,js.map}')) rmSync(file);
for (const folder of ['dist/test', 'dist/bench']) rmSync(folder, { recursive: true, force: true });
cpSync('manifests', 'dist/manifests', { recursive: true });
cpSync('package.json', 'dist/package.json');
chmodSync('dist/cli/main.js', 0o755);
process.stdout.write('Built dist/: node dist/cli/main.js --help\n');
