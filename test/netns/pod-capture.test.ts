// Capture of one pod with real nft and no agent around it: what is led to the doors, what is left out, what stays.

import assert from 'node:assert/strict';
import type { Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { parseCidr } from '../../mesh/cidr.ts';
import type { Captured } from '../../node-agent/capture/capture.ts';
import { AGENT_MARK } from '../../node-agent/capture/rules.ts';
import { ask } from '../../tunnel/test-sockets.ts';
import { CaptureBench, namedDoors } from './capture-bench.ts';
import type { Lan, Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

const FAMILIES = ['v4', 'v6'] as const;

if (enterNamespaces(import.meta.filename)) {
  describe('capture of one pod', () => {
    let bench: CaptureBench;
    let lan: Lan;
    before(() => {
      bench = new CaptureBench();
      lan = bench.lan;
    });
    after(() => bench.end());
    afterEach(() => bench.tidy());

    /** A name server of the pod's on port 53 that answers with its own name. */
    function serveDns(pod: Pod): void {
      const socket = bench.udpIn(pod, '::', 53);
      socket.on('message', (question, { port, address }) =>
        socket.send(`${pod.name} ${question}`, port, address),
      );
    }

    async function query(socket: UdpSocket, host: string): Promise<{ answer: string; by: string }> {
      const answered = once(socket, 'message') as Promise<[Buffer, { address: string }]>;
      socket.send('q', 53, host);
      const [answer, { address }] = await answered;
      return { answer: String(answer), by: parseIp(address) };
    }

    for (const family of FAMILIES) {
      const any = family === 'v4' ? '0.0.0.0' : '::';

      test(`${family}: the pod's DNS is led to the door, by UDP and TCP, and answers come from whom it asked`, async () => {
        const { pod, other } = await bench.captured();
        const socket = bench.udpIn(pod, any);
        assert.deepEqual(await query(socket, other[family]), {
          answer: 'door q',
          by: other[family],
        });
        assert.deepEqual(await query(socket, other[family]), {
          answer: 'door q',
          by: other[family],
        });
        assert.equal(await bench.reach(pod, other[family], 53), `dns ${other[family]} 53`);
      });

      test(`${family}: the agent's own question from the very port the pod asked from is not captured`, async () => {
        const { pod, other, capture } = await bench.captured();
        serveDns(other);
        const asked = bench.udpIn(pod, any);
        await query(asked, other[family]);
        const { port } = asked.address();
        bench.closed(asked);
        const own = bench.closing(capture.udp(family === 'v4' ? 'ipv4' : 'ipv6'));
        const answered = { answer: `${other.name} q`, by: other[family] };
        assert.deepEqual(await query(own, other[family]), answered);
        // the same port again, now marked
        const same = bench.udpIn(pod, any, port, AGENT_MARK);
        assert.deepEqual(await query(same, other[family]), answered);
      });

      test(`${family}: without the door the pod's DNS goes its own way`, async () => {
        const { pod, other } = await bench.captured({}, { ...namedDoors(), dns: undefined });
        serveDns(other);
        assert.equal((await query(bench.udpIn(pod, any), other[family])).answer, `${other.name} q`);
        assert.equal(await bench.reach(pod, other[family], 53), `outbound ${other[family]} 53`);
      });

      test(`${family}: ports and ranges that are left out are reached without the agent, the rest is captured`, async () => {
        const { pod, other } = await bench.captured({
          excludeOutboundPorts: [{ first: 9000, last: 9001 }],
          excludeInboundPorts: [{ first: 7000, last: 7000 }],
        });
        for (const port of [9000, 9001]) {
          await lan.serve(other, port, (socket) => socket.end('plain'));
          assert.equal(await bench.reach(pod, other[family], port), 'plain');
        }
        assert.equal(await bench.reach(pod, other[family], 9002), `outbound ${other[family]} 9002`);
        await lan.serve(pod, 7000, (socket) => socket.end('application'));
        assert.equal(await bench.reach(other, pod[family], 7000), 'application');
        assert.equal(
          await bench.reach(other, pod[family], 7001),
          `passthrough ${pod[family]} 7001`,
        );
        assert.equal(await bench.reach(other, pod[family], 15008), 'tunnel');
      });

      test(`${family}: address ranges that are left out are reached, and reach, without the agent`, async () => {
        const { pod, other, capture } = await bench.captured();
        const third = lan.addPod('third', 'node-a');
        const only = [parseCidr(other[family])];
        await bench.redirect(pod, capture, {
          excludeInboundCidrs: only,
          excludeOutboundCidrs: only,
        });
        for (const one of [pod, other])
          await lan.serve(one, 8080, (socket) => socket.end(one.name));
        assert.equal(await bench.reach(pod, other[family], 8080), other.name);
        assert.equal(await bench.reach(other, pod[family], 8080), pod.name);
        assert.equal(await bench.reach(pod, third[family], 8080), `outbound ${third[family]} 8080`);
        assert.equal(
          await bench.reach(third, pod[family], 8080),
          `passthrough ${pod[family]} 8080`,
        );
      });
    }

    test('an excluded port 53 is DNS that goes its own way', async () => {
      const { pod, other } = await bench.captured({
        excludeOutboundPorts: [{ first: 53, last: 53 }],
      });
      serveDns(other);
      assert.equal((await query(bench.udpIn(pod, '0.0.0.0'), other.v4)).answer, `${other.name} q`);
    });

    test('an ingress takes its plaintext itself, and is captured on its way out', async () => {
      const { pod, other } = await bench.captured({ bypassInbound: true });
      await lan.serve(pod, 80, (socket) => socket.end('ingress'));
      assert.equal(await bench.reach(other, pod.v4, 80), 'ingress');
      assert.equal(await bench.reach(pod, other.v4, 80), `outbound ${other.v4} 80`);
      assert.equal(await bench.reach(other, pod.v4, 15008), 'tunnel');
    });

    test('other options are other rules at once, and open connections live through the change', async () => {
      const kept: Captured[] = [];
      const { pod, other, capture } = await bench.captured(
        {},
        {
          ...namedDoors(),
          outbound: (one) => {
            kept.push(one);
            one.socket.on('data', (chunk) => one.socket.write(chunk)).resume();
          },
        },
      );
      const held = await lan.connect(pod, other.v4, 9000);
      assert.equal(await ask(held, 'before'), 'before');
      await lan.serve(other, 9000, (socket) => socket.end('plain'));
      await bench.redirect(pod, capture, { excludeOutboundPorts: [{ first: 9000, last: 9000 }] });
      assert.equal(await bench.reach(pod, other.v4, 9000), 'plain');
      assert.equal(await ask(held, 'after'), 'after');
      held.end();
      for (const { socket } of kept) socket.destroy();
    });
  });
}
