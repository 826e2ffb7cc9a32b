// Connections to an endpoint that are kept between requests, over streams of the test's own.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import { StreamSocket } from '../http/stream-socket.ts';
import type { Announced } from './dial.ts';
import { Http1Client } from './http1-client.ts';
import type { UpstreamRequest } from './upstream.ts';

const ENDPOINT = { ip: parseIp('10.0.0.1'), port: 80 };
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none';
const ONCE = 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n';
const NEVER = new AbortController().signal;
const GET: UpstreamRequest = {
  method: 'GET',
  scheme: 'http',
  authority: 'web',
  target: '/',
  headers: [],
  body: undefined,
  onContinue: undefined,
  onHints: () => {},
  upgrade: undefined,
  onConnection: () => {},
  announced: { from: ENDPOINT },
};

/** A client, and both ends of each connection it has made. */
function opened(
  announce: (on: Announced) => void = () => {},
  answer = ANSWER,
): { client: Http1Client; near: StreamSocket[]; far: Duplex[]; heard: string[] } {
  const near: StreamSocket[] = [];
  const far: Duplex[] = [];
  const heard: string[] = [];
  const open = async (on: Announced): Promise<StreamSocket> => {
    announce(on);
    const [ours, theirs] = duplexPair();
    theirs.on('data', (chunk) => {
      heard.push(String(chunk));
      theirs.write(answer);
    });
    const socket = new StreamSocket({ bytes: ours, reset: () => ours.destroy() }, ENDPOINT);
    near.push(socket);
    far.push(theirs);
    return socket;
  };
  const client = new Http1Client(systemClock, open, undefined);
  return { client, near, far, heard };
}

async function ask(client: Http1Client): Promise<number> {
  const { status, body } = await client.send(GET, NEVER);
  await body.toArray();
  return status;
}

describe('a connection to an endpoint', () => {
  test('serves the next request', async () => {
    const { client, near } = opened();
    for (let i = 0; i < 3; i++) assert.equal(await ask(client), 200);
    assert.equal(near.length, 1);
    client.close();
  });

  test('is not used again when the endpoint has ended it while it rested', async () => {
    const { client, near, far } = opened();
    assert.equal(await ask(client), 200);
    const gone = once(near[0]!, 'close');
    far[0]?.end();
    await gone;
    assert.equal(await ask(client), 200);
    assert.equal(near.length, 2);
    client.close();
  });

  test('is not used again when something came on it that nobody asked for', async () => {
    const { client, near, far } = opened();
    assert.equal(await ask(client), 200);
    const gone = once(near[0]!, 'close');
    far[0]?.write('HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n');
    await gone;
    assert.equal(await ask(client), 200);
    assert.equal(near.length, 2);
    client.close();
  });

  test('announces whoever makes it necessary, not the first who ever did', async () => {
    const announced: Announced[] = [];
    const { client } = opened((on) => announced.push(on), ONCE);
    for (const port of [1, 2]) {
      const on = { from: { ...ENDPOINT, port } };
      const { body } = await client.send({ ...GET, announced: on }, NEVER);
      await body.toArray();
    }
    assert.deepEqual(
      announced.map(({ from }) => from.port),
      [1, 2],
    );
    client.close();
  });

  test('hears of a POST without a body that it has none', async () => {
    const { client, heard } = opened();
    const { body } = await client.send({ ...GET, method: 'POST' }, NEVER);
    await body.toArray();
    assert.match(heard.join(''), /content-length: 0\r\n/);
    assert.doesNotMatch(heard.join(''), /chunked/i);
    client.close();
  });
});
