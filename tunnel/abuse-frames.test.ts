// Peers with a good certificate that flood us or break HTTP/2, frame by frame: each loses its own tunnel with a named
// failure, soon, and no other peer notices.

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
  echo,
  HEAD,
  type PeerOptions,
  type Peers,
  withPeers,
} from './test-peers.ts';

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

type Attacked = Peers & { readonly attacker: RawPeer; readonly lost: Promise<Lost> };

/** An attacker and, on a tunnel of its own, somebody who must not notice. */
async function attack(
  use: (attacked: Attacked) => Promise<void>,
  options: PeerOptions = {},
): Promise<void> {
  const lost = Promise.withResolvers<Lost>();
  await withPeers(
    known,
    async (peers) => {
      const bystander = await (await peers.connect()).open(HEAD);
      const attacker = await connectRaw(peers.port, known.client);
      await use({ ...peers, attacker, lost: lost.promise });
      bystander.bytes.write('still here');
      assert.equal(String((await once(bystander.bytes, 'data'))[0]), 'still here');
      attacker.socket.destroy();
    },
    {
      onRequest: echo,
      onLost: (one) => lost.resolve(one),
      ...options,
    },
  );
}

/** Sends until the connection is closed; how many that took. */
async function flood(
  { socket, send }: RawPeer,
  make: (index: number) => Buffer,
  most: number,
): Promise<number> {
  let sent = 0;
  while (!socket.destroyed && sent < most) {
    send(...Array.from({ length: 100 }, () => make(sent++)));
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return sent;
}

const CONNECTED = connectFrame(1);
const onStream = (then: Buffer) => (index: number) => (index === 0 ? CONNECTED : then);
const continued = frame(FRAME.headers, { stream: 1, payload: block([[':method', 'CONNECT']]) });

describe('a peer that floods us with', () => {
  for (const [what, make, code, most] of [
    [
      'answers to PINGs we never sent',
      () => frame(FRAME.ping, { flags: ACK, payload: Buffer.alloc(8) }),
      'TUNNEL_PROTOCOL',
      20_000,
    ],
    [
      'PRIORITY',
      () => frame(FRAME.priority, { stream: 1, payload: Buffer.of(0, 0, 0, 0, 5) }),
      'TUNNEL_PROTOCOL',
      50_000,
    ],
    ['empty DATA', onStream(frame(FRAME.data, { stream: 1 })), 'TUNNEL_FLOODED', 20_000],
    [
      'DATA that is all padding',
      onStream(frame(FRAME.data, { stream: 1, flags: PADDED, payload: Buffer.of(0) })),
      'TUNNEL_PROTOCOL',
      50_000,
    ],
    [
      'streams it makes us reset (zero window updates)',
      (index: number) =>
        Buffer.concat([
          connectFrame(2 * index + 1),
          frame(FRAME.windowUpdate, { stream: 2 * index + 1, payload: number(0) }),
        ]),
      'TUNNEL_PROTOCOL',
      10_000,
    ],
    [
      'more streams than we allow (10,000 at once)',
      (index: number) => connectFrame(2 * index + 1),
      'TUNNEL_PROTOCOL',
      10_000,
    ],
    ['resets of one stream', onStream(reset(1)), 'TUNNEL_PROTOCOL', 100_000],
    [
      'CONTINUATION without end',
      (index: number) =>
        index === 0
          ? continued
          : frame(FRAME.continuation, { stream: 1, payload: block([['a', 'b']]) }),
      'TUNNEL_FLOODED',
      20_000,
    ],
    [
      'empty CONTINUATION without end',
      (index: number) => (index === 0 ? continued : frame(FRAME.continuation, { stream: 1 })),
      'TUNNEL_FLOODED',
      20_000,
    ],
    ['frames of unknown type', () => frame(99), 'TUNNEL_PROTOCOL', 50_000],
  ] as const) {
    test(`${what} loses its tunnel with ${code}`, async () => {
      await attack(async ({ attacker, lost, requests, acceptor }) => {
        const sent = await flood(attacker, make, most);
        assert.ok(sent < most, `took ${sent} of them`);
        assert.equal((await lost).error.code, code);
        assert.equal(acceptor.tunnels, 1);
        // one is the bystander's
        assert.ok(requests.length <= 201, `${requests.length} streams were opened`);
      });
    });
  }

  test('streams it takes back at once (rapid reset) loses its tunnel within 1,000 of them', async () => {
    await attack(
      async ({ attacker, lost, requests }) => {
        const sent = await flood(
          attacker,
          (index) => Buffer.concat([connectFrame(2 * index + 1), reset(2 * index + 1)]),
          20_000,
        );
        assert.ok(sent < 20_000, `took ${sent} of them`);
        const { error } = await lost;
        assert.ok(['TUNNEL_FLOODED', 'TUNNEL_PROTOCOL'].includes(error.code), error.code);
        assert.ok(requests.length <= 1000, `${requests.length} streams were opened`);
        assert.equal(requests.filter(({ signal }) => !signal.aborted).length, 1);
      },
      {
        // as an agent does: the answer waits for a dial
        onRequest: (request) => {
          if (request.fields['baggage'] !== undefined) echo(request);
        },
      },
    );
  });

  for (const [what, make] of [
    ['PINGs', frame(FRAME.ping, { payload: Buffer.alloc(8) })],
    ['SETTINGS', settings([[4, 100_000]])],
    ['window updates of the connection', frame(FRAME.windowUpdate, { payload: number(1) })],
    ['window updates of a stream', frame(FRAME.windowUpdate, { stream: 1, payload: number(1) })],
  ] as const) {
    test(`${what} loses its tunnel when a second’s account is made, if not before`, async () => {
      const clock = new ManualClock();
      await attack(
        async ({ attacker, lost, sockets }) => {
          const many = Buffer.concat(Array.from({ length: 1000 }, () => make));
          attacker.send(CONNECTED);
          const wire = [...sockets].at(-1);
          assert.ok(wire);
          for (let sent = 0; sent < 400; sent++) attacker.send(many);
          while (!wire.destroyed && wire.bytesRead < 400 * many.length) {
            await new Promise<void>((resolve) => setImmediate(resolve));
          }
          await clock.advance(1000);
          assert.equal((await lost).error.code, 'TUNNEL_FLOODED');
          await attacker.end();
        },
        { clock },
      );
    });
  }
});

describe('a peer that breaks HTTP/2 with', () => {
  const head = block([
    [':method', 'CONNECT'],
    [':authority', 'a:1'],
  ]);
  for (const [what, bytes, code] of [
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), 6],
    ['a frame larger than we allow', frame(FRAME.ping, { length: 1024 * 1024 + 1 }), 6],
    ['a PING on a stream', frame(FRAME.ping, { stream: 1, payload: Buffer.alloc(8) }), 1],
    ['a PING of seven bytes', frame(FRAME.ping, { payload: Buffer.alloc(7) }), 6],
    ['SETTINGS of five bytes', frame(FRAME.settings, { payload: Buffer.alloc(5) }), 6],
    ['an initial window above 2^31-1', settings([[4, 2 ** 31]]), 3],
    ['a largest frame of 16,383 bytes', settings([[5, 16_383]]), 1],
    ['a largest frame of 2^24 bytes', settings([[5, 2 ** 24]]), 1],
    ['window updates above 2^31-1', frame(FRAME.windowUpdate, { payload: number(2 ** 31 - 1) }), 3],
    ['a window update of nothing', frame(FRAME.windowUpdate, { payload: number(0) }), 1],
    ['an even stream', connectFrame(2), 1],
    ['DATA on a stream that never was', frame(FRAME.data, { stream: 7, payload: head }), 1],
    [
      'padding as long as its frame',
      Buffer.concat([
        CONNECTED,
        frame(FRAME.data, { stream: 1, flags: PADDED, payload: Buffer.of(4, 0, 0, 0) }),
      ]),
      1,
    ],
    [
      'a header block between others',
      Buffer.concat([
        frame(FRAME.headers, { stream: 1, payload: head }),
        frame(FRAME.ping, { payload: Buffer.alloc(8) }),
      ]),
      1,
    ],
    [
      'HPACK index 0',
      frame(FRAME.headers, { flags: END_HEADERS, stream: 1, payload: Buffer.of(0x80) }),
      9,
    ],
    [
      'an HPACK integer without end',
      frame(FRAME.headers, {
        flags: END_HEADERS,
        stream: 1,
        payload: Buffer.concat([Buffer.of(0x7f), Buffer.alloc(16, 0xff)]),
      }),
      9,
    ],
    [
      'bad Huffman code',
      frame(FRAME.headers, {
        flags: END_HEADERS,
        stream: 1,
        payload: Buffer.of(0, 0x81, 0xff, 0x81, 0xff),
      }),
      9,
    ],
    [
      'an HPACK table larger than we allow',
      frame(FRAME.headers, {
        flags: END_HEADERS,
        stream: 1,
        payload: Buffer.concat([Buffer.of(0x3f, 0xff, 0xff, 0x7f), head]),
      }),
      9,
    ],
    ['a field larger than all we take', connectFrame(1, 'a:1', [['a', 'b'.repeat(70_000)]]), 9],
    [
      'DATA beyond our window',
      Buffer.concat([
        CONNECTED,
        ...Array.from({ length: 40 }, () =>
          frame(FRAME.data, { stream: 1, payload: Buffer.alloc(1024 * 1024) }),
        ),
      ]),
      3,
    ],
  ] as const) {
    test(`${what} loses its tunnel with GOAWAY ${code}`, async () => {
      await attack(async ({ attacker, lost, acceptor }) => {
        attacker.send(bytes);
        assert.equal(await attacker.end(), code);
        assert.equal((await lost).error.code, 'TUNNEL_PROTOCOL');
        assert.equal(acceptor.tunnels, 1);
      });
    });
  }
});
