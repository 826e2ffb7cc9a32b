import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { parse } from 'yaml';
import { startTestServer, type TestServer } from '../test-server.ts';

type FakeKubelet = AsyncDisposable & {
  readonly requests: string[];
  readonly peers: string[];
  readonly port: number;
};

/** A kubelet that says what it was asked; upgrades are echoed. */
async function startKubelet(server: TestServer): Promise<FakeKubelet> {
  const { certPem, keyPem } = await server.server.issueCertificate({
    commonName: 'system:node:n',
    hosts: ['127.0.0.1'],
  });
  const requests: string[] = [];
  const peers: string[] = [];
  const open = new Set<TLSSocket>();
  const kubelet: Server = createServer(
    {
      cert: certPem,
      key: keyPem,
      ca: server.server.caPem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      requests.push(`${request.method} ${request.url}`);
      peers.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
      if (request.url?.includes('missing') === true) {
        response.statusCode = 400;
        response.end('container "c" in pod "missing" is waiting to start: ContainerCreating');
      } else response.end('line one\nline two\n');
    },
  );
  kubelet.on('secureConnection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => {});
  });
  kubelet.on('upgrade', (request, socket) => {
    requests.push(`${request.method} ${request.url} ${request.headers.upgrade}`);
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
    );
    socket.on('data', (chunk: Buffer) => socket.write(chunk));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', () => resolve()));
  return {
    requests,
    peers,
    port: (kubelet.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = once(kubelet, 'close');
      kubelet.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function addNode(server: TestServer, port: number): Promise<void> {
  await server.call('POST', '/api/v1/nodes', {
    body: {
      metadata: { name: 'n' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    },
  });
  for (const name of ['p', 'missing']) {
    await server.call('POST', '/api/v1/namespaces/default/pods', {
      body: {
        metadata: { name },
        spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] },
      },
    });
  }
}

const POD = '/api/v1/namespaces/default/pods/p';

async function upgrade(server: TestServer, path: string, method = 'GET'): Promise<TLSSocket> {
  const config = parse(await readFile(server.server.kubeconfigPath, 'utf8')) as {
    users: { user: Record<string, string> }[];
  };
  const user = config.users[0]?.user ?? {};
  const socket = connectTls({
    host: '127.0.0.1',
    port: server.server.port ?? 0,
    ca: server.server.caPem,
    cert: Buffer.from(user['client-certificate-data'] ?? '', 'base64'),
    key: Buffer.from(user['client-key-data'] ?? '', 'base64'),
  });
  await once(socket, 'secureConnect');
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n`,
  );
  return socket;
}

async function readUntil(socket: TLSSocket, end: string): Promise<string> {
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (text.includes(end)) break;
  }
  return text;
}

describe('requests a kubelet answers', () => {
  test("logs come from the kubelet, which sees the server's client certificate and the options", async () => {
    await using server = await startTestServer();
    await using kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    const answer = await server.call('GET', `${POD}/log?follow=true&tailLines=5&container=c`);
    assert.equal(answer.text, 'line one\nline two\n');
    assert.deepEqual(kubelet.requests, ['GET /containerLogs/default/p/c?follow=true&tailLines=5']);
    assert.deepEqual(kubelet.peers, ['kube-apiserver-kubelet-client']);
  });

  test("a kubelet's refusal reaches the client as a Status", async () => {
    await using server = await startTestServer();
    await using kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    const { status, body } = await server.call(
      'GET',
      '/api/v1/namespaces/default/pods/missing/log',
    );
    assert.equal(status, 400);
    assert.match(body.message, /is waiting to start: ContainerCreating$/);
  });

  test("an upgraded exec passes bytes both ways, with the parameters in the kubelet's words", async () => {
    await using server = await startTestServer();
    await using kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    const socket = await upgrade(
      server,
      `${POD}/exec?command=sh&command=-c&stdin=true&stdout=1&tty=false`,
      'POST',
    );
    socket.write('hello');
    const text = await readUntil(socket, 'hello');
    assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.deepEqual(kubelet.requests, [
      'POST /exec/default/p/c?input=1&output=1&command=sh&command=-c SPDY/3.1',
    ]);
    socket.destroy();
  });

  test('port-forward is upgraded the same way', async () => {
    await using server = await startTestServer();
    await using kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    const socket = await upgrade(server, `${POD}/portforward?ports=80&ports=81`);
    socket.write('x!');
    await readUntil(socket, 'x!');
    assert.deepEqual(kubelet.requests, ['GET /portForward/default/p?port=80%2C81 SPDY/3.1']);
    socket.destroy();
  });

  test('a node proxy path goes to the kubelet as it is', async () => {
    await using server = await startTestServer();
    await using kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    await server.call('GET', '/api/v1/nodes/n/proxy/metrics/probes?x=1');
    assert.deepEqual(kubelet.requests, ['GET /metrics/probes?x=1']);
  });

  test('a node that cannot be reached is named, with its address', async () => {
    await using server = await startTestServer();
    const kubelet = await startKubelet(server);
    await addNode(server, kubelet.port);
    await kubelet[Symbol.asyncDispose]();
    const { status, body } = await server.call('GET', `${POD}/log`);
    assert.equal(status, 503);
    assert.match(
      body.message,
      /^error dialing the kubelet of node "n" at https:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/,
    );
    const socket = await upgrade(server, `${POD}/exec?command=sh&stdout=true`);
    assert.match(await readUntil(socket, '}'), /^HTTP\/1\.1 503 ServiceUnavailable\r\n/);
    socket.destroy();
  });

  test('exec without an upgrade, an unknown container and a pod without a node are refused', async () => {
    await using server = await startTestServer();
    await addNode(server, 1);
    assert.match(
      (await server.call('POST', `${POD}/exec?command=sh`)).body.message,
      /Upgrade request required/,
    );
    assert.match(
      (await server.call('GET', `${POD}/log?container=z`)).body.message,
      /container z is not valid for pod p/,
    );
    await server.call('POST', '/api/v1/namespaces/default/pods', {
      body: { metadata: { name: 'q' }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    });
    const pending = await server.call('GET', '/api/v1/namespaces/default/pods/q/log');
    assert.match(pending.body.message, /pod q does not have a host assigned/);
  });
});
