// The cluster DNS: answers over UDP and TCP from a Zone, and passes names outside the cluster on. Opened by both network
// drivers. Invariant: a query that cannot be read is dropped (UDP) or ends its connection (TCP); the server goes on.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Answer, DecodedPacket, Packet, Question } from 'dns-packet';
import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  TRUNCATED_RESPONSE,
} from 'dns-packet';
import type { Log } from '../../../runtime/log.ts';
import { CLUSTER_DOMAIN, type NameAnswer, type ServiceRecord, Zone } from './records.ts';

/** Short, so that clients notice within seconds that an endpoint is gone; the usual value of cluster DNS. */
const TTL_SECONDS = 5;
/** RFC 1035 section 4.2.1: what a UDP answer may measure unless the client says it takes more. */
const PLAIN_UDP_BYTES = 512;
/** Larger UDP answers would be cut into fragments on an ordinary link. */
const MAX_UDP_BYTES = 1232;
/** Lookups in one connection happen one after another; a client that is idle this long is gone. */
const TCP_IDLE_MS = 10_000;
const MAX_TCP_CONNECTIONS = 200;

const NO_ERROR = 0;
const SERVER_FAILURE = 2;
const NO_SUCH_NAME = 3;
const REFUSED = 5;

/** Asks somebody else about a name outside the cluster; the answer is passed on as it is. */
export type Forward = (query: Buffer) => Promise<Buffer>;

export interface DnsServer {
  sync(records: readonly ServiceRecord[]): void;
  close(): Promise<void>;
}

export async function startDns(
  parts: { log: Log; forward?: Forward },
  settings: { addresses: readonly string[]; port: number },
): Promise<DnsServer> {
  const server = new ClusterDns(parts);
  try {
    for (const address of settings.addresses) await server.listen(address, settings.port);
    return server;
  } catch (error) {
    await server.close();
    throw error;
  }
}

class ClusterDns implements DnsServer {
  #zone = new Zone([]);
  readonly #parts: { log: Log; forward?: Forward };
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #connections = new Set<Socket>();

  constructor(parts: { log: Log; forward?: Forward }) {
    this.#parts = parts;
  }

  sync(records: readonly ServiceRecord[]): void {
    this.#zone = new Zone(records);
  }

  async listen(address: string, port: number): Promise<void> {
    const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    this.#udp.push(udp);
    udp.on('message', (query, peer) => {
      void this.#answer(query).then((answer) => {
        if (answer === undefined) return;
        udp.send(cut(answer, query), peer.port, peer.address, () => {});
      });
    });
    const bound = once(udp, 'listening');
    udp.bind(port, address);
    await bound;
    udp.on('error', (error) => {
      this.#parts.log.warn('Cluster DNS: socket failed', { address, error });
    });
    const tcp = createServer((socket) => {
      this.#serve(socket);
    });
    tcp.maxConnections = MAX_TCP_CONNECTIONS;
    this.#tcp.push(tcp);
    const listening = once(tcp, 'listening');
    tcp.listen(port, address);
    await listening;
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#connections.delete(socket));
    socket.setTimeout(TCP_IDLE_MS, () => {
      socket.destroy();
    });
    let waiting: Buffer = Buffer.alloc(0);
    const next = async (): Promise<void> => {
      while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
        const end = 2 + waiting.readUInt16BE(0);
        const answer = await this.#answer(waiting.subarray(2, end));
        if (answer === undefined) {
          socket.destroy();
          return;
        }
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
        waiting = waiting.subarray(end);
      }
      socket.resume();
    };
    socket.on('data', (bytes) => {
      // paused until answered: a client cannot pile up queries
      socket.pause();
      waiting = Buffer.concat([waiting, bytes]);
      void next();
    });
  }

  async #answer(bytes: Buffer): Promise<Buffer | undefined> {
    const query = readQuery(bytes);
    if (query === undefined) return undefined;
    const [question] = query.questions ?? [];
    if (question === undefined) return undefined;
    const result = this.#zone.resolve(question.name, question.type);
    switch (result.kind) {
      case 'found': {
        const answers = result.answers.map(toAnswer);
        const outside = await this.#follow(result.answers, question);
        return reply(query, NO_ERROR, [...answers, ...outside], result.extra.map(toAnswer));
      }
      case 'no-data':
        return reply(query, NO_ERROR, []);
      case 'no-such-name':
        return reply(query, NO_SUCH_NAME, []);
      case 'not-ours':
        return await this.#passOn(query, bytes);
    }
  }

  async #passOn(query: DecodedPacket, bytes: Buffer): Promise<Buffer> {
    if (this.#parts.forward === undefined) return reply(query, NO_SUCH_NAME, []);
    try {
      return await this.#parts.forward(bytes);
    } catch {
      return reply(query, SERVER_FAILURE, []);
    }
  }

  /** An ExternalName's answer carries the addresses of what it points to, as a resolver's would. */
  async #follow(answers: readonly NameAnswer[], question: Question): Promise<Answer[]> {
    const alias = answers[0];
    if (alias?.type !== 'CNAME' || question.type === 'CNAME') return [];
    const inside = this.#zone.resolve(alias.data, question.type);
    if (inside.kind === 'found') return inside.answers.map(toAnswer);
    if (inside.kind !== 'not-ours' || this.#parts.forward === undefined) return [];
    try {
      const query = encode({
        type: 'query',
        id: 1,
        flags: 0x0100,
        questions: [{ ...question, name: alias.data }],
      });
      return decode(await this.#parts.forward(query)).answers ?? [];
    } catch {
      return [];
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy();
    await Promise.all([
      ...this.#tcp.map((server) => closed(server)),
      ...this.#udp.map((socket) => closed(socket)),
    ]);
  }
}

function readQuery(bytes: Buffer): DecodedPacket | undefined {
  try {
    const query = decode(bytes);
    return query.type === 'query' ? query : undefined;
  } catch {
    return undefined;
  }
}

function toAnswer(answer: NameAnswer): Answer {
  const common = { name: answer.name, ttl: TTL_SECONDS, class: 'IN' as const };
  if (answer.type !== 'SRV') return { ...common, type: answer.type, data: answer.data };
  return { ...common, type: 'SRV', data: { ...answer.data, priority: 0, weight: 100 } };
}

function reply(
  query: DecodedPacket,
  code: typeof NO_ERROR | typeof SERVER_FAILURE | typeof NO_SUCH_NAME | typeof REFUSED,
  answers: Answer[],
  additionals: Answer[] = [],
): Buffer {
  const recursionDesired = (query.flags ?? 0) & 0x0100;
  const packet: Packet = {
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | recursionDesired | code,
    questions: query.questions ?? [],
    answers,
    additionals: [...additionals, ...(clientBytes(query) === undefined ? [] : [edns()])],
    // RFC 2308: an answer of "nothing" says how long it may be believed
    authorities: answers.length === 0 && code !== SERVER_FAILURE ? [authority()] : [],
  };
  return encode(packet);
}

function authority(): Answer {
  return {
    type: 'SOA',
    name: CLUSTER_DOMAIN,
    ttl: TTL_SECONDS,
    data: {
      mname: `ns.dns.${CLUSTER_DOMAIN}`,
      rname: `hostmaster.${CLUSTER_DOMAIN}`,
      serial: 1,
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: TTL_SECONDS,
    },
  };
}

function edns(): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: MAX_UDP_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as unknown as Answer;
}

/** What the client says it takes in one datagram (EDNS); undefined when it does not say. */
function clientBytes(query: DecodedPacket): number | undefined {
  for (const record of query.additionals ?? []) {
    if (record.type === 'OPT') return record.udpPayloadSize;
  }
  return undefined;
}

/** An answer that is too long for a datagram is emptied and marked: the client asks again over TCP. */
function cut(answer: Buffer, queryBytes: Buffer): Buffer {
  if (answer.length <= PLAIN_UDP_BYTES) return answer;
  const query = readQuery(queryBytes);
  const limit = Math.max(PLAIN_UDP_BYTES, (query && clientBytes(query)) ?? PLAIN_UDP_BYTES);
  if (query === undefined || answer.length <= Math.min(limit, MAX_UDP_BYTES)) return answer;
  const packet = decode(answer);
  return encode({
    type: 'response',
    ...(packet.id === undefined ? {} : { id: packet.id }),
    flags: (packet.flags ?? 0) | TRUNCATED_RESPONSE,
    questions: packet.questions ?? [],
  });
}

async function closed(server: Server | UdpSocket): Promise<void> {
  await new Promise<void>((done) => {
    try {
      server.close(() => {
        done();
      });
    } catch {
      // it never listened
      done();
    }
  });
}
