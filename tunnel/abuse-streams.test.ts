// Peers with a good certificate that break the rules of one stream, or stop reading: it costs them that stream, and us a
// bounded amount of memory, while everything else goes on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { ManualClock } from '../runtime/manual-clock.ts';
import type { Lost } from './accept.ts';
import {
  ACK,
  block,
  connectFrame,
  connectRaw,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  number,
  PADDED,
  type RawPeer,
  reset,
  settings,
} from './test-frames.ts';
import {
  type Acquainted,
  acquaint,
  closed,
  echo,
  HEAD,
  rejection,
  withPeers,
} from './test-peers.ts';
import { type TunnelRequest, UnprocessedError } from './tunnel.ts';

const MIB = 1024 * 1024;

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

/** Frames keep their order: what came before the PING has been read when its ACK is there. */
async function roundTrip({ send, next }: RawPeer, mark: number): Promise<void> {
  const payload = Buffer.alloc(8, mark);
  send(frame(FRAME.ping, { payload }));
  await next(
    ({ type, flags, payload: got }) => type === FRAME.ping && flags === ACK && got.equals(payload),
  );
}

function headers(stream: number, fields: readonly (readonly [string, string])[]): Buffer {
  return frame(FRAME.headers, { flags: END_HEADERS, stream, payload: block(fields) });
}

const CONNECT = [':method', 'CONNECT'] as const;
const AUTHORITY = [':authority', '10.0.0.7:80'] as const;

describe('a CONNECT', () => {
  for (const [what, fields, code] of [
    ['with :scheme', [CONNECT, [':scheme', 'https'], AUTHORITY], 1],
    ['with :path', [CONNECT, AUTHORITY, [':path', '/']], 1],
    ['without :authority', [CONNECT], 1],
    ['with two :authority', [CONNECT, AUTHORITY, AUTHORITY], 1],
    ['with an unknown pseudo field', [CONNECT, AUTHORITY, [':x', 'y']], 1],
    ['with a pseudo field after others', [CONNECT, ['a', 'b'], AUTHORITY], 1],
    ['with a field name in upper case', [CONNECT, AUTHORITY, ['Baggage', 'a=b']], 1],
    ['with a connection field', [CONNECT, AUTHORITY, ['connection', 'close']], 1],
    ['with 200 fields', [CONNECT, AUTHORITY, ...Array(200).fill(['a', 'b'])], 11],
  ] as const) {
    test(`${what} costs the peer that stream with code ${code}, and it never reaches us`, async () => {
      await withPeers(known, async ({ port, requests, acceptor }) => {
        const peer = await connectRaw(port, known.client);
        peer.send(headers(1, fields), connectFrame(3));
        const answer = await peer.next(({ stream }) => stream === 1);
        assert.equal(answer?.type, FRAME.reset);
        assert.equal(answer.payload.readUInt32BE(), code);
        assert.equal((await peer.next(({ stream }) => stream === 3))?.type, FRAME.headers);
        assert.equal(requests.length, 1);
        assert.equal(acceptor.tunnels, 1);
        peer.socket.destroy();
      });
    });
  }

  for (const value of ['a\r\nb: c', 'a\0b', ' a', 'a ']) {
    test(`loses a field whose value is ${JSON.stringify(value)}, or comes without its blanks`, async () => {
      await withPeers(known, async ({ port, requests }) => {
        const peer = await connectRaw(port, known.client);
        peer.send(headers(1, [CONNECT, AUTHORITY, ['baggage', value]]));
        await peer.next(({ stream }) => stream === 1);
        const got = requests[0]?.fields['baggage'];
        assert.ok(got === undefined || got === 'a' || got === value, String(got));
        assert.doesNotMatch(got ?? '', /[\r\n\0]/);
        peer.socket.destroy();
      });
    });
  }

  test('on a stream below the last is not served', async () => {
    await withPeers(known, async ({ port, requests }) => {
      const peer = await connectRaw(port, known.client);
      peer.send(connectFrame(5), reset(5), connectFrame(3, 'other:1'));
      await roundTrip(peer, 1);
      assert.deepEqual(
        requests.map(({ authority }) => authority),
        ['10.0.0.7:8080'],
      );
      peer.socket.destroy();
    });
  });

  test('with header blocks that unfold to megabytes is refused, and nothing is kept of it', async () => {
    await withPeers(known, async ({ port, requests }) => {
      const peer = await connectRaw(port, known.client);
      // one entry of 3,900 bytes in the table, then 4,000 references to it: 15 MB of fields in 8 kB
      const entry = Buffer.concat([
        Buffer.of(0x40, 1, 0x61, 0x7f, 0xbd, 0x1d),
        Buffer.alloc(3900, 0x62),
      ]);
      const bomb = Buffer.concat([block([CONNECT, AUTHORITY]), entry, Buffer.alloc(4000, 0xbe)]);
      const before = process.memoryUsage().rss;
      peer.send(frame(FRAME.headers, { flags: END_HEADERS, stream: 1, payload: bomb }));
      const answer = await peer.next(({ type }) => type === FRAME.reset || type === FRAME.goaway);
      assert.notEqual(answer, undefined);
      assert.equal(requests.length, 0);
      assert.ok(process.memoryUsage().rss - before < 64 * MIB);
      peer.socket.destroy();
    });
  });
});

describe('a stream', () => {
  test('carries 100,000 DATA frames of one byte unchanged, and is not taken for a flood', async () => {
    const clock = new ManualClock();
    let got = 0;
    const all = Promise.withResolvers<void>();
    await withPeers(
      known,
      async ({ port, acceptor }) => {
        const peer = await connectRaw(port, known.client);
        peer.send(connectFrame(1));
        const one = frame(FRAME.data, { stream: 1, payload: Buffer.of(7) });
        const many = Buffer.concat(Array.from({ length: 1000 }, () => one));
        for (let i = 0; i < 100; i++) peer.send(many);
        await all.promise;
        await clock.advance(1000);
        assert.equal(got, 100_000);
        assert.equal(acceptor.tunnels, 1);
        peer.socket.destroy();
      },
      {
        clock,
        onRequest: (request) => {
          request.accept({}).bytes.on('data', (chunk: Buffer) => {
            assert.ok(chunk.every((byte) => byte === 7));
            got += chunk.length;
            if (got === 100_000) all.resolve();
          });
        },
      },
    );
  });

  test('gives back credit for padding, and for DATA that comes after its reset', async () => {
    await withPeers(
      known,
      async ({ port }) => {
        const peer = await connectRaw(port, known.client);
        const padding = Buffer.concat([Buffer.of(255), Buffer.alloc(256 + 1000)]);
        const padded = frame(FRAME.data, { stream: 1, flags: PADDED, payload: padding });
        const credit = (stream: number): number =>
          peer.frames
            .filter(({ type, stream: at }) => type === FRAME.windowUpdate && at === stream)
            .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
        peer.send(connectFrame(1));
        await roundTrip(peer, 1);
        const atFirst = credit(0);
        let sent = 0;
        // three windows of a connection, half of them after the stream is gone; what is not credited is half a window
        for (let round = 0; round < 24; round++) {
          if (round === 12) peer.send(reset(1));
          for (let i = 0; i < 1600; i++) peer.send(padded);
          sent += 1600 * padding.length;
          const owed = (): number =>
            round < 12 ? sent - credit(1) - 2 * MIB : sent - credit(0) + atFirst - 8 * MIB;
          await peer.next(() => owed() <= 0);
          assert.ok(owed() <= 0, `${owed()} bytes too many are not credited`);
        }
        assert.equal(peer.socket.destroyed, false);
        peer.socket.destroy();
      },
      {
        // what the account of a second says about it is tested elsewhere
        clock: new ManualClock(),
        onRequest: (request) => {
          request.accept({}).bytes.resume();
        },
      },
    );
  });

  test('keeps half-close: 10 MiB after the peer has ended, from both sides', async () => {
    const block = Buffer.alloc(10 * MIB, 1);
    await withPeers(
      known,
      async ({ connect }) => {
        const stream = await (await connect()).open(HEAD);
        stream.bytes.end();
        let got = 0;
        for await (const chunk of stream.bytes) got += (chunk as Buffer).length;
        assert.equal(got, block.length);
        assert.equal(stream.broken, false);
      },
      {
        onRequest: (request) => {
          const { bytes } = request.accept({});
          bytes.resume().once('end', () => bytes.end(block));
        },
      },
    );
  });

  test('whose peer gives no window holds little, and its siblings go on', async () => {
    let accepted = 0;
    await withPeers(
      known,
      async ({ port }) => {
        const peer = await connectRaw(port, known.client, settings([[4, 0]]));
        peer.send(connectFrame(1, 'pours:1'), connectFrame(3, 'echo:1'));
        peer.send(
          frame(FRAME.data, { stream: 3, flags: END_STREAM, payload: Buffer.from('hello') }),
          frame(FRAME.windowUpdate, { stream: 3, payload: number(100) }),
        );
        const echoed = await peer.next(({ type, stream }) => type === FRAME.data && stream === 3);
        assert.equal(String(echoed?.payload), 'hello');
        await roundTrip(peer, 1);
        assert.ok(accepted <= 256 * 1024, `took ${accepted} bytes`);
        assert.equal(
          peer.frames.some(({ type, stream }) => type === FRAME.data && stream === 1),
          false,
        );
        peer.socket.destroy();
      },
      {
        onRequest: (request) => {
          if (request.authority === 'echo:1') return echo(request);
          pour(request, (bytes) => {
            accepted += bytes;
          });
        },
      },
    );
  });

  test('whose peer does not read its socket holds a window at most, until PINGs stay unanswered', async () => {
    const clock = new ManualClock();
    const lost = Promise.withResolvers<Lost>();
    let accepted = 0;
    await withPeers(
      known,
      async ({ port, connect, acceptor }) => {
        const bystander = await (await connect()).open({ ...HEAD, authority: 'echo:1' });
        const peer = await connectRaw(port, known.client, settings([[4, 64 * MIB]]));
        peer.send(
          frame(FRAME.windowUpdate, { payload: number(64 * MIB) }),
          connectFrame(1, 'pours:1'),
        );
        await peer.next(({ type }) => type === FRAME.data);
        peer.socket.pause();
        let before = -1;
        while (before !== accepted) {
          before = accepted;
          // an answer from the same process: by then whatever could be written was
          bystander.bytes.write('x');
          await once(bystander.bytes, 'data');
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        // the rest is the kernel's: socket buffers of this machine
        assert.ok(accepted <= 24 * MIB, `took ${accepted} bytes`);
        for (let i = 0; i < 4; i++) {
          await clock.advance(10_000);
          bystander.bytes.write('x');
          await once(bystander.bytes, 'data');
        }
        assert.equal((await lost.promise).error.code, 'TUNNEL_LOST');
        assert.equal(acceptor.tunnels, 1);
        peer.socket.destroy();
      },
      {
        clock,
        onLost: (one) => lost.resolve(one),
        onRequest: (request) => {
          if (request.authority === 'echo:1') return echo(request);
          pour(request, (bytes) => {
            accepted += bytes;
          });
        },
      },
    );
  });
});

describe('a pod’s door', () => {
  test('refuses streams beyond its limit so that they may be tried elsewhere', async () => {
    await withPeers(
      known,
      async ({ connect, denied, requests }) => {
        const [one, other] = [await connect(), await connect()];
        const first = await one.open(HEAD);
        await other.open(HEAD);
        assert.ok((await rejection(other.open(HEAD))) instanceof UnprocessedError);
        assert.equal(denied[0]?.error.code, 'POD_STREAM_LIMIT');
        assert.equal(requests.length, 2);
        first.bytes.end();
        first.bytes.resume();
        await closed(first.bytes);
        assert.equal((await other.open(HEAD)).broken, false);
      },
      { limits: { streams: 2 } },
    );
  });
});

/** An application that always has more to say, and waits when it must. */
function pour(request: TunnelRequest, count: (bytes: number) => void): void {
  const { bytes } = request.accept({});
  const piece = Buffer.alloc(64 * 1024);
  const more = (): void => {
    for (let open = true; open; ) {
      open = bytes.write(piece);
      count(piece.length);
    }
  };
  bytes.on('drain', more);
  more();
}
