// A CA that is there and of no use: whoever asks it hears so within its time, with its address, and nothing stays behind.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseIdentity } from '../mesh/identity.ts';
import { createTestCa } from '../tunnel/test-ca.ts';
import { createIssuanceClient, type IssuanceClient } from './issuance-client.ts';
import { silentLog } from './log.ts';

const CA = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-ca');
const ORDER = { csrPem: 'unread', ttlSeconds: 0 };

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambit-issuance-'));
  await writeFile(join(folder, 'root.pem'), (await createTestCa()).rootPem);
  await writeFile(join(folder, 'token'), 'token');
});
after(() => rm(folder, { recursive: true }));

async function withCa(
  answer: (socket: Socket) => void,
  use: (client: IssuanceClient, server: Server) => Promise<void>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    answer(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = createIssuanceClient(
    { log: silentLog },
    {
      address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
      rootCertFile: join(folder, 'root.pem'),
      tokenFile: join(folder, 'token'),
      serverIdentity: CA,
      clusterId: 'Kubernetes',
    },
  );
  try {
    await use(client, server);
  } finally {
    client.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  }
}

describe('a CA', () => {
  test('that takes the connection and says nothing is given up after ten seconds', async () => {
    await withCa(
      () => {},
      async (client) => {
        const started = performance.now();
        await assert.rejects(
          client.issue(ORDER),
          /Cannot get a certificate for this process from the CA at 127\.0\.0\.1:\d+: DEADLINE_EXCEEDED/,
        );
        const took = performance.now() - started;
        assert.ok(took > 9000 && took < 15_000, `${took} ms`);
      },
    );
  });

  test('that says nothing is left at once by who does not want the certificate any more', async () => {
    await withCa(
      () => {},
      async (client, server) => {
        const stop = new AbortController();
        const asked = client.issue(ORDER, stop.signal);
        await once(server, 'connection');
        stop.abort(new Error('the pod has left'));
        await assert.rejects(asked, /the pod has left/);
      },
    );
  });

  test('that speaks something else than TLS is unavailable, by its address', async () => {
    await withCa(
      (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
      async (client) => {
        await assert.rejects(client.issue(ORDER), /CA at 127\.0\.0\.1:\d+: UNAVAILABLE/);
      },
    );
  });
});
