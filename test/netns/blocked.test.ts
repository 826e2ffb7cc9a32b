// A NetworkPolicy that lets the application's port through and not the tunnel's: what the pods are told, and the operator.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { text } from '../../tunnel/test-sockets.ts';
import { enterNamespaces } from './namespaces.ts';
import { Stage } from './stage.ts';

// What plugins of the pod network do with what a policy does not name: they drop it without a word.
const POLICY =
  'table inet cni { chain in { type filter hook input priority -10; tcp dport 15008 drop; }; }';

if (enterNamespaces(import.meta.filename)) {
  describe('a pod network, in network namespaces', () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.open();
    });
    after(() => stage.close());

    test('that drops port 15008 costs a connection ten seconds, and the log says where to look', async () => {
      const server = await stage.enrolled('server', 'node-b');
      const client = await stage.enrolled('client', 'node-a');
      const spared = await stage.enrolled('spared', 'node-b');
      const reached = await stage.whoami(server);
      await stage.whoami(spared);
      await stage.lan.run(server, 'nft', POLICY);
      const started = performance.now();
      const ending = stage.ending(client, server.v4, 8080);
      // nobody else waits for it
      assert.equal(await stage.asked(client, spared.v4, 8080), client.v4);
      assert.ok(performance.now() - started < 5000);
      assert.equal(await ending, 'ECONNRESET');
      assert.deepEqual(reached, []);
      const line = await stage.lineOf(client, {
        'dst.addr': `${server.v4}:15008`,
        flag: 'NETWORK_POLICY',
      });
      assert.match(String(line['error']), /15008.*NetworkPolicy/);
      await stage.lan.run(server, 'nft', 'delete table inet cni');
      assert.equal(await stage.asked(client, server.v4, 8080), client.v4);
    });

    test('does not make a client wait whose server speaks first', async () => {
      const server = await stage.enrolled('server', 'node-b');
      const client = await stage.enrolled('client', 'node-a');
      const heard: string[] = [];
      await stage.lan.serve(server, 3306, (socket) => {
        socket.write('welcome');
        void text(socket).then((said) => {
          heard.push(said);
          socket.end();
        });
      });
      const socket = await stage.lan.connect(client, server.v4, 3306);
      const [greeting] = await once(socket, 'data');
      assert.equal(String(greeting), 'welcome');
      assert.deepEqual(heard, []);
      socket.end('thanks');
      await once(socket, 'end');
      assert.deepEqual(heard, ['thanks']);
    });
  });
}
