import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { after, describe, test } from 'node:test';
import { call } from './client/call.ts';
import { createHttpEcho } from './echo/http.ts';
import { createTcpEcho, openUdpEcho } from './echo/raw.ts';
import { listenOn } from './listening.ts';
import { keepLines } from './load/connections.ts';
import { newTally } from './load/tally.ts';
import { createShop, type Role } from './shop/trade.ts';

const PLACE = { pod: 'echo-1', namespace: 'demo', ip: '127.0.0.1' };

describe('echo', async () => {
  const http = await listenOn(createHttpEcho(PLACE), 0);
  const tcp = await listenOn(createTcpEcho(PLACE), 0);
  const udp = await openUdpEcho(PLACE, 0);
  after(async () => {
    udp.close();
    await Promise.all([http.close(0), tcp.close(0)]);
  });
  const targets = [
    [`http://127.0.0.1:${http.port}/a?b=c`, 'http/1.1'],
    [`h2c://127.0.0.1:${http.port}/a`, 'h2c'],
    [`ws://127.0.0.1:${http.port}/a`, 'websocket'],
    [`tcp://127.0.0.1:${tcp.port}`, 'tcp'],
    [`udp://127.0.0.1:${udp.address().port}`, 'udp'],
  ] as const;
  for (const [target, protocol] of targets) {
    test(`${protocol}: says who it is and whom it sees`, async () => {
      const result = await call(new URL(target), 'hello');
      assert.ok(result.ok);
      const answer = result.answer as Record<string, string>;
      assert.equal(answer['protocol'], protocol);
      assert.equal(answer['pod'], 'echo-1');
      assert.match(answer['peer']!, /^127\.0\.0\.1:\d+$/);
      if (result.echo !== undefined) assert.equal(result.echo, 'hello');
      else assert.equal(answer['body'], 'hello');
    });
  }

  test('HTTP/1.1: answers the status that the path asks for', async () => {
    const result = await call(new URL(`http://127.0.0.1:${http.port}/status/503`), '');
    assert.equal(result.ok && result.status, 503);
  });

  test('gRPC: returns each message and ends with status 0 in the trailers', async () => {
    const session = connectHttp2(`http://127.0.0.1:${http.port}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/ambit.echo.Echo/Echo',
      'content-type': 'application/grpc',
    });
    const chunks: Buffer[] = [];
    let trailers: Record<string, unknown> = {};
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('trailers', (headers) => {
      trailers = headers;
    });
    const message = Buffer.from('0000000002abcd', 'hex');
    stream.end(message);
    await new Promise((resolve) => stream.on('close', resolve));
    session.close();
    assert.deepEqual(Buffer.concat(chunks), message);
    assert.equal(trailers['grpc-status'], '0');
  });

  test('a first byte sent alone is still recognised', async () => {
    const socket = connect(http.port, '127.0.0.1');
    socket.setNoDelay(true);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    for (const byte of 'POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n') {
      await new Promise((resolve) => socket.write(byte, resolve));
    }
    await new Promise((resolve) => socket.on('close', resolve));
    assert.match(text, /^HTTP\/1\.1 200 OK/);
  });
});

describe('load', () => {
  test('a connection that lives its life is ended, one that the other end cuts is dropped', async () => {
    const server = createTcpEcho(PLACE);
    const echo = await listenOn(server, 0);
    const tally = newTally();
    const stop = new AbortController();
    const lines = keepLines(
      tally,
      { host: '127.0.0.1', port: echo.port, count: 2, lifetimeMs: 0, intervalMs: 5 },
      stop.signal,
    );
    await until(() => tally.messages.echoed >= 10);
    await echo.close(0);
    await until(() => tally.connections.dropped === 2);
    stop.abort();
    await lines;
    assert.equal(tally.connections.dropped, 2);
    assert.equal(tally.messages.wrong, 0);
    assert.ok(tally.faults.length >= 2);
  });
});

describe('shop', () => {
  test('the front asks its services and fails visibly when one is away', async () => {
    const agent = new Agent({ keepAlive: true });
    const ports = new Map<Role, number>();
    const urlOf = (role: Role): string => `http://127.0.0.1:${ports.get(role) ?? 1}`;
    const shops = [];
    for (const role of ['payments', 'catalog', 'cart', 'web'] as const) {
      const shop = await listenOn(createShop({ role, agent, urlOf }), 0);
      ports.set(role, shop.port);
      shops.push(shop);
    }
    const front = new URL(`http://127.0.0.1:${ports.get('web')}/`);
    const whole = await call(front, '');
    assert.equal(whole.ok && whole.status, 200);
    assert.match(JSON.stringify(whole), /blue teapot/);
    ports.delete('payments');
    const broken = await call(front, '');
    assert.equal(broken.ok && broken.status, 502);
    assert.match(JSON.stringify(broken), /Cannot get http:\/\/127.0.0.1:1\/payments/);
    agent.destroy();
    await Promise.all(shops.map((shop) => shop.close(0)));
  });
});

/** Resolves once `holds`; the test's own time limit ends a wait that is in vain. */
function until(holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (!holds()) return;
      clearInterval(timer);
      resolve();
    }, 5);
  });
}
