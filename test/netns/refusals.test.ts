// What gets no connection, with real capture: peers that ask for what they must not get, applications that call the agent's
// own doors.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import type { PortMapping } from '../../mesh/workload.ts';
import { portOf } from '../../node-agent/test-support/world.ts';
import { openTunnel, statusOf } from './hbone-peer.ts';
import type { Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';
import { Stage } from './stage.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('what gets no connection, in network namespaces', () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.open();
    });
    after(() => stage.close());

    describe('what a peer asks for', () => {
      async function asking(port: PortMapping = portOf(80, 8080), target = 8080) {
        const web = stage.service({ ports: [port] });
        const server = await stage.enrolled(
          'server',
          'node-b',
          stage.behind(web, portOf(80, target)),
        );
        await stage.whoami(server);
        const peer = { ...stage.peers, pod: stage.lan.addPod('peer', 'node-a') };
        const status = (authority: string): Promise<number> =>
          statusOf(openTunnel(peer, { to: server, authority }));
        return { web, server, status };
      }

      test('is 400 for an address that is not the one it came to', async () => {
        const { server, status, web } = await asking();
        assert.equal(await status(`${server.v4}:8080`), 200);
        for (const other of ['10.244.2.250', web.vip, '127.0.0.1', '169.254.169.254']) {
          assert.equal(await status(`${other}:8080`), 400, other);
        }
      });

      test('may be the name of its service and a port of it, by number or by name', async () => {
        const plain = await asking();
        assert.equal(await plain.status(`${plain.web.hostname}:80`), 200);
        assert.equal(await plain.status(`${plain.web.hostname}:81`), 503);
        assert.equal(await plain.status('nowhere.example:80'), 503);
        const named = await asking(portOf(80, 0));
        assert.equal(await named.status(`${named.web.hostname}:80`), 200);
        const closed = await asking(portOf(80, 0), 9999);
        assert.equal(await closed.status(`${closed.web.hostname}:80`), 503);
      });

      test('is never a door of the agent', async () => {
        const { server, status } = await asking();
        for (const port of [15001, 15006, 15008]) {
          assert.equal(await status(`${server.v4}:${port}`), 503);
        }
      });
    });

    describe('calls to what is not for applications', () => {
      /** What a line that is no protocol of ours gets: `refused`, or how many bytes came before the end. */
      async function outcome(from: Pod, host: string, port: number): Promise<string> {
        let bytes = 0;
        try {
          const socket = await stage.lan.connect(from, host, port);
          socket.on('data', (chunk) => {
            bytes += chunk.length;
          });
          socket.write('hello, is anybody there?\n');
          if (!socket.closed) await Promise.race([once(socket, 'end'), once(socket, 'close')]);
          socket.destroy();
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code !== 'ECONNRESET') return code === 'ECONNREFUSED' ? 'refused' : String(error);
        }
        return `${bytes} bytes`;
      }

      test('reach no application and no data from inside the mesh, by own address or loopback', async () => {
        const client = await stage.enrolled('client', 'node-a');
        for (const host of [client.v4, client.v6, '127.0.0.1', '::1']) {
          for (const port of [15001, 15006]) {
            assert.equal(await outcome(client, host, port), '0 bytes', `${host} ${port}`);
          }
          // a TLS alert at most: nobody is told anything
          const door = await outcome(client, host, 15008);
          assert.ok(['0 bytes', '7 bytes'].includes(door), door);
          for (const port of [15080, 15000, 15020, 15021]) {
            assert.equal(await outcome(client, host, port), 'refused', `${host} ${port}`);
          }
        }
      });

      test('get no further at another pod’s doors, from inside the mesh and from outside', async () => {
        const server = await stage.enrolled('server', 'node-b');
        const client = await stage.enrolled('client', 'node-a');
        const outsider = stage.lan.addPod('outsider', 'node-a');
        for (const from of [client, outsider]) {
          for (const port of [15001, 15006, 15080, 15000, 15020, 15021]) {
            const got = await outcome(from, server.v4, port);
            assert.ok(['0 bytes', 'refused'].includes(got), `${port}: ${got}`);
          }
          const door = await outcome(from, server.v4, 15008);
          assert.ok(['0 bytes', '7 bytes'].includes(door), door);
        }
      });
    });
  });
}
