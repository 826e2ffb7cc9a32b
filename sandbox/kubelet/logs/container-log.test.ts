import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../runtime/manual-clock.ts';
import { ContainerLog } from './container-log.ts';
import { type LogOptions, readLog } from './log-reader.ts';

const ALL: LogOptions = { follow: false, timestamps: false };
const open = new AbortController().signal;

async function openLog(t: TestContext, maxBytes = 1_000_000): Promise<ContainerLog> {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-log-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const log = new ContainerLog({ clock }, { path: join(directory, '0.log'), maxBytes });
  log.open();
  t.after(() => log.close());
  return log;
}

const clock = new ManualClock(Date.parse('2026-01-02T03:04:05.006Z'));

async function text(log: ContainerLog, options: Partial<LogOptions> = {}): Promise<string> {
  let all = '';
  for await (const chunk of readLog(log, { ...ALL, ...options }, open)) all += chunk.toString();
  return all;
}

test('what was written is read, however it was cut into chunks', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'ambit-log-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ maxLength: 40_000, unit: fc.constantFrom('a', 'é', '\n') })),
      async (chunks) => {
        count += 1;
        const path = join(directory, `${count}.log`);
        const log = new ContainerLog({ clock }, { path, maxBytes: 10_000_000 });
        log.open();
        const bytes = Buffer.from(chunks.join(''));
        const cut = chunks.map((chunk) => Buffer.from(chunk)).filter(({ length }) => length > 0);
        await log.copy('stdout', Readable.from(cut, { objectMode: true }));
        log.close();
        const written = bytes.toString();
        const expected = written === '' || written.endsWith('\n') ? written : `${written}\n`;
        assert.equal(await text(log), expected);
      },
    ),
    { numRuns: 50 },
  );
});

test('tailLines, limitBytes, timestamps and since choose what is shown', async (t) => {
  const log = await openLog(t);
  await log.copy('stdout', Readable.from([Buffer.from('one\ntwo\n')]));
  await clock.advance(5000);
  await log.copy('stderr', Readable.from([Buffer.from('three\n')]));
  assert.equal(await text(log, { tailLines: 2 }), 'two\nthree\n');
  assert.equal(await text(log, { tailLines: 0 }), '');
  assert.equal(await text(log, { limitBytes: 5 }), 'one\nt');
  assert.equal(await text(log, { since: clock.now() }), 'three\n');
  assert.equal(
    await text(log, { timestamps: true, tailLines: 1 }),
    '2026-01-02T03:04:10.006000000Z three\n',
  );
});

test('a log keeps two files of its limit and loses no order', async (t) => {
  const log = await openLog(t, 500);
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  for (const line of lines) await log.copy('stdout', Readable.from([Buffer.from(`${line}\n`)]));
  const shown = (await text(log)).trimEnd().split('\n');
  assert.deepEqual(shown, lines.slice(-shown.length));
  assert.ok(shown.length >= 10);
  assert.ok((await stat(log.path)).size <= 500);
  assert.ok((await stat(log.rotatedPath)).size <= 500);
});

test('a follower sees each line across rotations, and ends with the log', async (t) => {
  const log = await openLog(t, 300);
  const source = new PassThrough();
  const copying = log.copy('stdout', source);
  let seen = '';
  let wanted = 'line 0\n';
  const arrived: (() => void)[] = [];
  const following = (async () => {
    for await (const chunk of readLog(log, { ...ALL, follow: true }, open)) {
      seen += chunk.toString();
      if (seen === wanted) arrived.shift()?.();
    }
  })();
  for (let index = 0; index < 30; index++) {
    const here = new Promise<void>((resolve) => arrived.push(resolve));
    source.write(`line ${index}\n`);
    await here;
    wanted += `line ${index + 1}\n`;
  }
  source.end('last');
  await copying;
  log.close();
  await following;
  assert.equal(seen, `${wanted.replace('line 30\n', '')}last\n`);
});

test('a follower that is gone stops following', async (t) => {
  const log = await openLog(t);
  const gone = new AbortController();
  const following = readLog(log, { ...ALL, follow: true }, gone.signal).next();
  gone.abort();
  assert.equal((await following).done, true);
});
