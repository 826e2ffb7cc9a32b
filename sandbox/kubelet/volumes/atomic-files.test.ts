import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type FileSet, writeFileSet } from './atomic-files.ts';

async function directory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ambit-files-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

function files(content: Record<string, string>): FileSet {
  return new Map(
    Object.entries(content).map(([path, text]) => [
      path,
      { content: Buffer.from(text), mode: 0o640 },
    ]),
  );
}

test('files, also in sub-directories, are there with their modes', async (t) => {
  const path = await directory(t);
  assert.equal(await writeFileSet(path, files({ token: 'a', 'certs/ca.crt': 'b' })), true);
  assert.equal(await readFile(join(path, 'token'), 'utf8'), 'a');
  assert.equal(await readFile(join(path, 'certs/ca.crt'), 'utf8'), 'b');
  assert.equal((await stat(join(path, 'token'))).mode & 0o777, 0o640);
});

test('the same files are not written again', async (t) => {
  const path = await directory(t);
  await writeFileSet(path, files({ token: 'a' }));
  assert.equal(await writeFileSet(path, files({ token: 'a' })), false);
});

test('a change replaces all files at once and leaves none of the old', async (t) => {
  const path = await directory(t);
  await writeFileSet(path, files({ old: '1', both: '1' }));
  await writeFileSet(path, files({ both: '2', new: '2' }));
  const names = (await readdir(path)).toSorted();
  assert.deepEqual(names, ['..2', '..data', 'both', 'new']);
  assert.equal(await readFile(join(path, 'both'), 'utf8'), '2');
});

test('an empty set is a directory without files', async (t) => {
  const path = await directory(t);
  await writeFileSet(path, files({ a: '1' }));
  await writeFileSet(path, files({}));
  assert.deepEqual(
    (await readdir(path)).filter((name) => !name.startsWith('..')),
    [],
  );
});
