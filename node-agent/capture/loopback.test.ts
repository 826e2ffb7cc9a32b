// Capture in loopback mode: what is written for the pods' programs, looked after, and taken back.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { enrolmentOf, memoryLog } from '../test-support/world.ts';
import { loopbackCapture } from './loopback.ts';

const POD = enrolmentOf({ name: 'web', uid: 'uid-web', addresses: ['127.77.0.1'] });

describe('loopback capture', () => {
  let directory: string;
  let file: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'ambit-loopback-'));
    await mkdir(join(directory, POD.podUid));
    file = join(directory, POD.podUid, 'redirect.json');
  });
  after(() => rm(directory, { recursive: true }));

  test('a redirection that somebody changed or deleted is put back at the next look', async () => {
    const capture = await loopbackCapture({ clock: systemClock }, { directory }).open(POD);
    await capture.redirect(POD);
    const written = await readFile(file, 'utf8');
    assert.equal(await capture.verify(), undefined);
    for (const change of [() => rm(file), () => writeFile(file, '{}')]) {
      await change();
      assert.equal(await capture.verify(), 'rules-changed');
      assert.equal(await readFile(file, 'utf8'), written);
      assert.equal(await capture.verify(), undefined);
    }
    await capture.remove();
    assert.deepEqual(await readdir(join(directory, POD.podUid)), []);
    await capture.close();
  });

  test('options that it cannot keep to are said, not passed over', async () => {
    const { log, lines } = memoryLog();
    const capture = await loopbackCapture({ clock: systemClock, log }, { directory }).open(POD);
    await capture.redirect(POD);
    assert.equal(lines.length, 0);
    await capture.redirect({
      ...POD,
      capture: { ...POD.capture, dns: 'off', bypassInbound: true },
    });
    assert.equal(lines.length, 0);
    await capture.redirect({ ...POD, capture: { ...POD.capture, dns: 'on' } });
    const [line] = lines;
    assert.match(String(line?.['message']), /annotations do not hold/);
    assert.equal(line?.['pod'], 'shop/web');
    await capture.remove();
    await capture.close();
  });

  test('what cannot be put back is an error for that pod', async () => {
    const capture = await loopbackCapture({ clock: systemClock }, { directory }).open(POD);
    await capture.redirect(POD);
    await rm(join(directory, POD.podUid), { recursive: true });
    assert.equal(await capture.vanished(), true);
    await assert.rejects(capture.verify(), { name: 'CaptureError', reason: 'CaptureFailed' });
    await capture.close();
  });
});
