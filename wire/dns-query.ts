// A DNS query as a client sent it (RFC 1035 section 4.1, EDNS: RFC 6891). Only what decides its way is read; the message
// itself is kept to be passed on as it is. Called by node-agent/dns for every datagram and TCP message. Pure, never throws.

import { readName } from './dns-name.ts';

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
export const TYPE_OPT = 41;
export const CLASS_IN = 1;

export const NO_ERROR = 0;
export const FORMAT_ERROR = 1;
export const SERVER_FAILURE = 2;
export const NAME_ERROR = 3;
export const NOT_IMPLEMENTED = 4;
export const REFUSED = 5;
/** RFC 6891 section 9: more than four bits, so its upper part stands in the OPT record. */
export const BAD_VERSION = 16;

export const HEADER_BYTES = 12;
export const FLAG_RESPONSE = 0x8000;
export const FLAG_AUTHORITATIVE = 0x0400;
export const FLAG_TRUNCATED = 0x0200;
export const FLAG_RECURSION_DESIRED = 0x0100;
export const FLAG_RECURSION_AVAILABLE = 0x0080;
export const FLAG_CHECKING_DISABLED = 0x0010;
const OPCODE_MASK = 0x7800;

/** Many times what a query needs, with every option there is; no resolver sends more. */
export const MAX_QUERY_BYTES = 4096;
/** Whole-zone transfers: a pod has no business with them here, and one query would fetch a zone. */
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;

export type DnsQuery = {
  readonly id: number;
  /** The header's second word as it came. */
  readonly flags: number;
  readonly question: {
    readonly name: string;
    readonly type: number;
    readonly class: number;
    /** Where it ends in the message; it begins behind the header. */
    readonly end: number;
  };
  /** What the client says of itself with EDNS; undefined when it does not speak it. */
  readonly edns: { readonly payloadBytes: number } | undefined;
};

export type QueryReading =
  | { readonly kind: 'query'; readonly query: DnsQuery }
  /** To be answered with an error, without looking further. */
  | {
      readonly kind: 'refused';
      readonly rcode: number;
      readonly id: number;
      readonly flags: number;
      readonly reason: 'malformed' | 'opcode' | 'transfer' | 'edns-version';
    }
  /** Not to be answered at all: an answer to an answer could go round for ever. */
  | { readonly kind: 'dropped'; readonly reason: 'short' | 'response' };

export function readQuery(message: Uint8Array): QueryReading {
  if (message.length < HEADER_BYTES) return { kind: 'dropped', reason: 'short' };
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const id = view.getUint16(0);
  const flags = view.getUint16(2);
  if ((flags & FLAG_RESPONSE) !== 0) return { kind: 'dropped', reason: 'response' };
  const refused = (
    rcode: number,
    reason: Extract<QueryReading, { kind: 'refused' }>['reason'],
  ): QueryReading => ({ kind: 'refused', rcode, id, flags, reason });
  if ((flags & OPCODE_MASK) !== 0) return refused(NOT_IMPLEMENTED, 'opcode');
  // RFC 9619: exactly one question
  if (message.length > MAX_QUERY_BYTES || view.getUint16(4) !== 1)
    return refused(FORMAT_ERROR, 'malformed');
  const name = readName(message, HEADER_BYTES);
  if (name === undefined || name.end + 4 > message.length)
    return refused(FORMAT_ERROR, 'malformed');
  const type = view.getUint16(name.end);
  const question = {
    name: name.text,
    type,
    class: view.getUint16(name.end + 2),
    end: name.end + 4,
  };
  const extension = readExtension(message, view, question.end);
  if (extension === 'malformed') return refused(FORMAT_ERROR, 'malformed');
  if (extension === 'version') return refused(BAD_VERSION, 'edns-version');
  if (type === TYPE_AXFR || type === TYPE_IXFR) return refused(REFUSED, 'transfer');
  return { kind: 'query', query: { id, flags, question, edns: extension } };
}

/** The OPT record among what follows the question; `malformed` also when there are two (RFC 6891 section 6.1.1). */
function readExtension(
  message: Uint8Array,
  view: DataView,
  start: number,
): DnsQuery['edns'] | 'malformed' | 'version' {
  const others = view.getUint16(6) + view.getUint16(8);
  const records = others + view.getUint16(10);
  let at = start;
  let found: { payloadBytes: number } | 'version' | undefined;
  for (let index = 0; index < records; index++) {
    const owner = readName(message, at);
    if (owner === undefined || owner.end + 10 > message.length) return 'malformed';
    at = owner.end + 10 + view.getUint16(owner.end + 8);
    if (at > message.length) return 'malformed';
    if (view.getUint16(owner.end) !== TYPE_OPT) continue;
    if (index < others || owner.text !== '' || found !== undefined) return 'malformed';
    const version = view.getUint8(owner.end + 5);
    found = version > 0 ? 'version' : { payloadBytes: view.getUint16(owner.end + 2) };
  }
  return found;
}

/** What we may send this client in one datagram: 512 bytes, unless it says more (RFC 6891 section 6.2.3). */
export function datagramBytes({ edns }: Pick<DnsQuery, 'edns'>): number {
  return Math.min(Math.max(edns?.payloadBytes ?? 0, PLAIN_UDP_BYTES), MAX_UDP_BYTES);
}

const PLAIN_UDP_BYTES = 512;
/** What we say we take, and the most we send: in a pod a datagram goes over loopback and is not cut into fragments. */
export const MAX_UDP_BYTES = 4096;
