// Certificate revocation lists (RFC 5280 section 5) from PEM or DER bytes. Called by whoever hands lists to revocation.ts.
// The bytes come from a file people write: no length is trusted, and a list that says more than we understand is refused
// rather than half believed. Read here and not with @peculiar/x509, whose parser gives up before 10,000 entries ("Maximum
// ASN.1 node count exceeded") and takes 0.13 ms for each on the thread that carries the traffic; this takes 1.5 us.

import { verify, type X509Certificate } from 'node:crypto';
import {
  BOOLEAN,
  type Element,
  hex,
  INTEGER,
  OBJECT_IDENTIFIER,
  readAll,
  SEQUENCE,
} from './der.ts';

const BIT_STRING = 0x03;
const EXPLICIT_EXTENSIONS = 0xa0;
/** 100,000 entries are 3.5 MB of DER and 0.15 s of reading: a larger list would stall the process that reads it. */
const MAX_ENTRIES = 100_000;
const MAX_LISTS = 64;
/** id-ce-issuingDistributionPoint, 2.5.29.28: it only narrows what the list covers, what it names is revoked anyhow. */
const ISSUING_DISTRIBUTION_POINT = '551d1c';

/** Signature algorithms by object identifier, as node:crypto's digest; null where the key says it all. */
const DIGESTS: Readonly<Record<string, string | null>> = {
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2b6570': null,
};

/** One issuer's list. Names and serials are the hexadecimal text of their DER bytes, as der.ts gives a certificate's. */
export type Crl = {
  readonly issuer: string;
  readonly serials: ReadonlySet<string>;
  readonly signed: {
    readonly bytes: Uint8Array;
    readonly algorithm: string;
    readonly signature: Uint8Array;
  };
};

const PEM = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----/g;

/**
 * The lists in `content`: any number in PEM one after the other, or one in DER; none when it is empty.
 * @throws SyntaxError when there is something else in it, or a list cannot be read
 */
export function readCrls(content: Uint8Array): Crl[] {
  const text = Buffer.from(content).toString('latin1');
  if (text.trim() === '') return [];
  if (!text.includes('-----BEGIN')) return [readCrl(content)];
  const lists = [...text.matchAll(PEM)].map(([, body = '']) => Buffer.from(body, 'base64'));
  const begun = text.split('-----BEGIN').length - 1;
  if (lists.length !== begun) throw malformed('expected nothing but X509 CRL blocks');
  if (lists.length > MAX_LISTS) throw malformed(`more than ${MAX_LISTS} lists`);
  return lists.map(readCrl);
}

/** Whether `issuer`'s key signed the list. An algorithm we cannot check counts as signed: the list is believed. */
export function isSignedBy({ signed }: Crl, issuer: X509Certificate): boolean {
  const digest = DIGESTS[signed.algorithm];
  if (digest === undefined) return true;
  try {
    return verify(digest, signed.bytes, issuer.publicKey, signed.signature);
  } catch {
    // a key of another kind than the signature
    return false;
  }
}

function readCrl(der: Uint8Array): Crl {
  const [outer] = readAll(der, 1);
  const [tbs, algorithm, signature] = outer?.tag === SEQUENCE ? readAll(outer.body, 3) : [];
  if (tbs?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || signature?.tag !== BIT_STRING) {
    throw malformed('no CertificateList');
  }
  const fields = readAll(tbs.body, 7);
  // the version is there, or the list is of version 1
  if (fields[0]?.tag === INTEGER) fields.shift();
  const [, issuer, , ...rest] = fields;
  if (issuer?.tag !== SEQUENCE) throw malformed('no issuer');
  const entries = rest.find(({ tag }) => tag === SEQUENCE);
  const extensions = rest.find(({ tag }) => tag === EXPLICIT_EXTENSIONS);
  const [list] = extensions === undefined ? [] : readAll(extensions.body, 1);
  if (list !== undefined) refuseCritical(list, [ISSUING_DISTRIBUTION_POINT]);
  return {
    issuer: hex(issuer.bytes),
    serials: new Set(entries === undefined ? [] : serialsOf(entries)),
    signed: {
      bytes: tbs.bytes,
      algorithm: hex(readAll(algorithm.body, 2)[0]?.body ?? new Uint8Array()),
      // the first byte tells how many bits of the last are not used: none in a signature
      signature: signature.body.subarray(1),
    },
  };
}

function* serialsOf(entries: Element): IterableIterator<string> {
  for (const entry of readAll(entries.body, MAX_ENTRIES)) {
    const [serial, , extensions] = readAll(entry.body, 3);
    if (serial?.tag !== INTEGER) throw malformed('an entry without serial number');
    if (extensions !== undefined) refuseCritical(extensions, []);
    yield hex(serial.body);
  }
}

/** A critical extension changes what the list means (a delta, somebody else's certificates): unknown ones are refused. */
function refuseCritical(extensions: Element, known: readonly string[]): void {
  for (const extension of readAll(extensions.body, 64)) {
    const [id, critical] = readAll(extension.body, 3);
    if (id?.tag !== OBJECT_IDENTIFIER) throw malformed('an extension without name');
    if (critical?.tag !== BOOLEAN || critical.body[0] === 0) continue;
    if (!known.includes(hex(id.body)))
      throw malformed(`unknown critical extension ${hex(id.body)}`);
  }
}

function malformed(what: string): SyntaxError {
  return new SyntaxError(`Cannot read certificate revocation list: ${what}`);
}
