// DNS responses: those we write for a client, and what we must know of one from an upstream server before we believe it
// (RFC 1035 section 4.1, RFC 5452 section 9). Called by node-agent/dns. Pure; nothing here throws on what a peer sent.

import { type IpAddress, ipToBytes } from '../mesh/address.ts';
import { readName, writeName } from './dns-name.ts';
import {
  CLASS_IN,
  type DnsQuery,
  FLAG_AUTHORITATIVE,
  FLAG_CHECKING_DISABLED,
  FLAG_RECURSION_AVAILABLE,
  FLAG_RECURSION_DESIRED,
  FLAG_RESPONSE,
  FLAG_TRUNCATED,
  HEADER_BYTES,
  MAX_UDP_BYTES,
  TYPE_A,
  TYPE_AAAA,
  TYPE_OPT,
} from './dns-query.ts';

const TYPE_CNAME = 5;
const TYPE_SOA = 6;
const OPT_BYTES = 11;
/** A pointer to the question's name, which always stands behind the header. */
const TO_QUESTION = 0xc000 | HEADER_BYTES;

export type LocalAnswer = {
  readonly rcode: number;
  /** A CNAME from the name asked for to this one, which then owns the addresses. */
  readonly canonicalName?: string | undefined;
  readonly addresses?: readonly IpAddress[];
  readonly ttlSeconds?: number;
  readonly authoritative?: boolean;
  /** The zone whose SOA says how long an answer of nothing may be believed (RFC 2308 section 3). */
  readonly negativeZone?: string | undefined;
  /** There is more to say than is said: the client shall ask by TCP. */
  readonly truncated?: boolean;
};

/**
 * A response to `query`, which was read from `message`; the question is repeated byte for byte. Whole records that do not
 * fit into `limitBytes` are left out, and the response says that it is truncated.
 */
export function writeResponse(
  message: Uint8Array,
  query: Pick<DnsQuery, 'id' | 'flags' | 'edns'> & { readonly question?: DnsQuery['question'] },
  answer: LocalAnswer,
  limitBytes: number,
): Uint8Array {
  const { rcode, authoritative = false } = answer;
  const questionBytes = query.question === undefined ? 0 : query.question.end - HEADER_BYTES;
  const extended = query.edns !== undefined || rcode > 0xf;
  const room = limitBytes - HEADER_BYTES - questionBytes - (extended ? OPT_BYTES : 0);
  const body = records(answer, HEADER_BYTES + questionBytes, room);
  const out = new Uint8Array(
    HEADER_BYTES + questionBytes + body.bytes.length + (extended ? OPT_BYTES : 0),
  );
  const view = new DataView(out.buffer);
  view.setUint16(0, query.id);
  view.setUint16(
    2,
    FLAG_RESPONSE |
      (authoritative ? FLAG_AUTHORITATIVE : 0) |
      (body.truncated ? FLAG_TRUNCATED : 0) |
      FLAG_RECURSION_AVAILABLE |
      (query.flags & (FLAG_RECURSION_DESIRED | FLAG_CHECKING_DISABLED)) |
      (rcode & 0xf),
  );
  view.setUint16(4, query.question === undefined ? 0 : 1);
  view.setUint16(6, body.answers);
  view.setUint16(8, body.authorities);
  out.set(message.subarray(HEADER_BYTES, HEADER_BYTES + questionBytes), HEADER_BYTES);
  out.set(body.bytes, HEADER_BYTES + questionBytes);
  if (extended) {
    view.setUint16(10, 1);
    const at = out.length - OPT_BYTES;
    view.setUint16(at + 1, TYPE_OPT);
    view.setUint16(at + 3, MAX_UDP_BYTES);
    view.setUint8(at + 5, rcode >> 4);
  }
  return out;
}

type Body = {
  readonly bytes: Uint8Array;
  readonly answers: number;
  readonly authorities: number;
  readonly truncated: boolean;
};

function records(answer: LocalAnswer, start: number, room: number): Body {
  const { canonicalName, addresses = [], ttlSeconds = 0, negativeZone } = answer;
  const parts: Uint8Array[] = [];
  let used = 0;
  const add = (part: Uint8Array): boolean => {
    if (used + part.length > room) return false;
    parts.push(part);
    used += part.length;
    return true;
  };
  let owner = TO_QUESTION;
  let answers = 0;
  let { truncated = false } = answer;
  const target = canonicalName === undefined ? undefined : writeName(canonicalName);
  if (target !== undefined) {
    if (add(record(TO_QUESTION, TYPE_CNAME, ttlSeconds, target))) answers++;
    else truncated = true;
    // behind the name's pointer, type, class, ttl and length
    owner = 0xc000 | (start + 12);
  }
  for (const ip of addresses) {
    if (truncated) break;
    const bytes = ipToBytes(ip);
    if (add(record(owner, bytes.length === 4 ? TYPE_A : TYPE_AAAA, ttlSeconds, bytes))) answers++;
    else truncated = true;
  }
  let authorities = 0;
  const soa =
    addresses.length === 0 && !truncated ? authority(negativeZone, ttlSeconds) : undefined;
  if (soa !== undefined && add(soa)) authorities++;
  return { bytes: concat(parts, used), answers, authorities, truncated };
}

function record(owner: number, type: number, ttl: number, value: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + value.length);
  const view = new DataView(out.buffer);
  view.setUint16(0, owner);
  writeFixed(view, 2, { type, ttl, length: value.length });
  out.set(value, 12);
  return out;
}

function writeFixed(
  view: DataView,
  at: number,
  { type, ttl, length }: { type: number; ttl: number; length: number },
): void {
  view.setUint16(at, type);
  view.setUint16(at + 2, CLASS_IN);
  view.setUint32(at + 4, ttl);
  view.setUint16(at + 8, length);
}

/** A start of authority whose only meaning is its last number: for how many seconds nothing is nothing. */
function authority(zone: string | undefined, ttl: number): Uint8Array | undefined {
  const name = zone === undefined ? undefined : writeName(zone);
  if (name === undefined) return undefined;
  const length = 2 * name.length + 20;
  const out = new Uint8Array(name.length + 10 + length);
  const view = new DataView(out.buffer);
  out.set(name, 0);
  writeFixed(view, name.length, { type: TYPE_SOA, ttl, length });
  const at = name.length + 10;
  // primary server and mailbox: the zone itself; no server transfers from us
  out.set(name, at);
  out.set(name, at + name.length);
  const numbers = [1, 7200, 1800, 86_400, ttl];
  for (const [index, number] of numbers.entries())
    view.setUint32(at + 2 * name.length + index * 4, number);
  return out;
}

function concat(parts: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** What an upstream server's message says of itself, once it is known to answer `query`. */
export type UpstreamHead = { readonly rcode: number; readonly truncated: boolean };

/**
 * undefined when `response` does not answer this very question under this ID: forged, late, or nonsense. Letters may have
 * changed their case on the way. An error without the question (FORMERR) is believed by its ID alone.
 */
export function readUpstreamHead(
  response: Uint8Array,
  expected: { readonly id: number; readonly question: DnsQuery['question'] },
): UpstreamHead | undefined {
  if (response.length < HEADER_BYTES) return undefined;
  const view = new DataView(response.buffer, response.byteOffset, response.byteLength);
  const flags = view.getUint16(2);
  if (view.getUint16(0) !== expected.id || (flags & FLAG_RESPONSE) === 0) return undefined;
  const head = { rcode: flags & 0xf, truncated: (flags & FLAG_TRUNCATED) !== 0 };
  const questions = view.getUint16(4);
  if (questions === 0) return head.rcode === 0 ? undefined : head;
  const name = readName(response, HEADER_BYTES);
  if (questions !== 1 || name === undefined || name.end + 4 > response.length) return undefined;
  const { question } = expected;
  const same =
    name.text === question.name &&
    view.getUint16(name.end) === question.type &&
    view.getUint16(name.end + 2) === question.class;
  return same ? head : undefined;
}
