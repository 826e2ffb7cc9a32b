import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, connect, createServer as createTcp, type Server } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { createAuthority } from '../../apiserver/auth/certificates.ts';
import type { ProbeSpec } from '../pod/pod-spec.ts';
import { type ProbeResult, runProbe } from './probe-actions.ts';

const never = new AbortController().signal;

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function closedPort(t: TestContext): Promise<number> {
  const server = createTcp();
  const port = await listen(t, server);
  server.close();
  await once(server, 'close');
  return port;
}

function ask(probe: ProbeSpec, port: number, signal = never): Promise<ProbeResult> {
  return runProbe(
    probe,
    {
      node: {
        async dial(host, to) {
          const socket = connect(to, host);
          await once(socket, 'connect');
          return socket;
        },
      },
      podIp: '127.0.0.1',
      container: { name: 'main', ports: [{ name: 'web', containerPort: port }] },
      // no probe of this file runs a command
      exec: undefined as never,
    },
    signal,
  );
}

function reason(result: ProbeResult): string {
  return result.ok ? '' : result.reason;
}

describe('httpGet', () => {
  const respond: RequestListener = (request, response) => {
    const status = Number(request.url?.slice(1));
    response.writeHead(status).end(`body of ${status}`);
  };

  for (const [status, ok] of [
    [200, true],
    [302, true],
    [399, true],
    [400, false],
    [503, false],
  ] as const) {
    test(`${status} is ${ok ? 'a success' : 'a failure'}`, async (t) => {
      const port = await listen(t, createServer(respond));
      const result = await ask({ httpGet: { path: `/${status}`, port: 'web' } }, port);
      assert.equal(result.ok, ok);
      if (!ok) assert.match(reason(result), new RegExp(`statuscode: ${status} \\(body of`));
    });
  }

  test('headers are sent, and any certificate will do', async (t) => {
    const authority = await createAuthority(Date.now());
    const { certPem, keyPem } = await authority.issue({ commonName: 'x' });
    const server = createHttps({ cert: certPem, key: keyPem }, (request, response) => {
      response.writeHead(request.headers['x-sent'] === 'yes' ? 200 : 500).end();
    });
    const port = await listen(t, server);
    const httpHeaders = [{ name: 'X-Sent', value: 'yes' }];
    const result = await ask({ httpGet: { port, scheme: 'HTTPS', httpHeaders } }, port);
    assert.deepEqual(result, { ok: true });
  });

  test('a server that does not answer in time is a failure', async (t) => {
    const server = createTcp((socket) => socket.on('error', () => {}));
    const port = await listen(t, server);
    const asked = once(server, 'connection');
    const stop = new AbortController();
    const result = ask({ httpGet: { port } }, port, stop.signal);
    await asked;
    stop.abort(new Error('timeout after 1000 ms'));
    assert.equal(reason(await result), 'timeout after 1000 ms');
  });

  test('a port name that the container does not have is a failure', async () => {
    assert.match(reason(await ask({ httpGet: { port: 'none' } }, 1)), /no port named "none"/);
  });
});

describe('tcpSocket', () => {
  test('an open port is a success, a closed one a failure', async (t) => {
    const port = await listen(t, createTcp());
    assert.deepEqual(await ask({ tcpSocket: { port: 'web' } }, port), { ok: true });
    const closed = await closedPort(t);
    assert.match(reason(await ask({ tcpSocket: { port: closed } }, closed)), /ECONNREFUSED/);
  });
});

describe('grpc', () => {
  for (const [status, ok] of [
    [1, true],
    [2, false],
  ] as const) {
    test(`serving status ${status} is ${ok ? 'a success' : 'a failure'}`, async (t) => {
      const server = createHttp2();
      server.on('stream', (stream, headers) => {
        const body: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => body.push(chunk));
        stream.on('end', () => {
          assert.equal(headers[':path'], '/grpc.health.v1.Health/Check');
          assert.equal(Buffer.concat(body).toString('latin1'), '\0\0\0\0\x05\n\x03web');
          stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
          stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
          stream.end(Buffer.from([0, 0, 0, 0, 2, 8, status]));
        });
      });
      const port = await listen(t, server);
      const result = await ask({ grpc: { port, service: 'web' } }, port);
      assert.equal(result.ok, ok);
    });
  }
});
