import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { type IpAddress, parseIp } from '../../mesh/address.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { StreamSocket } from '../stream-socket.ts';
import type { Announced } from './dial.ts';
import { Http1Client } from './http1-client.ts';
import type { UpstreamRequest } from './upstream.ts';

const NEVER = new AbortController().signal;

function requestOf(ip: IpAddress, method = 'GET'): UpstreamRequest {
  return {
    method,
    scheme: 'http',
    authority: 'web',
    target: '/',
    headers: [],
    body: undefined,
    onContinue: undefined,
    onHints: () => {},
    onConnection: () => {},
    upgrade: undefined,
    announced: { from: { ip, port: 1 } },
  };
}

describe('a client of HTTP/1', () => {
  test('announces whoever makes a connection necessary, not the first who ever did', async () => {
    const announced: Announced[] = [];
    const client = new Http1Client(
      new ManualClock(),
      (on) => {
        announced.push(on);
        const [near, far] = duplexPair();
        far.once('data', () => {
          far.end('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
        });
        const leg = { bytes: near, reset: () => void near.destroy() };
        return Promise.resolve(new StreamSocket(leg, { ip: parseIp('10.0.0.9'), port: 80 }));
      },
      undefined,
    );
    for (const ip of ['10.0.0.1', '10.0.0.2'].map(parseIp)) {
      const { body } = await client.send(requestOf(ip), NEVER);
      body.resume();
      await once(body, 'close');
    }
    assert.deepEqual(
      announced.map(({ from }) => from.ip),
      ['10.0.0.1', '10.0.0.2'],
    );
    client.close();
  });

  test('says that a POST without a body has none', async () => {
    const sent = Promise.withResolvers<string>();
    const client = new Http1Client(
      new ManualClock(),
      () => {
        const [near, far] = duplexPair();
        far.once('data', (chunk) => {
          sent.resolve(String(chunk));
          far.end('HTTP/1.1 204 N\r\nconnection: close\r\n\r\n');
        });
        const leg = { bytes: near, reset: () => void near.destroy() };
        return Promise.resolve(new StreamSocket(leg, { ip: parseIp('10.0.0.9'), port: 80 }));
      },
      undefined,
    );
    const { body } = await client.send(requestOf(parseIp('10.0.0.1'), 'POST'), NEVER);
    body.resume();
    assert.match(await sent.promise, /content-length: 0\r\n/);
    assert.doesNotMatch(await sent.promise, /chunked/i);
    client.close();
  });
});
