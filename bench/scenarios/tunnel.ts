// The tunnel against plain TCP over loopback, both ends in this process: bulk bytes one way, small messages there and
// back, and connections opened one after the other.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseIp } from '../../mesh/address.ts';
import { parseIdentity } from '../../mesh/identity.ts';
import { systemClock } from '../../runtime/clock.ts';
import { TunnelAcceptor } from '../../tunnel/accept.ts';
import { connectTunnel } from '../../tunnel/connect.ts';
import { dial } from '../../tunnel/socket.ts';
import { createTestCa } from '../../tunnel/test-ca.ts';
import type { Tunnel } from '../../tunnel/tunnel.ts';
import type { Scenario } from '../scenario.ts';

const CHUNK = Buffer.alloc(64 * 1024, 'x');
const MEGABYTES = 128;
const MESSAGES = 5000;
const CONNECTIONS = 500;
const HEAD = { authority: '127.0.0.1:80', fields: {} };
const LOOPBACK = parseIp('127.0.0.1');

type World = {
  readonly openDirect: () => Promise<Duplex>;
  readonly openMesh: () => Promise<Duplex>;
  close(): Promise<void>;
};

export const tunnelScenarios: readonly (() => Promise<Scenario>)[] = [
  async () => {
    const world = await openWorld(count);
    const bulk = async (open: () => Promise<Duplex>): Promise<void> => {
      const stream = await open();
      for (let sent = 0; sent < MEGABYTES * 16; sent++) {
        if (!stream.write(CHUNK)) await once(stream, 'drain');
      }
      stream.end();
      await ended(stream);
    };
    return scenario(world, { name: 'bulk one way', unit: 'MB', amount: MEGABYTES }, bulk);
  },
  async () => {
    const world = await openWorld(echo);
    const pingPong = async (open: () => Promise<Duplex>): Promise<void> => {
      const stream = await open();
      for (let i = 0; i < MESSAGES; i++) {
        stream.write(CHUNK.subarray(0, 256));
        await once(stream, 'data');
      }
      stream.end();
      await ended(stream);
    };
    return scenario(
      world,
      { name: '256 bytes there and back', unit: 'message', amount: MESSAGES },
      pingPong,
    );
  },
  async () => {
    const world = await openWorld(echo);
    const reopen = async (open: () => Promise<Duplex>): Promise<void> => {
      for (let i = 0; i < CONNECTIONS; i++) {
        const stream = await open();
        stream.end();
        await ended(stream);
      }
    };
    return scenario(
      world,
      { name: 'open and close', unit: 'connection', amount: CONNECTIONS },
      reopen,
    );
  },
];

function scenario(
  world: World,
  what: Pick<Scenario, 'name' | 'unit' | 'amount'>,
  work: (open: () => Promise<Duplex>) => Promise<void>,
): Scenario {
  return {
    ...what,
    direct: () => work(world.openDirect),
    mesh: () => work(world.openMesh),
    close: () => world.close(),
  };
}

async function openWorld(serve: (stream: Duplex) => void): Promise<World> {
  const ca = await createTestCa();
  const identity = parseIdentity('spiffe://cluster.local/ns/bench/sa/server');
  const acceptor = new TunnelAcceptor({
    clock: systemClock,
    credentials: await ca.credentials(identity),
    onRequest: (request) => serve(request.accept({}).bytes),
    onDenied: ({ error }) => {
      throw error;
    },
  });
  const tunnelPort = await listen((socket) => acceptor.take(socket));
  const direct = await listen(serve);
  const credentials = await ca.credentials('spiffe://cluster.local/ns/bench/sa/client');
  const socket = await dial(
    { clock: systemClock },
    { to: { ip: LOOPBACK, port: tunnelPort.port } },
  );
  const tunnel: Tunnel = await connectTunnel({ clock: systemClock, credentials }, socket, {
    name: 'the bench',
    expected: [identity],
  });
  return {
    async openDirect() {
      const client = connect({
        port: direct.port,
        host: LOOPBACK,
        allowHalfOpen: true,
        noDelay: true,
      });
      await once(client, 'connect');
      return client;
    },
    openMesh: async () => (await tunnel.open(HEAD)).bytes,
    async close() {
      await tunnel.close();
      await acceptor.close();
      tunnelPort.server.close();
      direct.server.close();
    },
  };
}

async function listen(
  onSocket: (socket: Socket) => void,
): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, onSocket);
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

function count(stream: Duplex): void {
  stream.resume();
  stream.once('end', () => stream.end());
}

function echo(stream: Duplex): void {
  stream.on('data', (chunk: Buffer) => stream.write(chunk));
  stream.once('end', () => stream.end());
}

async function ended(stream: Duplex): Promise<void> {
  stream.resume();
  if (!stream.readableEnded) await once(stream, 'end');
}
