// Much in both directions at once through one tunnel, whose ends live in pods: more than their sockets hold.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { readAll } from '../../tunnel/test-peers.ts';
import { echo } from '../../tunnel/test-sockets.ts';
import { enterNamespaces } from './namespaces.ts';
import { Stage } from './stage.ts';

const CONNECTIONS = 60;
const BYTES = 1024 * 1024;

if (enterNamespaces(import.meta.filename)) {
  describe('bulk', () => {
    let stage: Stage;
    before(async () => {
      stage = await Stage.open();
    });
    after(() => stage.close());

    test('both ways at once, on many connections, comes back whole', async () => {
      const client = await stage.enrolled('client', 'node-a');
      const server = await stage.enrolled('server', 'node-b');
      await stage.lan.serve(server, 8080, echo);
      const calls = Array.from({ length: CONNECTIONS }, async (_, index) => {
        const socket = await stage.lan.connect(client, server.v4, 8080);
        const sent = Buffer.alloc(BYTES, index);
        socket.end(sent);
        assert.ok((await readAll(socket)).equals(sent), `connection ${index}`);
      });
      await Promise.all(calls);
    });
  });
}
