// A program in the pod that may change the network (CAP_NET_ADMIN) changes our rules: it is noticed, put back and counted;
// other pods do not feel it. And rules of other versions and other programs are treated as what they are.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';
import type { PodCapture } from '../../node-agent/capture/capture.ts';
import { enrolmentOf } from '../../node-agent/test-support/world.ts';
import { CaptureBench } from './capture-bench.ts';
import { enterNamespaces } from './namespaces.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('rules that somebody else changes', () => {
    let bench: CaptureBench;
    before(() => {
      bench = new CaptureBench();
    });
    after(() => bench.end());
    afterEach(() => bench.tidy());

    async function lookTwice(capture: PodCapture): Promise<(string | undefined)[]> {
      return [await capture.verify(), await capture.verify()];
    }

    const TAMPERING = [
      ['a flushed ruleset', ['nft', 'flush', 'ruleset'], 'rules-missing'],
      ['a deleted table', ['nft', 'delete', 'table', 'inet', 'ambit'], 'rules-missing'],
      ['an emptied chain', ['nft', 'flush', 'chain', 'inet', 'ambit', 'nat_out'], 'rules-changed'],
      [
        'a rule put before ours',
        ['nft', 'insert', 'rule', 'inet', 'ambit', 'nat_out', 'accept'],
        'rules-changed',
      ],
      ['a deleted routing rule', ['ip', '-4', 'rule', 'del', 'pref', '32764'], 'routes-changed'],
      ['a deleted route', ['ip', '-6', 'route', 'flush', 'table', '100'], 'routes-changed'],
    ] as const;
    for (const [what, command, reason] of TAMPERING) {
      const [program, ...args] = command;
      test(`${what} is put back at the next look, and told once`, async () => {
        const { pod, other, capture } = await bench.captured();
        const neighbour = await bench.captured();
        assert.deepEqual(await lookTwice(capture), [undefined, undefined]);
        const traces = await bench.lan.traces(pod);
        await bench.lan.run(pod, program, ...args);
        assert.equal(await bench.reach(neighbour.pod, other.v4, 80), `outbound ${other.v4} 80`);
        assert.deepEqual(await lookTwice(capture), [reason, undefined]);
        assert.equal(await neighbour.capture.verify(), undefined);
        assert.equal(await bench.lan.traces(pod), traces);
        assert.equal(await bench.reach(pod, other.v4, 80), `outbound ${other.v4} 80`);
      });
    }

    test('changes that are none of ours are left as they are', async () => {
      const { pod, capture } = await bench.captured();
      await bench.lan.run(pod, 'nft', 'add', 'table', 'inet', 'own');
      await bench.lan.run(pod, 'ip', 'route', 'add', '203.0.113.0/24', 'dev', 'eth0');
      assert.deepEqual(await lookTwice(capture), [undefined, undefined]);
      assert.match(await bench.lan.ruleset(pod), /table inet own/);
    });

    test('rules of a newer agent are left to it', async () => {
      const { pod, capture } = await bench.captured();
      await bench.lan.run(pod, 'nft', 'delete', 'table', 'inet', 'ambit');
      await bench.lan.run(pod, 'nft', 'add', 'table', 'inet', 'ambit');
      await bench.lan.run(pod, 'nft', 'add', 'chain', 'inet', 'ambit', 'version_99');
      const newer = await bench.lan.ruleset(pod);
      assert.deepEqual(await lookTwice(capture), [undefined, undefined]);
      assert.equal(await bench.lan.ruleset(pod), newer);
    });

    test('rules of an older agent are replaced whole', async () => {
      const { pod: fresh } = await bench.captured();
      const { pod, capture } = await bench.captured();
      await bench.lan.run(pod, 'nft', 'flush', 'ruleset');
      await bench.lan.run(pod, 'nft', 'add', 'table', 'inet', 'ambit');
      await bench.lan.run(pod, 'nft', 'add', 'chain', 'inet', 'ambit', 'of_old');
      await capture.redirect(enrolmentOf(pod));
      assert.equal(await bench.lan.ruleset(pod), await bench.lan.ruleset(fresh));
    });

    test('what was let go is not captured again', async () => {
      const { pod, capture } = await bench.captured();
      await capture.release();
      const traces = await bench.lan.traces(pod);
      assert.deepEqual(await lookTwice(capture), [undefined, undefined]);
      assert.equal(await bench.lan.traces(pod), traces);
      await capture.remove();
      assert.deepEqual(await lookTwice(capture), [undefined, undefined]);
      assert.equal(await bench.lan.traces(pod), '');
    });

    test('a look after a quiet time runs no program, and one after many looks does', async () => {
      const { capture } = await bench.captured();
      assert.equal(await capture.verify(), undefined);
      let programs = 0;
      const count = (): void => void programs++;
      subscribe('child_process', count);
      try {
        for (let look = 0; look < 20; look++) assert.equal(await capture.verify(), undefined);
        assert.equal(programs, 0);
        for (let look = 0; look < 20; look++) assert.equal(await capture.verify(), undefined);
        assert.ok(programs > 0);
      } finally {
        unsubscribe('child_process', count);
      }
    });

    test('rules that cannot be put back are an error that says what to do', async () => {
      const { pod, capture } = await bench.captured();
      // a table with an owner cannot be changed by anybody else while the owner lives
      const owner = spawn('ip', ['netns', 'exec', pod.name, 'nft', '-i']);
      bench.closing({ close: () => owner.kill() });
      owner.stdin.write('delete table inet ambit\nadd table inet ambit { flags owner; }\n');
      while (!(await bench.lan.ruleset(pod)).includes('owner')) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await assert.rejects(capture.verify(), {
        name: 'CaptureError',
        reason: 'CaptureFailed',
        message: /put back its redirection, which another program has changed, in pod shop\/pod/,
      });
      owner.stdin.end();
      await once(owner, 'close');
      await capture.redirect(enrolmentOf(pod));
      assert.match(await bench.lan.ruleset(pod), /version \d+ capturing/);
    });
  });
}
