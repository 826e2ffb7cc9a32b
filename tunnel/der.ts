// Reads the URI names of a certificate from its DER bytes (RFC 5280 section 4.2.1.6). Called by verify.ts with a
// certificate the TLS library has already checked, yet it trusts no length; crl.ts reads with the same reader. Node's own
// joined text quotes and escapes odd names, so a name could be made to look like two: bytes leave no such room.

export const SEQUENCE = 0x30;
export const OBJECT_IDENTIFIER = 0x06;
export const INTEGER = 0x02;
export const BOOLEAN = 0x01;
const OCTET_STRING = 0x04;
const EXPLICIT_VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const URI_NAME = 0x86;
/** id-ce-subjectAltName, 2.5.29.17. */
const SUBJECT_ALT_NAME = Uint8Array.of(0x55, 0x1d, 0x11);
// A certificate with more names than this is nobody's workload certificate; the limit bounds the work a peer can ask for.
const MAX_URI_NAMES = 32;

/** One value: its tag, what is in it, and all its bytes. */
export type Element = {
  readonly tag: number;
  readonly body: Uint8Array;
  readonly bytes: Uint8Array;
};

/** @throws SyntaxError when the bytes are not a DER certificate; a certificate without URI names gives an empty list */
export function uriNames(certificate: Uint8Array): string[] {
  const wrapped = certificateFields(certificate).find((element) => element.tag === EXTENSIONS);
  if (wrapped === undefined) return [];
  const [extensions] = readAll(wrapped.body, 1);
  if (extensions?.tag !== SEQUENCE) throw malformed('extensions are no sequence');
  for (const extension of readAll(extensions.body, 64)) {
    const [id, ...rest] = readAll(extension.body, 3);
    if (id?.tag !== OBJECT_IDENTIFIER || !sameBytes(id.body, SUBJECT_ALT_NAME)) continue;
    const value = rest.find((element) => element.tag !== BOOLEAN);
    if (value?.tag !== OCTET_STRING) throw malformed('subjectAltName has no value');
    return uriNamesOf(value.body);
  }
  return [];
}

/**
 * Which certificate this is, for every list that names one: who issued it, and the number the issuer gave it.
 * @throws SyntaxError when the bytes are not a DER certificate
 */
export function issuerAndSerial(certificate: Uint8Array): { issuer: string; serial: string } {
  const fields = certificateFields(certificate);
  const [serial, , issuer] = fields[0]?.tag === EXPLICIT_VERSION ? fields.slice(1) : fields;
  if (serial?.tag !== INTEGER || issuer?.tag !== SEQUENCE) throw malformed('no serial and issuer');
  return { issuer: hex(issuer.bytes), serial: hex(serial.body) };
}

/** The parts of the TBSCertificate (RFC 5280 section 4.1). */
function certificateFields(certificate: Uint8Array): Element[] {
  const [outer] = readAll(certificate, 1);
  const [tbs] = outer?.tag === SEQUENCE ? readAll(outer.body, 3) : [];
  if (tbs?.tag !== SEQUENCE) throw malformed('no TBSCertificate');
  return readAll(tbs.body, 16);
}

function uriNamesOf(value: Uint8Array): string[] {
  const [names] = readAll(value, 1);
  if (names?.tag !== SEQUENCE) throw malformed('subjectAltName is no sequence');
  const uris = readAll(names.body, 1024).filter((name) => name.tag === URI_NAME);
  if (uris.length > MAX_URI_NAMES) throw malformed(`more than ${MAX_URI_NAMES} URI names`);
  // IA5String: bytes above 127 stay what they are and match no identity
  return uris.map((uri) => Buffer.from(uri.body).toString('latin1'));
}

/** The values that follow each other in `bytes`. @throws SyntaxError when there are more than `limit`, or other bytes */
export function readAll(bytes: Uint8Array, limit: number): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (elements.length === limit) throw malformed(`more than ${limit} elements`);
    const [element, next] = readElement(bytes, at);
    elements.push(element);
    at = next;
  }
  return elements;
}

/** Definite lengths of up to three bytes (16 MiB), in their shortest form, and one-byte tags: DER has no others here. */
function readElement(bytes: Uint8Array, at: number): [Element, number] {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw malformed('bad tag');
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw malformed('bad length');
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] ?? 0);
    start += count;
    if (length < 0x80 || length < 256 ** (count - 1))
      throw malformed('length not in shortest form');
  }
  if (start + length > bytes.length) throw malformed('length exceeds its container');
  const end = start + length;
  return [{ tag, body: bytes.subarray(start, end), bytes: bytes.subarray(at, end) }, end];
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function malformed(what: string): SyntaxError {
  return new SyntaxError(`Cannot read certificate: ${what}`);
}
