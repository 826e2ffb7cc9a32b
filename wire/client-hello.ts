// What a TLS client asks for, from the first bytes it sends (RFC 8446 section 4.1.2): the server name, the application
// protocols and the versions it offers. Read from captured bytes; never throws, and says `more` only while the bytes
// so far may still become a ClientHello.

export type ClientHello = {
  /** Lower case; undefined when it names none, as tunnels between agents do. */
  readonly serverName: string | undefined;
  /** In the client's order, e.g. `h2`; bytes as latin1. */
  readonly alpn: readonly string[];
  /** What it offers, best first: 0x0304 is TLS 1.3. Without the extension only the old field counts. */
  readonly versions: readonly number[];
};

export type ClientHelloResult =
  | { readonly state: 'more' }
  | { readonly state: 'done'; readonly hello: ClientHello }
  | { readonly state: 'bad'; readonly reason: string };

const RECORD_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const HANDSHAKE_HEADER = 4;
/** RFC 8446 section 5.1. */
const MAX_RECORD_LENGTH = 16_384;
/** With post-quantum key shares a hello is about 2 kB; eight times that is nobody's. */
const MAX_HELLO_LENGTH = 16_384;
/** A hello in pieces of one byte would be pure mischief: that many records are looked at. */
const MAX_RECORDS = 16;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const EXTENSION_SUPPORTED_VERSIONS = 43;

/** Thrown inside this file only, where a length runs over its frame. */
class OutOfBounds extends Error {}

export function readClientHello(bytes: Uint8Array): ClientHelloResult {
  const joined = joinRecords(bytes);
  if (joined.state !== 'done') return joined;
  try {
    return { state: 'done', hello: readHello(new Fields(joined.handshake)) };
  } catch (error) {
    if (!(error instanceof OutOfBounds)) throw error;
    return { state: 'bad', reason: 'a length in it runs over its end' };
  }
}

type Joined =
  | { readonly state: 'more' }
  | { readonly state: 'done'; readonly handshake: Uint8Array }
  | { readonly state: 'bad'; readonly reason: string };

/** The body of the first handshake message, which may come in several records. */
function joinRecords(bytes: Uint8Array): Joined {
  const parts: number[] = [];
  let at = 0;
  for (let record = 0; record < MAX_RECORDS; record++) {
    const type = bytes[at];
    if (type === undefined) return { state: 'more' };
    if (type !== RECORD_HANDSHAKE)
      return { state: 'bad', reason: `record type ${type} is no handshake` };
    const major = bytes[at + 1];
    if (major !== undefined && major !== 3) return { state: 'bad', reason: 'it is no TLS record' };
    if (at + RECORD_HEADER > bytes.length) return { state: 'more' };
    const length = ((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0);
    if (length === 0 || length > MAX_RECORD_LENGTH) {
      return { state: 'bad', reason: `a record of ${length} bytes is not allowed` };
    }
    at += RECORD_HEADER;
    for (const byte of bytes.subarray(at, at + length)) parts.push(byte);
    at += length;
    const result = handshakeIn(parts);
    if (result !== undefined) return result;
    if (at > bytes.length) return { state: 'more' };
  }
  return { state: 'bad', reason: `it comes in more than ${MAX_RECORDS} records` };
}

/** undefined while the message is not whole. */
function handshakeIn(parts: readonly number[]): Joined | undefined {
  const [type, high = 0, middle = 0, low = 0] = parts;
  if (type !== undefined && type !== CLIENT_HELLO) {
    return { state: 'bad', reason: `handshake message ${type} is no ClientHello` };
  }
  if (parts.length < HANDSHAKE_HEADER) return undefined;
  const length = (high << 16) | (middle << 8) | low;
  if (length > MAX_HELLO_LENGTH) {
    return { state: 'bad', reason: `its length ${length} is over ${MAX_HELLO_LENGTH}` };
  }
  const end = HANDSHAKE_HEADER + length;
  if (parts.length < end) return undefined;
  return { state: 'done', handshake: Uint8Array.from(parts.slice(HANDSHAKE_HEADER, end)) };
}

function readHello(fields: Fields): ClientHello {
  const legacyVersion = fields.number(2);
  fields.bytes(32); // random
  fields.vector(1); // session id
  fields.vector(2); // cipher suites
  fields.vector(1); // compression methods
  const hello = {
    serverName: undefined as string | undefined,
    alpn: [] as string[],
    versions: [legacyVersion],
  };
  if (fields.done) return hello;
  const extensions = fields.vector(2);
  while (!extensions.done) {
    const type = extensions.number(2);
    const body = extensions.vector(2);
    if (type === EXTENSION_SERVER_NAME) hello.serverName = readServerName(body);
    else if (type === EXTENSION_ALPN) hello.alpn = readAlpn(body);
    else if (type === EXTENSION_SUPPORTED_VERSIONS) hello.versions = readVersions(body);
  }
  return hello;
}

/** RFC 6066 section 3: the first name of type host_name. */
function readServerName(body: Fields): string | undefined {
  const names = body.vector(2);
  while (!names.done) {
    const type = names.number(1);
    const name = names.vector(2).text();
    if (type === 0) return name.toLowerCase();
  }
  return undefined;
}

function readAlpn(body: Fields): string[] {
  const protocols: string[] = [];
  const list = body.vector(2);
  while (!list.done) protocols.push(list.vector(1).text());
  return protocols;
}

function readVersions(body: Fields): number[] {
  const versions: number[] = [];
  const list = body.vector(1);
  while (!list.done) versions.push(list.number(2));
  return versions;
}

/** Reads big-endian fields from front to back. @throws OutOfBounds */
class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  bytes(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new OutOfBounds();
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  number(size: number): number {
    return this.bytes(size).reduce((value, byte) => (value << 8) | byte, 0);
  }

  /** A vector with its length in `size` bytes before it. */
  vector(size: number): Fields {
    return new Fields(this.bytes(this.number(size)));
  }

  text(): string {
    return String.fromCharCode(...this.#bytes);
  }
}
