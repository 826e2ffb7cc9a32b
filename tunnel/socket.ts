// TCP sockets with the options every data socket of the mesh has. Called by whoever dials or listens; tunnels and
// captured connections alike. A socket made here has an error listener from its first moment.

import { createConnection, Socket, type SocketConstructorOpts } from 'node:net';
import { formatIpPort, type IpAddress, type IpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';

/** Long enough for a SYN lost three times (1 + 2 + 4 s), short enough that an application still waits for us. */
export const CONNECT_TIMEOUT_MS = 10_000;
// The reference's: a silent peer is probed after three minutes, and given up after nine probes as far apart. Node's own
// interval of a second would take a network's pause of ten for a death.
const KEEPALIVE_MS = 180_000;
const KEEPALIVE_PROBES = 9;

export type DialTarget = {
  readonly to: IpPort;
  /** The address to be seen as; the kernel's choice without it. */
  readonly from?: IpAddress;
  /** What the socket is to hold unread; a {@link RoomySocket} tells how much that became. The kernel's choice without it. */
  readonly roomBytes?: number;
};

/** A socket whose kernel takes `roomBytes` off the peer's hands also while nobody reads here. */
export class RoomySocket extends Socket {
  readonly roomBytes: number;

  constructor(options: SocketConstructorOpts, roomBytes: number) {
    super(options);
    this.roomBytes = roomBytes;
  }
}

/** From this process's own network. @throws MeshError UPSTREAM_CONNECT, UPSTREAM_CONNECT_TIMEOUT, or `signal.reason` */
export async function dial(
  parts: { readonly clock: Clock },
  target: Omit<DialTarget, 'roomBytes'>,
  signal?: AbortSignal,
): Promise<Socket> {
  signal?.throwIfAborted();
  const socket = createConnection({
    host: target.to.ip,
    port: target.to.port,
    allowHalfOpen: true,
    noDelay: true,
    ...(target.from === undefined ? {} : { localAddress: target.from }),
  });
  keepSocketAlive(socket);
  return connected(parts, socket, target.to, signal);
}

/** Waits for a socket that has begun to connect; whatever happens instead destroys it. */
export function connected(
  parts: { readonly clock: Clock },
  socket: Socket,
  to: IpPort,
  signal?: AbortSignal,
): Promise<Socket> {
  socket.on('error', ignoreError);
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onError = (cause: Error): void => {
      fail(
        new MeshError(
          'UPSTREAM_CONNECT',
          `Cannot connect to ${formatIpPort(to)}: ${cause.message}`,
          {
            cause,
          },
        ),
      );
    };
    const onAbort = (): void => fail(signal?.reason);
    const timer = parts.clock.timer(CONNECT_TIMEOUT_MS, () => {
      const seconds = CONNECT_TIMEOUT_MS / 1000;
      fail(
        new MeshError(
          'UPSTREAM_CONNECT_TIMEOUT',
          `Cannot connect to ${formatIpPort(to)}: no answer within ${seconds} s`,
        ),
      );
    });
    const onConnect = (): void => {
      settle();
      resolve(socket);
    };
    const settle = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      socket.off('connect', onConnect);
    };
    socket.once('error', onError);
    socket.once('connect', onConnect);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** For sockets to and from applications; a tunnel has its PINGs. */
export function keepSocketAlive(socket: Socket): void {
  socket.setKeepAlive(true, KEEPALIVE_MS, KEEPALIVE_MS, KEEPALIVE_PROBES);
}

/** An error also closes the socket, and `close` is what everybody acts on. */
export function ignoreError(): void {}
