import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { attachStreams } from '../../kubelet/streams/attach.ts';
import { startTestServer, type TestServer } from '../test-server.ts';

const BIG = 300_000;

/** A node whose kubelet forwards port 80 of every pod to a small HTTP server, and no other port. */
async function startNode(server: TestServer): Promise<AsyncDisposable> {
  const app: Server = createServer((request, response) => {
    request.resume();
    if (request.url === '/big') response.end('x'.repeat(BIG));
    else response.end(`${request.method} ${request.url} for ${request.headers.host}`);
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  const serving = await server.server.issueCertificate({ commonName: 'n', hosts: ['127.0.0.1'] });
  const stop = new AbortController();
  const kubelet: TlsServer = createTlsServer({ cert: serving.certPem, key: serving.keyPem });
  const open = new Set<TLSSocket>();
  kubelet.on('secureConnection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  const dial = async (port: number): Promise<ReturnType<typeof connect>> => {
    if (port !== 80) throw new Error(`connection refused at port ${port}`);
    const socket = connect((app.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  kubelet.on('upgrade', (request, socket, head) => {
    attachStreams(request, socket, head, { dial }, stop.signal).catch(() => socket.destroy());
  });
  kubelet.listen(0, '127.0.0.1');
  await once(kubelet, 'listening');
  await server.call('POST', '/api/v1/nodes', {
    body: {
      metadata: { name: 'n' },
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: (kubelet.address() as AddressInfo).port } },
      },
    },
  });
  await server.call('POST', '/api/v1/namespaces/default/pods', {
    body: {
      metadata: { name: 'p' },
      spec: {
        nodeName: 'n',
        containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }],
      },
    },
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      for (const socket of open) socket.destroy();
      app.closeAllConnections();
      const closed = Promise.all([once(app, 'close'), once(kubelet, 'close')]);
      app.close();
      kubelet.close();
      await closed;
    },
  };
}

const POD = '/api/v1/namespaces/default/pods';
const SERVICE = '/api/v1/namespaces/default/services';

describe('pods/proxy and services/proxy', () => {
  test('a request reaches the port of the pod through its kubelet', async () => {
    await using server = await startTestServer();
    await using _node = await startNode(server);
    const answer = await server.call('GET', `${POD}/p:80/proxy/a/b?c=d`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.text, 'GET /a/b?c=d for p:80');
    const first = await server.call('POST', `${POD}/p/proxy/`, { body: { some: 'body' } });
    assert.equal(first.text, 'POST / for p:80');
  });

  test('a large answer comes whole', async () => {
    await using server = await startTestServer();
    await using _node = await startNode(server);
    const { text } = await server.call('GET', `${POD}/p:80/proxy/big`);
    assert.equal(text.length, BIG);
  });

  test('a port that nobody listens on is an error that names pod, port and node', async () => {
    await using server = await startTestServer();
    await using _node = await startNode(server);
    const { status, body } = await server.call('GET', `${POD}/p:81/proxy/`);
    assert.equal(status, 503);
    assert.match(body.message, /^error proxying to p:81 through node "n": .*listens on that port$/);
  });

  test('a service leads to a ready endpoint, and says when it has none', async () => {
    await using server = await startTestServer();
    await using _node = await startNode(server);
    await server.call('POST', SERVICE, {
      body: {
        metadata: { name: 's' },
        spec: { ports: [{ name: 'web', port: 8080, targetPort: 80 }] },
      },
    });
    const none = await server.call('GET', `${SERVICE}/s:web/proxy/`);
    assert.equal(none.body.message, 'no endpoints available for service "s"');
    await server.call('POST', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      body: {
        metadata: { name: 's-1', labels: { 'kubernetes.io/service-name': 's' } },
        addressType: 'IPv4',
        endpoints: [
          {
            addresses: ['10.0.0.1'],
            conditions: { ready: true },
            targetRef: { kind: 'Pod', name: 'p' },
          },
        ],
        ports: [{ name: 'web', port: 80 }],
      },
    });
    for (const name of ['s', 's:web', 's:8080']) {
      assert.equal(
        (await server.call('GET', `${SERVICE}/${name}/proxy/x`)).text,
        'GET /x for p:80',
      );
    }
  });
});
