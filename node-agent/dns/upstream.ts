// One question to one name server, over UDP or TCP, from wherever the sockets are made: a pod's namespace for the pod's own
// questions, the node's for ours. Called by forwarder.ts. Invariants: what does not answer the very question under a random
// ID from a random port is not believed, and every socket is closed when the question is over.

import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { formatIpPort, type IpPort, isIpv6 } from '../../mesh/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { DialTarget } from '../../tunnel/socket.ts';
import type { DnsQuery } from '../../wire/dns-query.ts';
import { readUpstreamHead, type UpstreamHead } from '../../wire/dns-response.ts';

/** How long one server may take; half of what common resolvers wait for us, so that a second one can be asked. */
export const UPSTREAM_UDP_TIMEOUT_MS = 2000;
/** With the handshake, and for answers of 64 KiB. */
export const UPSTREAM_TCP_TIMEOUT_MS = 5000;
/** Datagrams that answer something else: one or two are late, more are an attempt to guess. */
const MAX_WRONG_ANSWERS = 16;

export type Transport = 'udp' | 'tcp';

/** Makes sockets that are never captured. */
export type DnsSockets = {
  /** @throws MeshError UPSTREAM_CONNECT */
  udp(family: 'ipv4' | 'ipv6'): UdpSocket;
  /** @throws MeshError UPSTREAM_CONNECT, UPSTREAM_CONNECT_TIMEOUT */
  dial(target: DialTarget, signal?: AbortSignal): Promise<Socket>;
};

export type UpstreamReason = 'timeout' | 'unreachable' | 'implausible';

/** Why a server gave no answer; `reason` is a metric's label. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly reason: UpstreamReason;

  constructor(reason: UpstreamReason, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.reason = reason;
  }
}

export type UpstreamAsk = {
  readonly clock: Clock;
  readonly sockets: DnsSockets;
  readonly server: IpPort;
  /** The query as it came; its ID is replaced on the way and put back in the answer. */
  readonly message: Uint8Array;
  readonly query: Pick<DnsQuery, 'id' | 'question'>;
  readonly randomId: () => number;
  readonly signal: AbortSignal;
};

export type UpstreamAnswer = { readonly message: Uint8Array; readonly head: UpstreamHead };

/** @throws UpstreamError, or `signal.reason` */
export async function askUpstream(ask: UpstreamAsk, transport: Transport): Promise<UpstreamAnswer> {
  ask.signal.throwIfAborted();
  const outgoing = Uint8Array.from(ask.message);
  const id = ask.randomId();
  writeId(outgoing, id);
  const expected = { id, question: ask.query.question };
  const found = await (transport === 'udp'
    ? overUdp(ask, outgoing, expected)
    : overTcp(ask, outgoing, expected));
  writeId(found.message, ask.query.id);
  return found;
}

type Expected = Parameters<typeof readUpstreamHead>[1];

async function overUdp(
  { clock, sockets, server, signal }: UpstreamAsk,
  outgoing: Uint8Array,
  expected: Expected,
): Promise<UpstreamAnswer> {
  const socket = makeSocket(sockets, server);
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamAnswer>();
  const timer = clock.timer(UPSTREAM_UDP_TIMEOUT_MS, () => {
    reject(timedOut(server, UPSTREAM_UDP_TIMEOUT_MS));
  });
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let wrong = 0;
  socket.on('error', (cause) => reject(unreachable(server, cause)));
  socket.on('message', (message) => {
    const head = readUpstreamHead(message, expected);
    if (head !== undefined) resolve({ message, head });
    else if (++wrong > MAX_WRONG_ANSWERS) reject(implausible(server));
  });
  try {
    // connected: the kernel takes datagrams of this server only, and tells at once when nobody is there
    socket.connect(server.port, server.ip, () => {
      socket.send(outgoing, (cause) => {
        if (cause !== null) reject(unreachable(server, cause));
      });
    });
    return await promise;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
    socket.close();
  }
}

function makeSocket(sockets: DnsSockets, server: IpPort): UdpSocket {
  try {
    return sockets.udp(isIpv6(server.ip) ? 'ipv6' : 'ipv4');
  } catch (cause) {
    throw unreachable(server, cause);
  }
}

async function overTcp(
  { clock, sockets, server, signal }: UpstreamAsk,
  outgoing: Uint8Array,
  expected: Expected,
): Promise<UpstreamAnswer> {
  const stop = new AbortController();
  const timer = clock.timer(UPSTREAM_TCP_TIMEOUT_MS, () => {
    stop.abort(timedOut(server, UPSTREAM_TCP_TIMEOUT_MS));
  });
  const until = AbortSignal.any([signal, stop.signal]);
  let socket: Socket | undefined;
  try {
    socket = await sockets.dial({ to: server }, until).catch((cause: unknown) => {
      until.throwIfAborted();
      throw unreachable(server, cause);
    });
    const length = Uint8Array.of(outgoing.length >> 8, outgoing.length & 0xff);
    socket.write(Buffer.concat([length, outgoing]));
    const message = await readMessage(socket, server, until);
    const head = readUpstreamHead(message, expected);
    if (head === undefined) throw implausible(server);
    return { message, head };
  } finally {
    timer.cancel();
    socket?.destroy();
  }
}

/** One message behind its length (RFC 1035 section 4.2.2), so at most 64 KiB. */
function readMessage(socket: Socket, server: IpPort, until: AbortSignal): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Buffer[] = [];
  let received = 0;
  const onAbort = (): void => reject(until.reason);
  until.addEventListener('abort', onAbort, { once: true });
  if (until.aborted) onAbort();
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    received += chunk.length;
    const all = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    if (received < 2 || received < 2 + all.readUInt16BE(0)) return;
    resolve(Uint8Array.from(all.subarray(2, 2 + all.readUInt16BE(0))));
  });
  const ended = (): void =>
    reject(unreachable(server, new Error('it ended the connection without an answer')));
  socket.on('end', ended);
  socket.on('close', ended);
  return promise.finally(() => until.removeEventListener('abort', onAbort));
}

function writeId(message: Uint8Array, id: number): void {
  message[0] = id >> 8;
  message[1] = id & 0xff;
}

function timedOut(server: IpPort, ms: number): UpstreamError {
  return new UpstreamError(
    'timeout',
    `Name server ${formatIpPort(server)} did not answer within ${ms / 1000} s`,
  );
}

function unreachable(server: IpPort, cause: unknown): UpstreamError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new UpstreamError(
    'unreachable',
    `Cannot ask name server ${formatIpPort(server)}: ${why}`,
    {
      cause,
    },
  );
}

function implausible(server: IpPort): UpstreamError {
  return new UpstreamError(
    'implausible',
    `Name server ${formatIpPort(server)} sent what answers another question`,
  );
}
