// splice() over real sockets: half-close, resets, back-pressure, counts.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import { type Leg, type SpliceEnd, splice } from './splice.ts';
import { fate, text } from './test-sockets.ts';

type Line = {
  readonly client: Socket;
  readonly app: Socket;
  readonly counts: Counts;
  readonly end: Promise<SpliceEnd>;
};
type Counts = { sent: number; received: number };

/** client <-> (downstream | upstream) <-> app, spliced in the middle. */
async function withLine(use: (line: Line) => Promise<void>, signal?: AbortSignal): Promise<void> {
  const [client, downstream] = await pair();
  const [app, upstream] = await pair();
  const counts = { sent: 0, received: 0 };
  const end = splice(leg(downstream), leg(upstream), counts, signal);
  try {
    await use({ client, app, counts, end });
  } finally {
    client.destroy();
    app.destroy();
    await end;
  }
}

async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  for (const socket of [near, far]) socket.on('error', () => {});
  if (near.connecting) await once(near, 'connect');
  return [near, far];
}

function leg(socket: Socket): Leg {
  return { bytes: socket, reset: () => void socket.resetAndDestroy() };
}

describe('splice()', () => {
  test('an end that came before it was called is passed on', async () => {
    const [client, downstream] = await pair();
    const [app, upstream] = await pair();
    // read before, as for a header, and paused; the end is told all the same
    const ended = once(downstream, 'end');
    downstream.once('data', () => downstream.pause());
    client.end('header');
    await ended;
    const end = splice(leg(downstream), leg(upstream), { sent: 0, received: 0 });
    assert.equal(await text(app), '');
    app.end('an answer');
    assert.equal(await text(client), 'an answer');
    assert.equal(await end, 'complete');
  });

  test('carries both directions and counts their bytes', async () => {
    await withLine(async ({ client, app, counts, end }) => {
      client.end('a question');
      assert.equal(await text(app), 'a question');
      app.end('an answer');
      assert.equal(await text(client), 'an answer');
      assert.equal(await end, 'complete');
      assert.deepEqual(counts, { sent: 10, received: 9 });
    });
  });

  test('lets one direction go on after the other has ended', async () => {
    await withLine(async ({ client, app, end }) => {
      app.end('bye');
      assert.equal(await text(client), 'bye');
      for (const word of ['still ', 'here ']) client.write(word);
      client.end('!');
      assert.equal(await text(app), 'still here !');
      assert.equal(await end, 'complete');
    });
  });

  for (const side of ['client', 'app'] as const) {
    test(`passes a reset by the ${side} on as a reset`, async () => {
      await withLine(async (line) => {
        const [from, to] = side === 'client' ? [line.client, line.app] : [line.app, line.client];
        const outcome = fate(to);
        from.resetAndDestroy();
        assert.equal(await outcome, 'ECONNRESET');
        assert.equal(await line.end, side === 'client' ? 'downstream-reset' : 'upstream-reset');
      });
    });
  }

  test('delivers all that a server said before it broke off, when it had ended its side', async () => {
    const [client, downstream] = duplexPair();
    const [app, upstream] = duplexPair();
    const resets: string[] = [];
    const legOf = (bytes: Duplex, name: string): Leg => ({ bytes, reset: () => resets.push(name) });
    const counts = { sent: 0, received: 0 };
    const end = splice(legOf(downstream, 'client'), legOf(upstream, 'app'), counts);
    const answer = randomBytes(1024 * 1024);
    app.end(answer);
    // it does not read what the client goes on sending: the write fails, as on a socket that was closed meanwhile
    upstream.once('end', () => upstream.destroy(new Error('EPIPE')));
    client.write('still sending');
    const got: Buffer[] = [];
    for await (const chunk of client) got.push(chunk as Buffer);
    assert.ok(Buffer.concat(got).equals(answer));
    assert.equal(await end, 'complete');
    assert.deepEqual(resets, []);
  });

  test('resets both sides when it is aborted', async () => {
    const abort = new AbortController();
    await withLine(async ({ client, app, end }) => {
      const outcomes = Promise.all([fate(client), fate(app)]);
      abort.abort();
      assert.deepEqual(await outcomes, ['ECONNRESET', 'ECONNRESET']);
      assert.equal(await end, 'aborted');
    }, abort.signal);
  });

  test('ends at once when it was aborted before it began', async () => {
    await withLine(async ({ end }) => assert.equal(await end, 'aborted'), AbortSignal.abort());
  });

  test('stops reading from a writer whose reader has stopped, and loses nothing', async () => {
    await withLine(async ({ client, app, counts, end }) => {
      const block = randomBytes(1024 * 1024);
      const sent = createHash('sha256');
      let blocks = 0;
      // until nothing drains any more: every buffer on the way is full
      while (client.writableLength < 16 * block.length) {
        sent.update(block);
        client.write(block);
        blocks++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(counts.sent < blocks * block.length);
      const got = createHash('sha256');
      app.on('data', (chunk: Buffer) => got.update(chunk));
      client.end();
      await once(app, 'end');
      app.end();
      client.resume();
      assert.equal(await end, 'complete');
      assert.equal(got.digest('hex'), sent.digest('hex'));
      assert.equal(counts.sent, blocks * block.length);
    });
  });
});
