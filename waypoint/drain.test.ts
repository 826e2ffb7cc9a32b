// A replica that is told to stop, with connections open and requests under way, by a clock of the test's.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { IpAddress } from '../mesh/address.ts';
import type { Service } from '../mesh/service.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { StreamSocket } from './http/stream-socket.ts';
import { Rig } from './test-rig.ts';

const NOTICE_MS = 3000;
const REST_MS = 2000;
const DEADLINE_MS = 25_000;
const REQUEST = 'GET / HTTP/1.1\r\nhost: web\r\n\r\n';
const LAST = /\r\nconnection: close\r\n/i;

describe('a waypoint that is told to stop', () => {
  let rig: Rig;
  let clock: ManualClock;
  let web: Service & { vip: IpAddress };
  beforeEach(async () => {
    clock = new ManualClock(Date.now());
    rig = await Rig.open({ drainNoticeMs: NOTICE_MS, drainDeadlineMs: DEADLINE_MS }, clock);
    web = rig.service('web');
  });
  afterEach(async () => {
    const closed = rig.close();
    await clock.advance(DEADLINE_MS);
    await closed;
  });

  /** A client that ends its side when the waypoint has ended its own. */
  async function connected(tunnel?: Tunnel): Promise<StreamSocket> {
    const socket = await rig.connect(web, tunnel);
    return socket.once('end', () => socket.end());
  }

  test('serves on while the mesh hears of it, and says with each answer that it is the last', async () => {
    await rig.http(web, 'web-1', (_, response) => void response.end('one'));
    const kept = await connected();
    assert.doesNotMatch(await asked(kept), LAST);
    void rig.stop();
    assert.match(await asked(kept), LAST);
    await once(kept.resume(), 'end');
    const another = await connected(await rig.tunnel());
    assert.match(await asked(another), LAST);
    await clock.advance(NOTICE_MS);
    await assert.rejects(rig.tunnel());
  });

  test('says so too with the answer to a request that was under way', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<ServerResponse>();
    await rig.http(web, 'web-1', (_, response) => arrive(response));
    const kept = await connected();
    const answer = asked(kept);
    const response = await arrived;
    void rig.stop();
    await clock.advance(NOTICE_MS + REST_MS);
    response.end('one');
    assert.match(await answer, LAST);
  });

  test('leaves connections without a request open for a while, and then ends in order', async () => {
    await rig.http(web, 'web-1', (_, response) => void response.end('one'));
    const resting = await connected();
    await asked(resting);
    let ended = false;
    resting.once('end', () => {
      ended = true;
    });
    const stopped = rig.stop();
    await clock.advance(NOTICE_MS + REST_MS - 1);
    assert.equal(ended, false);
    assert.match(await asked(resting), LAST);
    await stopped;
  });

  test('ends connections that go on resting', async () => {
    await rig.http(web, 'web-1', (_, response) => void response.end('one'));
    const resting = await connected();
    await asked(resting);
    const end = once(resting.resume(), 'end');
    const stopped = rig.stop();
    await clock.advance(NOTICE_MS + REST_MS);
    await end;
    await stopped;
  });

  test('cuts at the deadline what does not end', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    await rig.http(web, 'web-1', () => arrive());
    const kept = await connected();
    const broken = Promise.withResolvers<void>();
    kept.once('close', broken.resolve);
    kept.write(REQUEST);
    await arrived;
    const stopped = rig.stop();
    await clock.advance(DEADLINE_MS);
    await Promise.all([broken.promise, stopped]);
  });

  test('in HTTP/2 answers what is open and what is on its way, and sends away', async () => {
    const held: ServerResponse[] = [];
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    await rig.http(web, 'web-1', (_, response) => {
      held.push(response);
      if (held.length === 2) arrive();
    });
    const session = await rig.http2(web);
    const gone = once(session, 'close');
    const statuses = ['/open', '/on-its-way'].map(async (path) => {
      const stream = session.request({ ':path': path });
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      stream.resume();
      return headers[':status'];
    });
    await arrived;
    const stopped = rig.stop();
    await once(session, 'goaway');
    for (const response of held) response.end('one');
    assert.deepEqual(await Promise.all(statuses), [200, 200]);
    await gone;
    await clock.advance(NOTICE_MS);
    await stopped;
  });

  test('in HTTP/2 takes the next request of a connection that rested, and sends away with it', async () => {
    await rig.http(web, 'web-1', (_, response) => void response.end('one'));
    const session = await rig.http2(web);
    await once(session, 'remoteSettings');
    void rig.stop();
    const gone = once(session, 'close');
    const stream = session.request({ ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 200);
    stream.resume();
    await gone;
  });
});

/** The whole answer to one more request on the connection, head and body. */
async function asked(socket: StreamSocket): Promise<string> {
  let text = '';
  const read = (chunk: Buffer): void => {
    text += chunk.toString('latin1');
    if (text.endsWith('one')) socket.emit('answered');
  };
  socket.on('data', read);
  const answered = once(socket, 'answered');
  socket.write(REQUEST);
  await answered;
  socket.off('data', read);
  return text;
}
