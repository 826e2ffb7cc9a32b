// A pod's doors over loopback, for tests of captured DNS: real sockets on both sides, and a mesh that knows two services.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach } from 'node:test';
import { type IpPort, parseIp } from '../../mesh/address.ts';
import type { PodDns } from '../../mesh/enrolment.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { dial } from '../../tunnel/socket.ts';
import {
  type NameServer,
  openTcp,
  type Script,
  startNameServer,
} from '../test-support/name-server.ts';
import {
  enrolmentOf,
  HandmadeDiscovery,
  portOf,
  serviceOf,
  workloadOf,
} from '../test-support/world.ts';
import type { DnsPod } from './answer.ts';
import { Dns } from './dns.ts';

export const LOOPBACK = parseIp('127.0.0.1');
export const POD = { name: 'web', uid: 'pod-web', addresses: ['10.0.0.9'] };
export const KNOWN: readonly ResourceUpdate[] = [
  { kind: 'workload', workload: workloadOf(POD) },
  { kind: 'service', service: serviceOf('cart', '10.96.0.7', [portOf(80, 8080)]) },
  { kind: 'service', service: { ...serviceOf('many', '10.96.0.8', []), vips: [] } },
  ...Array.from({ length: 100 }, (_, index) => ({
    kind: 'workload' as const,
    workload: workloadOf(
      { name: `many-${index}`, uid: `m${index}`, addresses: [`10.1.0.${index + 1}`] },
      { services: new Map([['shop/many.shop.svc.cluster.local', []]]) },
    ),
  })),
];

function knowing(): HandmadeDiscovery {
  const discovery = new HandmadeDiscovery();
  discovery.push(...KNOWN);
  return discovery;
}

export type Rig = {
  readonly udpDoor: IpPort;
  readonly tcpDoor: IpPort;
  readonly client: UdpSocket;
  readonly metrics: Metrics;
  readonly dns: Dns;
  /** Sockets the agent made for upstream questions and has not closed. */
  readonly open: () => number;
};

export type Rigging = {
  upstream(script: Script): Promise<NameServer>;
  rig(
    servers: readonly IpPort[],
    options?: { clock?: Clock; discovery?: HandmadeDiscovery; own?: PodDns },
  ): Promise<Rig>;
  rawServer(take: (socket: Socket) => void): Promise<IpPort>;
  tcp(to: IpPort): Promise<Socket>;
};

/** Called inside of a describe(): what its tests open is closed after each of them. */
export function rigging(): Rigging {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  async function upstream(script: Script): Promise<NameServer> {
    const server = await startNameServer(script);
    closing.push(() => server.close());
    return server;
  }

  async function rig(
    servers: readonly IpPort[],
    {
      clock = systemClock,
      discovery = knowing(),
      own,
    }: { clock?: Clock; discovery?: HandmadeDiscovery; own?: PodDns } = {},
  ): Promise<Rig> {
    let open = 0;
    const metrics = new Metrics();
    let nextId = 0;
    const dns = new Dns(
      {
        clock,
        log: silentLog,
        metrics,
        discovery,
        random: () => 0,
        randomId: () => {
          nextId = (nextId + 7919) & 0xffff;
          return nextId;
        },
      },
      { clusterDomain: 'cluster.local', upstream: servers },
    );
    const pod: DnsPod = {
      enrolment: { ...enrolmentOf(POD), ...(own === undefined ? {} : { dns: own }) },
      dial: async (target, signal) => {
        const socket = await dial({ clock }, target, signal);
        open++;
        socket.on('close', () => open--);
        return socket;
      },
      udp: (family) => {
        const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
        open++;
        socket.on('close', () => open--);
        return socket;
      },
    };
    const door = createSocket('udp4');
    door.bind(0, LOOPBACK);
    await once(door, 'listening');
    dns.udp(pod, door);
    const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      dns.tcp(pod, {
        socket,
        source: { ip: LOOPBACK, port: 1 },
        destination: { ip: LOOPBACK, port: 53 },
      });
    });
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    const client = createSocket('udp4');
    client.bind(0, LOOPBACK);
    await once(client, 'listening');
    closing.push(async () => {
      dns.close();
      client.close();
      door.close();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
      // a descriptor is closed in the turn after it was let go
      while (open > 0) await new Promise((resolve) => setImmediate(resolve));
    });
    return {
      udpDoor: { ip: LOOPBACK, port: door.address().port },
      tcpDoor: { ip: LOOPBACK, port: (server.address() as AddressInfo).port },
      client,
      metrics,
      dns,
      open: () => open,
    };
  }

  /** A name server of which only TCP is of interest, and not what it is asked. */
  async function rawServer(take: (socket: Socket) => void): Promise<IpPort> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      take(socket);
    });
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return { ip: LOOPBACK, port: (server.address() as AddressInfo).port };
  }

  async function tcp(to: IpPort): Promise<Socket> {
    const socket = await openTcp(to);
    closing.push(() => socket.destroy());
    return socket;
  }

  return { upstream, rig, rawServer, tcp };
}

/** The lines of a scrape that begin so. */
export async function sample(metrics: Metrics, wanted: string): Promise<string> {
  const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(wanted));
  return lines.join('\n');
}

/** However it ends: a reset is an end too. */
export async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (socket.closed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once('close', () => resolve());
  socket.once('end', () => socket.destroy());
  if (socket.readableEnded) socket.destroy();
  await promise;
}
