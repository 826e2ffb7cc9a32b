// A peer that speaks HTTP/2 frame by frame and keeps no rule, for tests of how our ends take it. Called by tests only.
// Fields go out as HPACK literals without Huffman codes (RFC 7541 section 6.2.2), which any decoder must read.

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Credentials } from './contexts.ts';

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export type Frame = {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
};

export function frame(
  type: number,
  options: { flags?: number; stream?: number; payload?: Uint8Array; length?: number } = {},
): Buffer {
  const { flags = 0, stream = 0, payload = Buffer.alloc(0) } = options;
  const head = Buffer.alloc(9);
  head.writeUIntBE(options.length ?? payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Field lines as a header block. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1');
    return Buffer.concat([integer(bytes.length, 7), bytes]);
  };
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

/** An HPACK integer with an empty prefix of `bits` bits. */
function integer(value: number, bits: number): Buffer {
  const limit = 2 ** bits - 1;
  if (value < limit) return Buffer.of(value);
  const bytes = [limit];
  for (let rest = value - limit; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) return Buffer.from(bytes);
  }
}

export function settings(values: readonly (readonly [number, number])[] = []): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  for (const [index, [id, value]] of values.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return frame(FRAME.settings, { payload });
}

export function number(value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return payload;
}

export function reset(stream: number, code = 8): Buffer {
  return frame(FRAME.reset, { stream, payload: number(code) });
}

/** CONNECT as a header block frame of its own. */
export function connectFrame(
  stream: number,
  authority = '10.0.0.7:8080',
  fields: readonly (readonly [string, string])[] = [],
): Buffer {
  const payload = block([[':method', 'CONNECT'], [':authority', authority], ...fields]);
  return frame(FRAME.headers, { flags: END_HEADERS, stream, payload });
}

export type RawPeer = {
  readonly socket: TLSSocket;
  /** Everything the other end sent, so far. */
  readonly frames: Frame[];
  send(...frames: readonly Buffer[]): void;
  /** The next frame, or one that came already, for which `test` holds; undefined when the connection ends without. */
  next(test: (frame: Frame) => boolean): Promise<Frame | undefined>;
  /** The code of the GOAWAY that came before the end; undefined when none did. Waits for the end. */
  end(): Promise<number | undefined>;
};

/** Reads frames off a TLS connection, after as many bytes as a preface has. */
export function rawPeer(socket: TLSSocket, prefaceBytes = 0): RawPeer {
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  let rest = Buffer.alloc(0);
  let preface = prefaceBytes;
  let over = false;
  const wake = (): void => {
    for (const one of waiting) one();
  };
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    const skipped = Math.min(preface, rest.length);
    preface -= skipped;
    rest = rest.subarray(skipped);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest[3] ?? 0,
        flags: rest[4] ?? 0,
        stream: rest.readUInt32BE(5),
        payload: rest.subarray(9, end),
      });
      rest = rest.subarray(end);
    }
    wake();
  });
  socket.once('close', () => {
    over = true;
    wake();
  });
  const next = async (test: (frame: Frame) => boolean): Promise<Frame | undefined> => {
    for (;;) {
      const found = frames.find(test);
      if (found !== undefined || over) return found;
      await new Promise<void>((resolve) => {
        const once = (): void => {
          waiting.delete(once);
          resolve();
        };
        waiting.add(once);
      });
    }
  };
  return {
    socket,
    frames,
    send: (...all) => void (socket.writable && socket.write(Buffer.concat(all))),
    next,
    async end() {
      await next(() => false);
      const goaway = frames.findLast(({ type }) => type === FRAME.goaway);
      return goaway?.payload.readUInt32BE(4);
    },
  };
}

/** A client that has said hello: preface, SETTINGS and their ACK are through. */
export async function connectRaw(
  port: number,
  credentials: Credentials,
  own: Buffer = settings(),
): Promise<RawPeer> {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    secureContext: credentials.context,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const peer = rawPeer(socket);
  peer.send(PREFACE, own);
  await peer.next(({ type, flags }) => type === FRAME.settings && flags === ACK);
  peer.send(frame(FRAME.settings, { flags: ACK }));
  return peer;
}

/** A server that says `hello` and then whatever the test says; `peers` is its first client. */
export async function withRawServer(
  credentials: Credentials,
  use: (port: number, peers: Promise<RawPeer>) => Promise<void>,
  hello: Buffer = settings(),
): Promise<void> {
  const first = Promise.withResolvers<RawPeer>();
  const sockets: TLSSocket[] = [];
  const server = createTlsServer(
    { ...credentials.options, ALPNProtocols: ['h2'], requestCert: true },
    (socket) => {
      sockets.push(socket);
      const peer = rawPeer(socket, PREFACE.length);
      peer.send(hello, frame(FRAME.settings, { flags: ACK }));
      first.resolve(peer);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use((server.address() as AddressInfo).port, first.promise);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}
