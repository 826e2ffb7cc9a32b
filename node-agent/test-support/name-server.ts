// A name server and a client for tests of captured DNS, over real sockets. Messages are written and read by another
// implementation than the agent's own. The server says whatever the test wants, also nothing, or nonsense.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { type Answer, type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import { type IpPort, parseIp } from '../../mesh/address.ts';

export type Said = {
  readonly packet: DecodedPacket;
  readonly bytes: Buffer;
  readonly transport: 'udp' | 'tcp';
  readonly port: number;
};
/** What to send back, each on its own; none is silence. */
export type Script = (said: Said) => readonly (Packet | Uint8Array)[];

export type NameServer = {
  readonly at: IpPort;
  /** Every question so far. */
  readonly asked: readonly Said[];
  script: Script;
  /** Resolves when that many questions have come. */
  heard(count: number): Promise<void>;
  /** Resolves when a client next ends one of its connections. */
  left(): Promise<void>;
  close(): Promise<void>;
};

/** The question's answer, as a server that knows these addresses gives it. */
export function answering(...records: readonly Answer[]): Script {
  return ({ packet }) => [responseTo(packet, { answers: [...records] })];
}

export function responseTo(query: DecodedPacket, parts: Packet = {}): Packet {
  const packet: Packet = {
    type: 'response',
    questions: query.questions ?? [],
    flags: 0x0180,
    ...parts,
  };
  return query.id === undefined ? packet : { ...packet, id: query.id, ...parts };
}

export async function startNameServer(script: Script): Promise<NameServer> {
  const asked: Said[] = [];
  const waiting = new Set<() => void>();
  const connections = new Set<Socket>();
  const take = (bytes: Buffer, transport: Said['transport'], port: number): Buffer[] => {
    const said: Said = { packet: decode(bytes), bytes, transport, port };
    asked.push(said);
    for (const wake of waiting) wake();
    return server
      .script(said)
      .map((answer) => (answer instanceof Uint8Array ? Buffer.from(answer) : encode(answer)));
  };
  const tcp = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => connections.delete(socket));
    onMessages(socket, (message) => {
      for (const answer of take(message, 'tcp', socket.remotePort ?? 0))
        socket.write(framed(answer));
    });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.on('message', (message, peer) => {
    for (const answer of take(message, 'udp', peer.port)) udp.send(answer, peer.port, peer.address);
  });
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
  const server: NameServer = {
    at: { ip: parseIp('127.0.0.1'), port },
    asked,
    script,
    heard: (count) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (asked.length < count) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    async left() {
      const [socket] = connections;
      if (socket !== undefined) await once(socket, 'close');
    },
    async close() {
      for (const connection of connections) connection.destroy();
      await Promise.all([
        new Promise<void>((resolve) => void udp.close(resolve)),
        new Promise<void>((resolve) => void tcp.close(() => resolve())),
      ]);
    },
  };
  return server;
}

export function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(message.length >> 8, message.length & 0xff), message]);
}

/** Calls back with each message that came behind its length. */
export function onMessages(socket: Socket, take: (message: Buffer) => void): void {
  let waiting: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
      const end = 2 + waiting.readUInt16BE(0);
      const message = waiting.subarray(2, end);
      waiting = waiting.subarray(end);
      take(message);
    }
  });
}

export function question(
  name: string,
  type: 'A' | 'AAAA' | 'SRV' | 'TXT' = 'A',
  parts: Packet = {},
): Buffer {
  return encode({
    type: 'query',
    id: 4711,
    flags: 0x0100,
    questions: [{ name, type, class: 'IN' }],
    ...parts,
  });
}

/** One datagram, one answer. */
export async function askUdp(socket: UdpSocket, to: IpPort, message: Uint8Array): Promise<Buffer> {
  const answer = once(socket, 'message') as Promise<[Buffer]>;
  socket.send(message, to.port, to.ip);
  return (await answer)[0];
}

/** One message on an open connection, one answer. */
export function askTcp(socket: Socket, message: Uint8Array): Promise<Buffer> {
  const answer = new Promise<Buffer>((resolve, reject) => {
    onMessages(socket, resolve);
    socket.on('close', () => reject(new Error('The DNS connection was closed without an answer')));
  });
  socket.write(framed(message));
  return answer;
}

export async function openTcp(to: IpPort): Promise<Socket> {
  const socket = createConnection({ host: to.ip, port: to.port, allowHalfOpen: true });
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** What an answer says, in short: the code if it is not 0, the records, and TC. */
export function brief(bytes: Uint8Array): string {
  const packet = decode(Buffer.from(bytes));
  const code = (packet.flags ?? 0) & 0xf;
  const records = (packet.answers ?? []).map((record) =>
    record.type === 'A' || record.type === 'AAAA' || record.type === 'CNAME'
      ? `${record.type} ${record.data}`
      : record.type,
  );
  const parts = [...(code === 0 ? [] : [`code ${code}`]), ...records];
  if (packet.flag_tc) parts.push('truncated');
  return parts.join(', ') || 'nothing';
}
