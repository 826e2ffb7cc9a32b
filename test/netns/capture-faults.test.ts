// What can go wrong with one pod's capture, each made to happen: killed half-way, a namespace that disappears, ports that are
// taken or used up, rules of others, traffic that is not TCP.

import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { CaptureError } from '../../node-agent/capture/capture.ts';
import { enrolmentOf } from '../../node-agent/test-support/world.ts';
import { entryPath } from '../../runtime/entry.ts';
import { ask, echo } from '../../tunnel/test-sockets.ts';
import { CaptureBench, namedDoors } from './capture-bench.ts';
import type { Lan, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('capture when things go wrong', () => {
    let bench: CaptureBench;
    let lan: Lan;
    before(() => {
      bench = new CaptureBench();
      ({ lan } = bench);
    });
    after(() => bench.end());
    afterEach(() => bench.tidy());

    test('killed at any moment: the rules are whole or not there, and setting them again makes them whole', async () => {
      const pod = lan.addPod('pod', 'node-a');
      const whole = await wholeRulesets();
      // setting them takes eight programs, letting go four, removing three
      for (const programs of [1, 3, 5, 6, 8, 9, 13, 14]) {
        await killAt(pod, programs);
        const left = await lan.ruleset(pod);
        assert.ok(left === '' || whole.has(left), `killed at program ${programs}:\n${left}`);
      }
      const capture = await bench.open(pod);
      await capture.listen(namedDoors());
      await capture.redirect(enrolmentOf(pod));
      const other = lan.addPod('other', 'node-b');
      assert.equal(await bench.reach(pod, other.v4, 80), `outbound ${other.v4} 80`);
      assert.equal(
        (await lan.run(pod, 'ip', 'rule', 'show', 'pref', '32764')).match(/\n/g)?.length,
        1,
      );
      await capture.remove();
      assert.equal(await lan.traces(pod), '');
    });

    /** Every text the kernel may show of what test/support/capture-apply does. */
    async function wholeRulesets(): Promise<Set<string>> {
      const pod = lan.addPod('reference', 'node-a');
      const capture = await bench.open(pod);
      const texts = new Set<string>();
      for (const excludeOutboundPorts of [[], [{ first: 9000, last: 9000 }]]) {
        await bench.redirect(pod, capture, { excludeOutboundPorts });
        texts.add(await lan.ruleset(pod));
      }
      await capture.release();
      return texts.add(await lan.ruleset(pod));
    }

    /** Runs test/support/capture-apply and kills it, with what it runs, when it starts that many-th program. */
    async function killAt(pod: Pod, programs: number): Promise<void> {
      const child = fork(
        entryPath('test/support/capture-apply/main'),
        [lan.podDirectory(pod.node), JSON.stringify(enrolmentOf(pod))],
        // a group of its own, so that nft dies with it
        { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
      );
      let started = 0;
      child.on('message', () => {
        if (++started === programs) process.kill(-child.pid!, 'SIGKILL');
      });
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      assert.equal(signal, 'SIGKILL');
    }

    test('removed: no rule, route, mark, chain or socket of ours is left', async () => {
      const { pod, other, capture } = await bench.captured();
      assert.equal(await bench.reach(pod, other.v4, 80), `outbound ${other.v4} 80`);
      await capture.release();
      await capture.closeDoors();
      await capture.remove();
      assert.equal(await lan.traces(pod), '');
      assert.equal(await lan.run(pod, 'ss', '-Hltun'), '');
      await lan.serve(other, 80, echo);
      const socket = await lan.connect(pod, other.v4, 80);
      assert.equal(await ask(socket, 'plain'), 'plain');
      socket.end();
    });

    test('a namespace that disappears while it is captured: an error for that pod, and no descriptor is left open', async () => {
      const descriptors = (): number => readdirSync('/proc/self/fd').length;
      const driver = bench.driver('node-a');
      const before = descriptors();
      for (let step = 0; step < 8; step++) {
        const pod = lan.addPod('pod', 'node-a');
        const life = (async () => {
          const capture = await driver.open(enrolmentOf(pod));
          try {
            await capture.listen(namedDoors());
            await capture.redirect(enrolmentOf(pod));
            await capture.remove();
          } finally {
            await capture.close();
          }
        })();
        const ended = life.then(
          () => true,
          (error: unknown) => error instanceof CaptureError,
        );
        for (let turn = 0; turn < step; turn++) {
          await new Promise((resolve) => setImmediate(resolve));
        }
        lan.destroyPod(pod);
        pod.netns.close();
        assert.equal(await ended, true);
      }
      // a listener closes its descriptor in the turn after
      while (descriptors() > before) await new Promise((resolve) => setImmediate(resolve));
    });

    test('a pod made anew under its name: the new one is captured, of the old one nothing stays', async () => {
      const { pod, other, capture } = await bench.captured();
      const anew = lan.remakePod(pod);
      assert.equal(await capture.vanished(), true);
      bench.closed(capture);
      const next = await bench.open(anew);
      await next.listen(namedDoors());
      await next.redirect(enrolmentOf(anew));
      assert.equal(await bench.reach(anew, other.v4, 80), `outbound ${other.v4} 80`);
    });

    for (const port of [15001, 15006, 15008]) {
      test(`an application that listens on ${port}: said by port and pod, and nothing is changed`, async () => {
        const pod = lan.addPod('pod', 'node-a');
        await lan.serve(pod, port, echo);
        await refused(pod, port);
      });
    }

    for (const kind of ['tcp', 'udp'] as const) {
      test(`an application that listens on 15053 by ${kind}: said by port and pod, unless its DNS is not captured`, async () => {
        const pod = lan.addPod('pod', 'node-a');
        if (kind === 'tcp') await lan.serve(pod, 15053, echo);
        else bench.udpIn(pod, '127.0.0.1', 15053);
        await refused(pod, 15053);
        const capture = await bench.open(pod);
        await capture.listen({ ...namedDoors(), dns: undefined });
      });
    }

    async function refused(pod: Pod, port: number): Promise<void> {
      const capture = await bench.open(pod);
      await assert.rejects(capture.listen(namedDoors()), {
        name: 'CaptureError',
        reason: 'PortTaken',
        message: new RegExp(
          `port ${port} in pod shop/${pod.name}: a program in the pod already does`,
        ),
      });
      assert.equal(await lan.traces(pod), '');
      const listening = await lan.run(pod, 'ss', '-Hltun');
      assert.equal(listening.trim().split('\n').length, 1, listening);
    }

    test('rules of others, before ours and after: they keep their order, their text and their effect', async () => {
      const pod = lan.addPod('pod', 'node-a');
      const other = lan.addPod('other', 'node-b');
      await lan.serve(other, 7001, (socket) => socket.end('translated by the pod'));
      for (const rule of [
        'add table ip own',
        'add chain ip own first { type nat hook output priority -110; policy accept; }',
        `add rule ip own first tcp dport 7000 dnat to ${other.v4}:7001`,
        'add chain ip own last { type filter hook output priority 10; policy accept; }',
        'add rule ip own last tcp dport 7002 reject with tcp reset',
        'add table inet ambit-own',
      ]) {
        await lan.run(pod, 'nft', rule);
      }
      const before = await lan.ruleset(pod);
      const capture = await bench.open(pod);
      await capture.listen(namedDoors());
      await capture.redirect(enrolmentOf(pod));
      assert.ok((await lan.ruleset(pod)).startsWith(before.trimEnd()));
      // a translation before ours decides alone
      assert.equal(await bench.reach(pod, other.v4, 7000), 'translated by the pod');
      assert.equal(await bench.reach(pod, other.v4, 80), `outbound ${other.v4} 80`);
      await capture.release();
      await capture.remove();
      assert.equal(await lan.ruleset(pod), before);
    });

    test('source ports used up: an error that names the pod and the destination, for that connection only', async () => {
      const { pod, other, capture } = await bench.captured();
      await lan.serve(pod, 8080, echo);
      await lan.run(pod, 'sysctl', '-qw', 'net.ipv4.ip_local_port_range=40000 40003');
      const target = { to: { ip: parseIp(pod.v4), port: 8080 }, from: parseIp(other.v4) };
      const open = [];
      for (let port = 0; port < 4; port++) open.push(await capture.dial(target));
      await assert.rejects(capture.dial(target), {
        name: 'MeshError',
        code: 'UPSTREAM_CONNECT',
        message: new RegExp(
          `Cannot connect to ${pod.v4}:8080 from pod shop/${pod.name}: bind: .*in use`,
        ),
      });
      for (const socket of open) assert.equal(await ask(socket, 'x'), 'x');
      for (const socket of open) socket.destroy();
      assert.equal(await bench.reach(other, pod.v4, 80), `passthrough ${pod.v4} 80`);
    });

    for (const family of ['v4', 'v6'] as const) {
      test(`${family}: UDP that is not DNS, and what ICMP says of it, are untouched`, async () => {
        const { pod, other } = await bench.captured();
        const server = bench.udpIn(other, family === 'v4' ? '0.0.0.0' : '::', 9091);
        server.on('message', (message, { port, address }) => server.send(message, port, address));
        const client = bench.udpIn(pod, family === 'v4' ? '0.0.0.0' : '::');
        const answered = once(client, 'message') as Promise<[Buffer, { address: string }]>;
        client.send('direct', 9091, other[family]);
        const [message, { address }] = await answered;
        assert.deepEqual([String(message), parseIp(address)], ['direct', other[family]]);
        // a closed port: the kernel of the other pod says so by ICMP, which reaches a connected socket as an error
        const lonely = bench.udpIn(pod, family === 'v4' ? '0.0.0.0' : '::');
        lonely.connect(9092, other[family]);
        await once(lonely, 'connect');
        const failed = once(lonely, 'error') as Promise<[NodeJS.ErrnoException]>;
        lonely.send('anybody?');
        const [error] = await failed;
        assert.equal(error.code, 'ECONNREFUSED');
      });
    }

    test('an application that speaks IPv4 by ::ffff: addresses is captured as IPv4', async () => {
      const { pod, other } = await bench.captured();
      assert.equal(await bench.reach(pod, `::ffff:${other.v4}`, 80), `outbound ${other.v4} 80`);
    });
  });
}
