// One message of a pod's -> the message it gets back: read, resolve in the mesh, else forward. Called by udp-door.ts and
// tcp-door.ts. Every query is counted once, and whatever goes wrong is an answer the pod's resolver understands.

import type { IpPort } from '../../mesh/address.ts';
import { type NamePlace, type NameResolution, resolveName } from '../../mesh/names.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import {
  CLASS_IN,
  type DnsQuery,
  datagramBytes,
  NAME_ERROR,
  NO_ERROR,
  readQuery,
  SERVER_FAILURE,
  TYPE_A,
  TYPE_AAAA,
} from '../../wire/dns-query.ts';
import { writeResponse } from '../../wire/dns-response.ts';
import type { LocalPod } from '../local-pod.ts';
import type { DnsMetrics } from './dns-metrics.ts';
import { ForwardError, type Forwarder } from './forwarder.ts';
import type { KnownClients } from './known-client.ts';
import type { DnsSockets, Transport } from './upstream.ts';

/** The reference's: endpoints come and go in seconds, and asking us again costs no network. */
const TTL_SECONDS = 30;
const MAX_TCP_BYTES = 65_535;

export type DnsPod = Pick<LocalPod, 'enrolment'> & DnsSockets;

export type AnswerParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly snapshot: () => Snapshot;
  readonly clients: KnownClients;
  readonly forwarder: Forwarder;
  readonly metrics: DnsMetrics;
  readonly place: NamePlace;
  readonly random: () => number;
};

export type Asked = {
  readonly pod: DnsPod;
  readonly transport: Transport;
  /** Where a TCP connection was going before it was led to us. */
  readonly meant?: IpPort | undefined;
  /** Aborted when the answer has nowhere to go any more. */
  readonly signal: AbortSignal;
};

/** undefined: no answer is due. Never rejects. */
export async function answerQuery(
  parts: AnswerParts,
  message: Uint8Array,
  asked: Asked,
): Promise<Uint8Array | undefined> {
  const reading = readQuery(message);
  if (reading.kind === 'dropped') {
    parts.metrics.malformed(reading.reason);
    return undefined;
  }
  if (reading.kind === 'refused') {
    parts.metrics.malformed(reading.reason);
    const { id, flags, rcode } = reading;
    return writeResponse(message, { id, flags, edns: undefined }, { rcode }, MAX_TCP_BYTES);
  }
  const { query } = reading;
  try {
    return await answerReadable(parts, { message, query }, asked);
  } catch (error) {
    // a fault of ours with one name must not be the end of every pod's names
    const { name, type } = query.question;
    parts.log.error('Cannot answer a DNS query', { name, type, error });
    return failure(message, query);
  }
}

type Readable = { readonly message: Uint8Array; readonly query: DnsQuery };

async function answerReadable(
  parts: AnswerParts,
  { message, query }: Readable,
  asked: Asked,
): Promise<Uint8Array | undefined> {
  const { pod, transport } = asked;
  const client = await parts.clients.find(pod.enrolment.workloadUid);
  parts.metrics.request(query.question.type, transport, client);
  // without knowing who asks there is no telling what its names mean, or which it may see
  if (client === undefined) return failure(message, query);
  const { search } = pod.enrolment.dns ?? {};
  const resolution = resolve(parts, query, client, search);
  const limit = limitOf(query, transport);
  let answer =
    resolution.kind === 'answer'
      ? local(parts, { message, query, resolution }, limit)
      : await forward(parts, { message, query, client }, asked);
  if (answer !== undefined && isNameError(answer)) {
    const exists = nameOnly(parts, query, client, search);
    if (exists !== undefined) answer = local(parts, { message, query, resolution: exists }, limit);
  }
  parts.log.debug('DNS', {
    pod: `${client.namespace}/${client.name}`,
    name: query.question.name,
    type: query.question.type,
    protocol: transport,
    answered: resolution.kind === 'answer' ? 'mesh' : 'upstream',
    rcode: answer === undefined ? undefined : (answer[3] ?? 0) & 0xf,
  });
  return answer;
}

/** The name servers know nothing of a name of the mesh alone: to a question for other records it still is no NXDOMAIN. */
function nameOnly(
  parts: AnswerParts,
  { question }: DnsQuery,
  client: Workload,
  search: readonly string[] | undefined,
): Answered | undefined {
  if (question.class !== CLASS_IN) return undefined;
  const asked = { name: question.name, family: 'ipv4' } as const;
  const meaning = resolveName(asked, client, parts.snapshot(), { ...parts.place, search });
  return meaning.kind === 'answer' ? { ...meaning, addresses: [] } : undefined;
}

function isNameError(answer: Uint8Array): boolean {
  return ((answer[3] ?? 0) & 0xf) === NAME_ERROR;
}

function resolve(
  parts: AnswerParts,
  { question }: DnsQuery,
  client: Workload,
  search: readonly string[] | undefined,
): NameResolution {
  const { name, type } = question;
  if (question.class !== CLASS_IN || (type !== TYPE_A && type !== TYPE_AAAA))
    return { kind: 'forward' };
  const family = type === TYPE_A ? 'ipv4' : 'ipv6';
  return resolveName({ name, family }, client, parts.snapshot(), { ...parts.place, search });
}

type Answered = Extract<NameResolution, { kind: 'answer' }>;
type Local = Readable & { readonly resolution: Answered };

function local(
  parts: AnswerParts,
  { message, query, resolution }: Local,
  limitBytes: number,
): Uint8Array {
  const { canonicalName, addresses, service } = resolution;
  const inCluster = service.hostname.endsWith(`.${parts.place.clusterDomain}`);
  const answer = {
    rcode: NO_ERROR,
    authoritative: true,
    canonicalName,
    // many clients take the first: it must not be the same endpoint for all of them
    addresses: rotated(addresses, parts.random),
    ttlSeconds: TTL_SECONDS,
    negativeZone: inCluster ? parts.place.clusterDomain : service.hostname.replace(/^\*\./, ''),
  };
  return writeResponse(message, query, answer, limitBytes);
}

async function forward(
  parts: AnswerParts,
  { message, query, client }: Readable & { readonly client: Workload },
  { pod, transport, meant, signal }: Asked,
): Promise<Uint8Array | undefined> {
  const { metrics, clock } = parts;
  const { type } = query.question;
  const began = clock.monotonic();
  metrics.upstreamRequest(type, transport, client);
  try {
    const { podUid, dns } = pod.enrolment;
    const asker = { key: podUid, sockets: pod, dns };
    const answer = await parts.forwarder.forward(asker, {
      message,
      query,
      transport,
      meant,
      signal,
    });
    metrics.upstreamDuration((clock.monotonic() - began) / 1000, type, transport, client);
    if (answer.message.length <= limitOf(query, transport)) return answer.message;
    // a server that sent more than the client said it takes: the client shall come by TCP
    return writeResponse(
      message,
      query,
      { rcode: NO_ERROR, truncated: true },
      limitOf(query, transport),
    );
  } catch (error) {
    if (signal.aborted) return undefined;
    const reason = error instanceof ForwardError ? error.reason : 'unreachable';
    metrics.upstreamFailure(reason, type, transport, client);
    parts.log.debug('Cannot forward a DNS question', { name: query.question.name, reason, error });
    return failure(message, query);
  }
}

function failure(message: Uint8Array, query: DnsQuery): Uint8Array {
  return writeResponse(message, query, { rcode: SERVER_FAILURE }, MAX_TCP_BYTES);
}

function limitOf(query: DnsQuery, transport: Transport): number {
  return transport === 'udp' ? datagramBytes(query) : MAX_TCP_BYTES;
}

function rotated<T>(list: readonly T[], random: () => number): readonly T[] {
  if (list.length < 2) return list;
  const start = Math.floor(random() * list.length);
  return [...list.slice(start), ...list.slice(0, start)];
}
