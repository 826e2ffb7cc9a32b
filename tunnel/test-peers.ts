// Both ends of tunnels over loopback, for tests: a door with an acceptor behind it, and whoever connects to it. Called by
// tests only. Everything that was opened is closed when the test is through.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { type Identity, parseIdentity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import type { ManualClock } from '../runtime/manual-clock.ts';
import { type AcceptParts, type Denied, TunnelAcceptor } from './accept.ts';
import { connectTunnel } from './connect.ts';
import type { Credentials } from './contexts.ts';
import { connected, dial, RoomySocket } from './socket.ts';
import { createTestCa, type TestCa } from './test-ca.ts';
import type { Tunnel, TunnelRequest } from './tunnel.ts';
import { TUNNEL_ROOM_BYTES } from './windows.ts';

export const CLIENT = parseIdentity('spiffe://cluster.local/ns/shop/sa/client');
export const SERVER = parseIdentity('spiffe://cluster.local/ns/shop/sa/server');
export const HEAD = { authority: '10.0.0.7:8080', fields: { baggage: 'k8s.namespace.name=shop' } };

/** What two peers need to know each other. */
export type Acquainted = {
  readonly ca: TestCa;
  readonly client: Credentials;
  readonly server: Credentials;
};

export async function acquaint(): Promise<Acquainted> {
  const ca = await createTestCa();
  return { ca, client: await ca.credentials(CLIENT), server: await ca.credentials(SERVER) };
}

export type Peers = {
  readonly port: number;
  readonly denied: Denied[];
  readonly requests: TunnelRequest[];
  readonly acceptor: TunnelAcceptor;
  /** As the door accepted them. */
  readonly sockets: Set<Socket>;
  connect(credentials?: Credentials, expected?: readonly Identity[]): Promise<Tunnel>;
};

export type PeerOptions = Partial<Omit<AcceptParts, 'clock' | 'credentials'>> & {
  readonly clock?: ManualClock;
  readonly server?: Credentials;
};

export async function withPeers(
  known: Acquainted,
  use: (peers: Peers) => Promise<void>,
  options: PeerOptions = {},
): Promise<void> {
  const denied: Denied[] = [];
  const requests: TunnelRequest[] = [];
  const sockets = new Set<Socket>();
  const clock = options.clock ?? systemClock;
  const acceptor = new TunnelAcceptor({
    ...options,
    clock,
    credentials: options.server ?? known.server,
    onRequest: (request) => {
      requests.push(request);
      (options.onRequest ?? echo)(request);
    },
    onDenied: (one) => {
      denied.push(one);
      options.onDenied?.(one);
    },
  });
  const server = createServer((socket) => {
    sockets.add(socket);
    acceptor.take(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tunnels: Tunnel[] = [];
  try {
    await use({
      port,
      denied,
      requests,
      acceptor,
      sockets,
      async connect(credentials = known.client, expected = [SERVER]) {
        const socket = await dialLoopback(port);
        const settings = { name: `127.0.0.1:${port}`, expected };
        const tunnel = await connectTunnel({ clock, credentials }, socket, settings);
        tunnels.push(tunnel);
        return tunnel;
      },
    });
  } finally {
    await Promise.all(tunnels.map((tunnel) => tunnel.close()));
    await acceptor.close();
    server.close();
    await once(server, 'close');
  }
}

export function closed(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once('close', () => resolve());
  });
}

export function dialLoopback(port: number): Promise<Socket> {
  return dial({ clock: systemClock }, { to: { ip: parseIp('127.0.0.1'), port } });
}

/** On a socket that says of itself to hold all that a tunnel's windows allow. */
export function dialWithRoom(
  port: number,
  socket: Socket = new RoomySocket({}, TUNNEL_ROOM_BYTES),
): Promise<Socket> {
  const to = { ip: parseIp('127.0.0.1'), port };
  return connected({ clock: systemClock }, socket.connect(port, to.ip), to);
}

export function echo(request: TunnelRequest): void {
  const { bytes } = request.accept({});
  bytes.pipe(bytes);
}

export async function readAll(bytes: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export async function rejection(promise: Promise<unknown>): Promise<MeshError> {
  const error = await promise.then(
    () => assert.fail('expected a rejection'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MeshError, String(error));
  return error;
}
