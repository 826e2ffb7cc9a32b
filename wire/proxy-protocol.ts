// PROXY protocol version 2, for TCP: tells the receiver where a connection came from and where it was going. Spoken to a
// node agent that cannot ask the kernel (loopback mode), and over the sandbox's link.

import { Buffer } from 'node:buffer';
import { type IpPort, ipFromBytes, ipToBytes } from '../mesh/address.ts';

export type ProxyTlv = { readonly type: number; readonly value: Uint8Array };
export type ProxyHeader = {
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly tlvs: readonly ProxyTlv[];
};
export type ProxyHeaderResult =
  /** Not all of it has come. */
  | { readonly state: 'more' }
  | { readonly state: 'done'; readonly header: ProxyHeader; readonly consumed: number }
  | { readonly state: 'bad'; readonly reason: string };

const SIGNATURE = Uint8Array.of(
  0x0d,
  0x0a,
  0x0d,
  0x0a,
  0x00,
  0x0d,
  0x0a,
  0x51,
  0x55,
  0x49,
  0x54,
  0x0a,
);
const PREFIX_LENGTH = 16;
const VERSION_2_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
// Addresses and TLVs: the specification asks receivers for 216 bytes and up; our TLVs are names of at most a few hundred.
const MAX_BODY_LENGTH = 2048;

/** IPv4 when both addresses are, else IPv6 with IPv4 addresses mapped. */
export function encodeProxyHeader(header: {
  readonly source: IpPort;
  readonly destination: IpPort;
  readonly tlvs?: readonly ProxyTlv[];
}): Buffer {
  const source = ipToBytes(header.source.ip);
  const destination = ipToBytes(header.destination.ip);
  const v4 = source.length === 4 && destination.length === 4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(header.source.port, 0);
  ports.writeUInt16BE(header.destination.port, 2);
  const tlvs = (header.tlvs ?? []).map(({ type, value }) =>
    Buffer.concat([Buffer.of(type, value.length >> 8, value.length & 0xff), value]),
  );
  const addresses = v4 ? [source, destination] : [mapped(source), mapped(destination)];
  const body = Buffer.concat([...addresses, ports, ...tlvs]);
  if (body.length > MAX_BODY_LENGTH) {
    throw new RangeError(
      `Cannot write a PROXY header of ${body.length} bytes: ${MAX_BODY_LENGTH} is the limit`,
    );
  }
  const family = v4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  return Buffer.concat([
    SIGNATURE,
    Buffer.of(VERSION_2_PROXY, family, body.length >> 8, body.length & 0xff),
    body,
  ]);
}

/** Reads from the front of `bytes`; never throws. `more` is only said while what came so far may still become a header. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeaderResult {
  for (let i = 0; i < Math.min(SIGNATURE.length, bytes.length); i++) {
    if (bytes[i] !== SIGNATURE[i])
      return { state: 'bad', reason: 'it does not begin with the PROXY signature' };
  }
  if (bytes.length < PREFIX_LENGTH) return { state: 'more' };
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = view[13];
  if (view[12] !== VERSION_2_PROXY)
    return { state: 'bad', reason: `version and command ${view[12]} are not known` };
  if (family !== TCP_OVER_IPV4 && family !== TCP_OVER_IPV6) {
    return { state: 'bad', reason: `address family ${family} is not TCP over IPv4 or IPv6` };
  }
  const length = view.readUInt16BE(14);
  const size = family === TCP_OVER_IPV4 ? 4 : 16;
  if (length < 2 * size + 4)
    return { state: 'bad', reason: `its length ${length} is too short for its addresses` };
  if (length > MAX_BODY_LENGTH)
    return { state: 'bad', reason: `its length ${length} is over ${MAX_BODY_LENGTH}` };
  const consumed = PREFIX_LENGTH + length;
  if (view.length < consumed) return { state: 'more' };
  const body = view.subarray(PREFIX_LENGTH, consumed);
  const tlvs = readTlvs(body.subarray(2 * size + 4));
  if (tlvs === undefined) return { state: 'bad', reason: 'a TLV runs over its end' };
  const header = {
    source: { ip: ipFromBytes(body.subarray(0, size)), port: body.readUInt16BE(2 * size) },
    destination: {
      ip: ipFromBytes(body.subarray(size, 2 * size)),
      port: body.readUInt16BE(2 * size + 2),
    },
    tlvs,
  };
  return { state: 'done', header, consumed };
}

function readTlvs(bytes: Buffer): ProxyTlv[] | undefined {
  const tlvs: ProxyTlv[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return undefined;
    tlvs.push({ type: bytes[at] ?? 0, value: bytes.subarray(at + 3, end) });
    at = end;
  }
  return tlvs;
}

function mapped(address: Uint8Array): Uint8Array {
  if (address.length === 16) return address;
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...address);
}
