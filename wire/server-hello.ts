// What a TLS server chose, from the first bytes it sent (RFC 8446 section 4.1.3). Used to show, from captured bytes
// alone, that a connection is TLS 1.3. Pure; reads one handshake message from the front of a TCP payload.

export type ServerHello = {
  /** 0x0304 is TLS 1.3. */
  readonly version: number;
  /** 0x1302 is TLS_AES_256_GCM_SHA384. */
  readonly cipherSuite: number;
};

const RECORD_HANDSHAKE = 22;
const SERVER_HELLO = 2;
const EXTENSION_SUPPORTED_VERSIONS = 43;
const LEGACY_VERSION_AND_RANDOM = 2 + 32;

/** undefined when the bytes are not the (whole) start of a ServerHello. */
export function readServerHello(bytes: Uint8Array): ServerHello | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // record header (5), handshake header (4)
  if (bytes.length < 9 || bytes[0] !== RECORD_HANDSHAKE || bytes[5] !== SERVER_HELLO)
    return undefined;
  const length = ((bytes[6] ?? 0) << 16) | view.getUint16(7);
  const end = 9 + length;
  let at = 9 + LEGACY_VERSION_AND_RANDOM;
  if (bytes.length < end || at >= end) return undefined;
  at += 1 + (bytes[at] ?? 0); // session id
  if (at + 5 > end) return undefined;
  const cipherSuite = view.getUint16(at);
  at += 3; // cipher suite, compression method
  const extensionsEnd = at + 2 + view.getUint16(at);
  if (extensionsEnd > end) return undefined;
  at += 2;
  let version = view.getUint16(9);
  while (at + 4 <= extensionsEnd) {
    const size = view.getUint16(at + 2);
    if (at + 4 + size > extensionsEnd) return undefined;
    if (view.getUint16(at) === EXTENSION_SUPPORTED_VERSIONS && size === 2)
      version = view.getUint16(at + 4);
    at += 4 + size;
  }
  return { version, cipherSuite };
}
