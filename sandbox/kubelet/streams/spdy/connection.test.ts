import assert from 'node:assert/strict';
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { SpdyConnection } from './connection.ts';
import { SETTING_INITIAL_WINDOW } from './frames.ts';
import { MAX_UNREAD_BYTES, type SpdyStream } from './stream.ts';
import { TestSpdyClient } from './test-client.ts';
import { INITIAL_WINDOW_BYTES } from './windows.ts';

function connect(t: TestContext) {
  const [near, far] = duplexPair();
  const streams: SpdyStream[] = [];
  const arrivals = new EventTarget();
  const connection = new SpdyConnection({
    transport: near,
    onStream: (stream) => {
      streams.push(stream);
      arrivals.dispatchEvent(new Event('stream'));
    },
  });
  const stop = new AbortController();
  const served = connection.serve(stop.signal);
  served.catch(() => {});
  const client = new TestSpdyClient(far);
  t.after(() => {
    stop.abort();
    client.close();
  });
  const accepted = async (): Promise<SpdyStream> => {
    while (streams.length === 0) await once(arrivals, 'stream');
    return streams.shift()!;
  };
  return { client, served, accepted, connection, stop, far };
}

describe('SpdyConnection', () => {
  test('answers a ping of the client', async (t) => {
    const { client } = connect(t);
    client.send({ type: 'ping', id: 5 });
    await client.until((frames) => frames.length > 0);
    assert.deepEqual(client.frames, [{ type: 'ping', id: 5 }]);
  });

  test('accepts a stream before anything is sent on it', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({ streamType: 'data', port: '80' });
    const stream = await accepted();
    assert.equal(stream.headers.get('port'), '80');
    stream.end('hello');
    assert.equal(await client.read(id), 'hello');
    assert.equal(client.frames[0]?.type, 'synReply');
  });

  test('carries half-close in both directions', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    const stream = await accepted();
    client.data(id, 'ask', true);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    assert.equal(chunk.toString(), 'ask');
    await once(stream, 'end');
    stream.end('answer');
    assert.equal(await client.read(id), 'answer');
    assert.ok(client.frames.every((frame) => frame.type !== 'rstStream'));
  });

  test('tells the client when a stream is broken off', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    (await accepted()).destroy();
    await client.until((frames) => frames.some((frame) => frame.type === 'rstStream'));
    assert.ok(client.frames.some((frame) => frame.type === 'rstStream' && frame.streamId === id));
  });

  test('breaks a stream off when the client resets it', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    const stream = await accepted();
    client.send({ type: 'rstStream', streamId: id, status: 5 });
    const [error] = (await once(stream, 'error')) as [Error];
    assert.match(error.message, /reset stream 1/);
  });

  test('sends without limit to a client that never grants credit', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    (await accepted()).end(Buffer.alloc(INITIAL_WINDOW_BYTES * 3));
    assert.equal((await client.read(id)).length, INITIAL_WINDOW_BYTES * 3);
  });

  test('stops at the window of a client that takes part in flow control, and goes on with credit', async (t) => {
    const { client, accepted } = connect(t);
    client.send({ type: 'settings', settings: [{ id: SETTING_INITIAL_WINDOW, value: 1000 }] });
    const id = await client.open({});
    (await accepted()).end(Buffer.alloc(2500));
    // a ping is answered after what could be sent was sent
    client.send({ type: 'ping', id: 1 });
    await client.until((frames) => frames.some((frame) => frame.type === 'ping'));
    await client.until(() => client.received(id).length >= 1000);
    assert.equal(client.received(id).length, 1000);
    client.send({ type: 'windowUpdate', streamId: id, delta: 1000 });
    await client.until(() => client.received(id).length >= 2000);
    assert.equal(client.received(id).length, 2000);
    client.send({ type: 'windowUpdate', streamId: id, delta: 5000 });
    assert.equal((await client.read(id)).length, 2500);
  });

  test('gives credit back for what was taken in, for the stream and the connection', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    (await accepted()).resume();
    client.data(id, Buffer.alloc(INITIAL_WINDOW_BYTES));
    await client.until(
      (frames) => frames.filter((frame) => frame.type === 'windowUpdate').length >= 2,
    );
    const granted = client.frames.filter((frame) => frame.type === 'windowUpdate');
    assert.deepEqual(new Set(granted.map(({ streamId }) => streamId)), new Set([0, id]));
  });

  test('stops reading the connection while a stream is full, and resumes when it is read', async (t) => {
    const { client, accepted } = connect(t);
    const id = await client.open({});
    const stream = await accepted();
    const total = MAX_UNREAD_BYTES + 100_000;
    client.data(id, Buffer.alloc(total - 50_000));
    client.data(id, Buffer.alloc(50_000), true);
    client.send({ type: 'ping', id: 3 });
    while (stream.readableLength < MAX_UNREAD_BYTES) await new Promise(setImmediate);
    assert.ok(client.frames.every((frame) => frame.type !== 'ping'));
    let read = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) read += chunk.length;
    assert.equal(read, total);
    await client.until((frames) => frames.some((frame) => frame.type === 'ping'));
  });

  for (const { name, break: breakIt } of [
    {
      name: 'an even stream number',
      break: (client: TestSpdyClient) =>
        client.send({
          type: 'synStream',
          streamId: 2,
          fin: false,
          unidirectional: false,
          // an empty header block, deflated with the dictionary
          block: Buffer.from('78bbe3c6a7c2626060600000000000ffff', 'hex'),
        }),
    },
    {
      name: 'data on a stream that was never opened',
      break: (client: TestSpdyClient) => client.data(9, 'x'),
    },
    {
      name: 'headers that do not inflate',
      break: (client: TestSpdyClient) =>
        client.send({
          type: 'synStream',
          streamId: 1,
          fin: false,
          unidirectional: false,
          block: Buffer.from('nonsense'),
        }),
    },
  ]) {
    test(`says goodbye to a client that sends ${name}`, async (t) => {
      const { client, served } = connect(t);
      breakIt(client);
      await assert.rejects(served, { name: 'StreamProtocolError' });
      await client.until((frames) => frames.some((frame) => frame.type === 'goAway'));
      await client.ended();
    });
  }

  test('breaks its streams off when the client is gone', async (t) => {
    const { client, accepted, served, far } = connect(t);
    await client.open({});
    const stream = await accepted();
    far.destroy();
    await served;
    assert.equal(stream.destroyed, true);
  });

  test('ends when it is told to', async (t) => {
    const { served, stop } = connect(t);
    stop.abort();
    await served;
  });
});
