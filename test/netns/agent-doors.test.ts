// The agent's own doors on its node, met from pods: metrics and readiness answer everybody, the admin door nobody, and
// what the agent listens on inside pods is not there. The agent runs in this process's network, at its usual ports.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { createTestCa, HandmadeDiscovery } from '../../node-agent/test-support/world.ts';
import { Cluster } from './cluster.ts';
import { Lan, type Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';

// this network is ours alone, so the real ports are free
const DOORS = {
  admin: { host: '127.0.0.1', port: 15000 },
  metrics: { host: '0.0.0.0', port: 15020 },
  ready: { host: '0.0.0.0', port: 15021 },
};

if (enterNamespaces(import.meta.filename)) {
  describe('the doors of an agent, called from pods', () => {
    let lan: Lan;
    let cluster: Cluster;
    let node: string;
    before(async () => {
      lan = new Lan();
      node = lan.joinNode('node-a').v4;
      cluster = new Cluster(lan, await createTestCa());
      await cluster.startAgent('node-a', new HandmadeDiscovery(), {}, DOORS);
      await cluster.startAgent('node-b');
    });
    after(() => cluster.stop());

    /** What a line that is no protocol of ours gets: `refused`, `nothing`, or the first line of the answer. */
    async function outcome(from: Pod, port: number): Promise<string> {
      let answer = '';
      try {
        const socket = await lan.connect(from, node, port);
        socket.on('data', (chunk) => {
          answer += String(chunk);
        });
        socket.write('hello, is anybody there?\n');
        if (!socket.closed) await Promise.race([once(socket, 'end'), once(socket, 'close')]);
        socket.destroy();
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ECONNREFUSED') return 'refused';
        // an agent may be as fast with its reset as the kernel with the client's handshake
        assert.equal(code, 'ECONNRESET');
      }
      return answer.split('\r\n')[0] || 'nothing';
    }

    for (const place of ['node-a', 'node-b'] as const) {
      for (const captured of [true, false]) {
        // who is captured has a connection to its own agent before that finds nobody to connect to
        const closed = captured ? 'nothing' : 'refused';
        test(`${captured ? 'inside' : 'outside'} the mesh, on ${place}: metrics and readiness answer, the rest is ${closed}`, async () => {
          const pod = lan.addPod('caller', place);
          cluster.announce(pod, { protocol: 'tcp' });
          if (captured) await cluster.enrol(pod);
          for (const port of [15001, 15006, 15008, 15053, 15080, 15000]) {
            assert.equal(await outcome(pod, port), closed, `port ${port}`);
          }
          for (const port of [15020, 15021]) {
            assert.equal(await outcome(pod, port), 'HTTP/1.1 400 Bad Request', `port ${port}`);
          }
        });
      }
    }
  });
}
