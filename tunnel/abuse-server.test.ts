// Servers with a good certificate that break HTTP/2, answer oddly or not at all: the asking end loses that stream or that
// tunnel with a named failure, and never hangs or spins.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { systemClock } from '../runtime/clock.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { connectTunnel } from './connect.ts';
import {
  ACK,
  block,
  END_HEADERS,
  END_STREAM,
  FRAME,
  type Frame,
  frame,
  number,
  type RawPeer,
  reset,
  settings,
  withRawServer,
} from './test-frames.ts';
import {
  type Acquainted,
  acquaint,
  dialWithRoom,
  HEAD,
  readAll,
  rejection,
  SERVER,
} from './test-peers.ts';
import { type Tunnel, UnprocessedError } from './tunnel.ts';

const MIB = 1024 * 1024;

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

type Odd = { readonly tunnel: Tunnel; readonly server: RawPeer; readonly clock: ManualClock };

/** Our tunnel to a server that does as it likes. */
async function withOdd(
  use: (odd: Odd) => Promise<void>,
  options: { readonly hello?: Buffer; readonly manual?: boolean } = {},
): Promise<void> {
  const clock = new ManualClock();
  await withRawServer(
    known.server,
    async (port, peers) => {
      const parts = {
        clock: options.manual === true ? clock : systemClock,
        credentials: known.client,
      };
      const to = { name: 'odd', expected: [SERVER] };
      const tunnel = await connectTunnel(parts, await dialWithRoom(port), to);
      try {
        await use({ tunnel, server: await peers, clock });
      } finally {
        await tunnel.close();
      }
    },
    options.hello,
  );
}

function answer(stream: number, status: string, flags = 0, more: [string, string][] = []): Buffer {
  const payload = block([[':status', status], ...more]);
  return frame(FRAME.headers, { flags: END_HEADERS | flags, stream, payload });
}

function headersOf({ next }: RawPeer, stream = 1): ReturnType<RawPeer['next']> {
  return next((one) => one.type === FRAME.headers && one.stream === stream);
}

describe('our asking end', () => {
  test('says hello with the reference’s settings, and nothing else', async () => {
    await withOdd(async ({ server }) => {
      await server.next(({ type }) => type === FRAME.windowUpdate);
      const [first, ...rest] = server.frames;
      assert.equal(first?.type, FRAME.settings);
      const values = new Map<number, number>();
      for (let at = 0; at < first.payload.length; at += 6) {
        values.set(first.payload.readUInt16BE(at), first.payload.readUInt32BE(at + 2));
      }
      assert.deepEqual(
        new Map([...values].sort(([a], [b]) => a - b)),
        new Map([
          [2, 0],
          [4, 4 * MIB],
          [5, MIB],
          [6, 16 * 1024],
        ]),
      );
      const widened = rest.filter(({ type }) => type === FRAME.windowUpdate);
      assert.deepEqual(
        widened.map(({ stream, payload }) => [stream, payload.readUInt32BE()]),
        [[0, 16 * MIB - 65_535]],
      );
      assert.deepEqual(
        rest.filter(({ type, flags }) => type !== FRAME.windowUpdate && flags !== ACK),
        [],
      );
    });
  });

  test('sends a PING after 10 s and every 10 s, and its last word is GOAWAY NO_ERROR', async () => {
    await withOdd(
      async ({ tunnel, server, clock }) => {
        const asked = ({ type, flags }: Frame): boolean => type === FRAME.ping && flags === 0;
        const pings = (): number => server.frames.filter(asked).length;
        await clock.advance(9999);
        assert.equal(pings(), 0);
        for (let i = 1; i <= 3; i++) {
          await clock.advance(i === 1 ? 1 : 10_000);
          await server.next(() => pings() === i);
          const ping = server.frames.findLast(asked);
          server.send(frame(FRAME.ping, { flags: ACK, payload: ping?.payload ?? Buffer.alloc(8) }));
          // what follows the ACK has been read when it is answered
          const mark = Buffer.alloc(8, i);
          server.send(frame(FRAME.ping, { payload: mark }));
          await server.next(({ flags, payload }) => flags === ACK && payload.equals(mark));
        }
        for (let i = 0; i < 3; i++) await clock.advance(10_000);
        assert.equal((await tunnel.ended)?.code, 'TUNNEL_LOST');
        assert.equal(await server.end(), 0);
      },
      { manual: true },
    );
  });

  test('takes a 200 that ends at once for an end', async () => {
    await withOdd(async ({ tunnel, server }) => {
      const opening = tunnel.open(HEAD);
      await headersOf(server);
      server.send(answer(1, '200', END_STREAM));
      const stream = await opening;
      assert.equal(String(await readAll(stream.bytes)), '');
      assert.equal(stream.broken, false);
    });
  });

  test('takes no content-length of a 200 for the length of the stream', async () => {
    await withOdd(async ({ tunnel, server }) => {
      const opening = tunnel.open(HEAD);
      await headersOf(server);
      server.send(answer(1, '200', 0, [['content-length', '3']]));
      const outcome = opening.then(
        async (stream) => {
          server.send(
            frame(FRAME.data, { flags: END_STREAM, stream: 1, payload: Buffer.from('more') }),
          );
          return String(await readAll(stream.bytes).catch(() => 'broken'));
        },
        () => 'refused',
      );
      // RFC 9110 section 9.3.6: it is to be ignored, or the answer refused; never to cut silently
      assert.ok(['more', 'broken', 'refused'].includes(await outcome));
    });
  });

  test('bears interim answers, and waits for the real one no longer for them', async () => {
    await withOdd(
      async ({ tunnel, server, clock }) => {
        const opening = tunnel.open(HEAD);
        await headersOf(server);
        for (let i = 0; i < 50; i++) server.send(answer(1, '103'));
        const failed = rejection(opening);
        await clock.advance(20_000);
        assert.ok(['TUNNEL_ANSWER_TIMEOUT', 'TUNNEL_LOST'].includes((await failed).code));
      },
      { manual: true },
    );
  });

  test('gives up a CONNECT nobody answers after 20 s, and tells the server', async () => {
    await withOdd(
      async ({ tunnel, server, clock }) => {
        const opening = rejection(tunnel.open(HEAD));
        await headersOf(server);
        await clock.advance(19_999);
        server.send(frame(FRAME.ping, { payload: Buffer.alloc(8) }));
        await server.next(({ type, flags }) => type === FRAME.ping && flags === ACK);
        assert.equal(tunnel.streams, 1);
        await clock.advance(1);
        assert.equal((await opening).code, 'TUNNEL_ANSWER_TIMEOUT');
        const told = await server.next(({ type }) => type === FRAME.reset);
        assert.equal(told?.payload.readUInt32BE(), 8);
        assert.equal(tunnel.streams, 0);
      },
      { manual: true },
    );
  });

  for (const [what, bytes] of [
    [
      'PUSH_PROMISE',
      frame(FRAME.pushPromise, {
        flags: END_HEADERS,
        stream: 1,
        payload: Buffer.concat([number(2), block([[':method', 'GET']])]),
      }),
    ],
    ['SETTINGS on a stream', frame(FRAME.settings, { stream: 1 })],
    ['window updates above 2^31-1', frame(FRAME.windowUpdate, { payload: number(2 ** 31 - 1) })],
    ['a stream nobody asked for', answer(7, '200')],
    ['a frame larger than we allow', frame(FRAME.data, { stream: 1, length: MIB + 1 })],
  ] as const) {
    test(`ends the tunnel for ${what}, with its streams`, async () => {
      await withOdd(async ({ tunnel, server }) => {
        const opening = rejection(tunnel.open(HEAD));
        await headersOf(server);
        server.send(bytes);
        await opening;
        assert.equal((await tunnel.ended)?.code, 'TUNNEL_PROTOCOL');
        assert.notEqual(await server.end(), 0);
      });
    });
  }

  test('fails the stream, at least, for DATA before the answer', async () => {
    await withOdd(async ({ tunnel, server }) => {
      const opening = rejection(tunnel.open(HEAD));
      await headersOf(server);
      server.send(frame(FRAME.data, { stream: 1, payload: Buffer.from('x') }), reset(1, 0));
      assert.match((await opening).code, /^TUNNEL_(LOST|PROTOCOL)$/);
    });
  });

  test('reads frames of unknown types as nothing', async () => {
    await withOdd(async ({ tunnel, server }) => {
      const opening = tunnel.open(HEAD);
      await headersOf(server);
      server.send(frame(0xbe, { stream: 1, payload: Buffer.from('?') }), answer(1, '200'));
      server.send(frame(FRAME.data, { flags: END_STREAM, stream: 1, payload: Buffer.from('x') }));
      assert.equal(String(await readAll((await opening).bytes)), 'x');
    });
  });

  test('opens no stream after GOAWAY and a limit of none, and ends with its last one', async () => {
    await withOdd(async ({ tunnel, server }) => {
      const opening = tunnel.open(HEAD);
      await headersOf(server);
      server.send(answer(1, '200'));
      const stream = await opening;
      const goaway = Buffer.concat([number(1), number(0)]);
      server.send(frame(FRAME.goaway, { payload: goaway }), settings([[3, 0]]));
      server.send(frame(FRAME.ping, { payload: Buffer.alloc(8) }));
      await server.next(({ type, flags }) => type === FRAME.ping && flags === ACK);
      assert.equal(tunnel.available, false);
      assert.ok((await rejection(tunnel.open(HEAD))) instanceof UnprocessedError);
      server.send(frame(FRAME.data, { flags: END_STREAM, stream: 1, payload: Buffer.from('end') }));
      stream.bytes.end();
      assert.equal(String(await readAll(stream.bytes)), 'end');
      await tunnel.ended;
      await server.end();
    });
  });

  test('opens a stream as soon as a limit of none is raised', async () => {
    await withOdd(
      async ({ tunnel, server }) => {
        assert.equal(tunnel.available, false);
        assert.ok((await rejection(tunnel.open(HEAD))) instanceof UnprocessedError);
        server.send(settings([[3, 1]]), frame(FRAME.ping, { payload: Buffer.alloc(8) }));
        await server.next(({ type, flags }) => type === FRAME.ping && flags === ACK);
        const opening = tunnel.open(HEAD);
        await headersOf(server);
        server.send(answer(1, '200', END_STREAM));
        (await opening).reset();
      },
      { hello: settings([[3, 0]]) },
    );
  });

  test('ends the tunnel when window updates come in floods', async () => {
    await withOdd(
      async ({ tunnel, server, clock }) => {
        const update = frame(FRAME.windowUpdate, { payload: number(1) });
        const many = Buffer.concat(Array.from({ length: 400_000 }, () => update));
        server.send(many, frame(FRAME.ping, { payload: Buffer.alloc(8) }));
        await server.next(({ type, flags }) => type === FRAME.ping && flags === ACK);
        await clock.advance(1000);
        assert.equal((await tunnel.ended)?.code, 'TUNNEL_FLOODED');
        await server.end();
      },
      { manual: true },
    );
  });
});
