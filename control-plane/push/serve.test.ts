// Bad input on the discovery connection, from either end: one clear line, and both go on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { WebSocket } from 'ws';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import { parseIdentity } from '../../mesh/identity.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createDiscoveryClient, type DiscoveryClient } from '../../runtime/discovery-client.ts';
import { createLog } from '../../runtime/log.ts';
import { createTestCa, type TestCa } from '../../tunnel/test-ca.ts';
import {
  type ClientFrame,
  decodeClientFrame,
  encodeNamespace,
  encodeServerFrame,
  TYPE_ADDRESS,
  TYPE_NAMESPACE,
} from '../../wire/discovery.ts';
import { Store } from '../store.ts';
import { type ProxyConnection, serveProxy } from './connection.ts';
import { type Admission, MAX_PENDING_UPGRADES, type PushServer, servePush } from './serve.ts';

const OWN = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-control-plane');

type Line = { message: string; [field: string]: unknown };
type Asking = { readonly socket: TLSSocket; readonly answer: Promise<string> };
type Setup = {
  lines: Line[];
  server: PushServer;
  client: DiscoveryClient;
  /** Each connection the client makes. */
  accepted: AsyncGenerator<WebSocket>;
  close(): Promise<void>;
};

let folder: string;
let ca: TestCa;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ambit-push-'));
  ca = await createTestCa();
  await writeFile(join(folder, 'root.pem'), ca.rootPem);
  await writeFile(join(folder, 'token'), 'token');
});

after(() => rm(folder, { recursive: true }));

async function setup(): Promise<Setup> {
  const lines: Line[] = [];
  const log = createLog({
    component: 'test',
    write: (line) => lines.push(JSON.parse(line) as Line),
  });
  const sockets: WebSocket[] = [];
  let arrived = Promise.withResolvers<void>();
  const server = await servePush(
    {
      log,
      admit: async () => ({
        kind: 'admitted',
        proxy: { kind: 'agent', node: 'n1', pod: 'agent-1' },
      }),
      onProxy: (_, socket) => {
        sockets.push(socket);
        arrived.resolve();
      },
    },
    { host: '127.0.0.1', port: 0 },
  );
  const { chainPem, keyPem, notAfter } = await ca.svid(OWN);
  server.use({ chainPem, keyPem, notAfter, rootsPem: ca.rootPem });
  const client = createDiscoveryClient(
    { clock: systemClock, log },
    {
      address: `127.0.0.1:${server.port}`,
      rootCertFile: join(folder, 'root.pem'),
      tokenFile: join(folder, 'token'),
      serverIdentity: OWN,
      clusterId: 'Kubernetes',
      nodeId: 'x',
      userAgent: 'node-agent/1',
    },
  );
  async function* accept(): AsyncGenerator<WebSocket> {
    for (;;) {
      const socket = sockets.shift();
      if (socket === undefined) {
        await arrived.promise;
        arrived = Promise.withResolvers();
      } else yield socket;
    }
  }
  return {
    lines,
    server,
    client,
    accepted: accept(),
    async close() {
      await client.close();
      await server.close();
    },
  };
}

async function nextOf(generator: AsyncGenerator<WebSocket>): Promise<WebSocket> {
  return (await generator.next()).value as WebSocket;
}

/** The first frame of the client of which `isRight` holds. */
function frameOf(
  socket: WebSocket,
  isRight: (frame: ClientFrame) => boolean,
): Promise<ClientFrame> {
  return new Promise((resolve) => {
    socket.on('message', (data) => {
      const frame = decodeClientFrame(data as Buffer);
      if (isRight(frame)) resolve(frame);
    });
  });
}

describe('the discovery client', () => {
  test('answers bytes that are no message with a NACK, says so, and connects anew', async () => {
    const { accepted, lines, close } = await setup();
    const first = await nextOf(accepted);
    const nack = frameOf(
      first,
      (frame) => frame.kind === 'discovery' && frame.request.error !== undefined,
    );
    first.send(Buffer.from([255, 255, 255]));
    await nack;
    const second = await nextOf(accepted);
    assert.notEqual(second, first);
    assert.ok(lines.some(({ message }) => message.startsWith('Cannot read a discovery message')));
    await close();
  });

  test('refuses one bad resource by name and keeps the connection', async () => {
    const { accepted, lines, close } = await setup();
    const socket = await nextOf(accepted);
    const nack = frameOf(
      socket,
      (frame) => frame.kind === 'discovery' && frame.request.nonce === 'n1',
    );
    const resource = {
      name: 'bad-one',
      version: '1',
      aliases: [],
      typeUrl: TYPE_ADDRESS,
      body: new Uint8Array([1]),
    };
    const response = {
      systemVersion: '1',
      typeUrl: TYPE_ADDRESS,
      resources: [resource],
      removed: [],
      nonce: 'n1',
    };
    socket.send(encodeServerFrame({ kind: 'discovery', response }));
    const frame = await nack;
    assert.match(
      frame.kind === 'discovery' ? (frame.request.error?.message ?? '') : '',
      /^bad-one: /,
    );
    assert.ok(lines.some((line) => line['resource'] === 'bad-one'));
    assert.equal(socket.readyState, socket.OPEN);
    await close();
  });

  test('takes nothing of a message whose end never came, and comes back', async () => {
    const { accepted, client, close } = await setup();
    const body = encodeNamespace({ name: 'shop', mode: 'ambient' });
    const resource = { name: 'shop', version: '1', aliases: [], typeUrl: TYPE_NAMESPACE, body };
    const response = {
      systemVersion: '1',
      typeUrl: TYPE_NAMESPACE,
      resources: [resource],
      removed: [],
      nonce: 'n1',
    };
    const frame = encodeServerFrame({ kind: 'discovery', response });
    const first = await nextOf(accepted);
    const sent = Promise.withResolvers<void>();
    // all but its last fragment, which is empty
    first.send(frame, { fin: false }, () => sent.resolve());
    await sent.promise;
    first.close();
    const second = await nextOf(accepted);
    assert.equal(client.snapshot().namespace('shop'), undefined);
    const known = Promise.withResolvers<void>();
    client.subscribe(() => known.resolve());
    second.send(frame);
    await known.promise;
    assert.equal(client.snapshot().namespace('shop')?.mode, 'ambient');
    await close();
  });

  test('tells its reports again on a new connection', async () => {
    const { accepted, client, close } = await setup();
    const report: EnrolmentReport = {
      podUid: 'u',
      name: 'web',
      namespace: 'shop',
      state: 'enabled',
    };
    client.report(report);
    for (let i = 0; i < 2; i++) {
      const socket = await nextOf(accepted);
      const frame = await frameOf(socket, ({ kind }) => kind === 'report');
      assert.deepEqual(frame, { kind: 'report', report });
      socket.terminate();
    }
    await close();
  });
});

describe('the door of the control plane', () => {
  /** Asks for an upgrade of its own; resolves with the first line of the answer once the server has ended it. */
  async function ask(port: number, target = '/v1/discovery'): Promise<Asking> {
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: ca.rootPem,
      checkServerIdentity: () => undefined,
      // never closed by this side first
      allowHalfOpen: true,
    } as never);
    await once(socket, 'secureConnect');
    let text = '';
    const answer = new Promise<string>((resolve) => {
      socket.on('data', (bytes) => {
        text += String(bytes);
      });
      socket.once('end', () => resolve(text.split('\r\n')[0] ?? ''));
    });
    socket.on('error', () => {});
    socket.write(
      `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n` +
        'sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    return { socket, answer };
  }

  async function open(admit: () => Promise<Admission>): Promise<PushServer> {
    const log = createLog({ component: 'test', write() {} });
    const parts = { log, admit, onProxy: () => assert.fail('nobody is let in') };
    const server = await servePush(parts, { host: '127.0.0.1', port: 0 });
    const { chainPem, keyPem, notAfter } = await ca.svid(OWN);
    server.use({ chainPem, keyPem, notAfter, rootsPem: ca.rootPem });
    return server;
  }

  test('refuses a target that is another or none, ends the connection and goes on', async () => {
    const server = await open(async () => ({ kind: 'refused', status: 401, reason: 'no' }));
    for (const [target, status] of [
      ['//[', /^HTTP\/1\.1 404 /],
      ['//', /^HTTP\/1\.1 404 /],
      ['/v1/discovery/x', /^HTTP\/1\.1 404 /],
      ['/v1/discovery', /^HTTP\/1\.1 401 /],
    ] as const) {
      const { socket, answer } = await ask(server.port, target);
      assert.match(await answer, status, target);
      socket.destroy();
    }
    // resolves only when none of them is left
    await server.close();
  });

  test('asks about so many agents at once; the next are told to come again, and do once there is room', async () => {
    const waiting: ((admission: Admission) => void)[] = [];
    let arrived = Promise.withResolvers<void>();
    const server = await open(() => {
      const { promise, resolve } = Promise.withResolvers<Admission>();
      waiting.push(resolve);
      arrived.resolve();
      return promise;
    });
    const asking: Asking[] = [];
    while (asking.length < MAX_PENDING_UPGRADES) {
      arrived = Promise.withResolvers();
      asking.push(await ask(server.port));
      await arrived.promise;
    }
    const late = await ask(server.port);
    assert.match(await late.answer, /^HTTP\/1\.1 503 /);
    const no = { kind: 'refused', status: 403, reason: 'no' } as const;
    waiting[0]?.(no);
    assert.match(await asking[0]!.answer, /^HTTP\/1\.1 403 /);
    arrived = Promise.withResolvers();
    asking.push(await ask(server.port));
    await arrived.promise;
    assert.equal(waiting.length, MAX_PENDING_UPGRADES + 1);
    for (const answer of waiting) answer(no);
    for (const { socket, answer } of [late, ...asking]) {
      await answer;
      socket.destroy();
    }
    await server.close();
  });

  test('refuses at closing whose token is still reviewed, whatever the review says then', async () => {
    const asked = Promise.withResolvers<void>();
    const review = Promise.withResolvers<Admission>();
    const server = await open(() => {
      asked.resolve();
      return review.promise;
    });
    const { socket, answer } = await ask(server.port);
    await asked.promise;
    const closing = server.close();
    assert.match(await answer, /^HTTP\/1\.1 503 /);
    review.resolve({ kind: 'admitted', proxy: { kind: 'agent', node: 'n1', pod: 'agent-1' } });
    await closing;
    socket.destroy();
  });
});

describe('serveProxy()', () => {
  test('closes on bytes that are no message, and the agent comes back', async () => {
    const { accepted, lines, close } = await setup();
    const log = createLog({
      component: 'push',
      write: (line) => lines.push(JSON.parse(line) as Line),
    });
    const store = new Store();
    store.publish({
      workloads: [],
      services: [],
      policies: [],
      httpPolicies: [],
      requestAuthentications: [],
      routes: [],
      trafficPolicies: [],
      namespaces: [],
      enrolments: [],
      trust: [],
    });
    const serve = (socket: WebSocket): ProxyConnection =>
      serveProxy(
        {
          clock: systemClock,
          log,
          store,
          socket,
          onReport() {},
          onProgress() {},
          onTrust() {},
          counters: { sent() {}, acked() {}, nacked() {} },
        },
        { kind: 'agent', node: 'n1', pod: 'agent-1', userAgent: 'node-agent/1' },
      );
    const socket = await nextOf(accepted);
    const connection = serve(socket);
    socket.emit('message', Buffer.from([255, 255]));
    await connection.closed;
    assert.ok(
      lines.some(
        (line) =>
          line.message.startsWith('Cannot read a message of the proxy') && line['node'] === 'n1',
      ),
    );
    const again = serve(await nextOf(accepted));
    again.close('done');
    await again.closed;
    await close();
  });
});
