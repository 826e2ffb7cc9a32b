// portForward against a WebSocket server that speaks Kubernetes' channel protocol: bytes both ways, and a clean end.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { connectKubernetes, type KubeClient } from './client.ts';

let server: Server;
let kube: KubeClient;
let folder: string;
let serve: (socket: WebSocket) => void;

const frame = (channel: number, bytes: Buffer | string) =>
  Buffer.concat([Buffer.of(channel), Buffer.from(bytes)]);

before(async () => {
  server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, request) => {
    assert.equal(request.url, '/api/v1/namespaces/shop/pods/web/portforward?ports=15000');
    // each channel starts with the port it is for, little-endian
    const port = Buffer.of(15000 & 0xff, 15000 >> 8);
    socket.send(frame(0, port));
    socket.send(frame(1, port));
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder = await mkdtemp(join(tmpdir(), 'ambit-forward-'));
  const file = join(folder, 'config');
  await writeFile(
    file,
    JSON.stringify({
      clusters: [{ name: 'c', cluster: { server: address, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  kube = await connectKubernetes({ kubeconfig: file });
});

after(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

describe('portForward()', () => {
  test('carries bytes both ways and ends when the pod does', async () => {
    serve = (socket) =>
      socket.on('message', (data) => {
        const text = (data as Buffer).subarray(1).toString();
        socket.send(frame(0, `pod heard ${text}`));
        socket.close();
      });
    const stream = await kube.portForward('shop', 'web', 15000);
    stream.write('hello');
    let heard = '';
    for await (const chunk of stream) heard += String(chunk);
    assert.equal(heard, 'pod heard hello');
  });

  test('a large answer arrives whole, however slowly it is read', async () => {
    const part = Buffer.alloc(64 * 1024, 'x');
    serve = (socket) =>
      socket.once('message', () => {
        for (let i = 0; i < 64; i++) socket.send(frame(0, part));
        socket.close();
      });
    const stream = await kube.portForward('shop', 'web', 15000);
    stream.write('go');
    let size = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(size, 64 * part.length);
  });

  test('what the kubelet says on the error channel ends the stream with it', async () => {
    serve = (socket) => socket.send(frame(1, 'connection refused'));
    // at once or while reading, whichever it meets first
    await assert.rejects(async () => {
      const stream = await kube.portForward('shop', 'web', 15000);
      for await (const chunk of stream) assert.fail(String(chunk));
    }, /Cannot forward port 15000 of pod shop\/web: connection refused/);
  });

  test('closing the stream closes the connection', async () => {
    const closed = Promise.withResolvers<void>();
    serve = (socket) => socket.on('close', () => closed.resolve());
    const stream = await kube.portForward('shop', 'web', 15000);
    stream.destroy();
    await closed.promise;
  });
});
