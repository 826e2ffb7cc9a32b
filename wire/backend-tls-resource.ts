// The BackendTls resource, between the two ends of discovery. Its body is JSON, checked field by field. What cannot be read
// is stood in for by closedBackendTls(): going on as if it were not there would send in plain text what its author wanted
// encrypted.

import { type BackendTls, type BackendTlsTerms, backendTlsKey } from '../mesh/backend-tls.ts';
import {
  integer,
  list,
  maybe,
  oneOf,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';
import { DecodeError } from './protobuf.ts';

export const TYPE_BACKEND_TLS = 'type.googleapis.com/ambit.gateway.BackendTls';

/** Eight ConfigMaps of at most 1 MiB by the Gateway API, doubled by escapes. */
const MAX_BODY_BYTES = 20 * 1024 * 1024;
const MAX_WORD_CHARS = 4096;
const MAX_NAMES = 64;

const word = text(MAX_WORD_CHARS);

const TERMS: Reader<BackendTlsTerms> = union('kind', {
  verify: record({
    kind: oneOf('verify'),
    serverName: word,
    names: list(record({ kind: oneOf('dns', 'uri'), value: word }), MAX_NAMES),
    roots: maybe(text(MAX_BODY_BYTES)),
  }),
  broken: record({ kind: oneOf('broken'), why: word }),
});

const BACKEND_TLS: Reader<BackendTls> = record({
  service: word,
  port: maybe(integer(1, 65_535)),
  terms: TERMS,
});

export function encodeBackendTls(value: BackendTls): Uint8Array {
  const { terms } = value;
  const cut =
    terms.kind === 'broken' ? { ...terms, why: terms.why.slice(0, MAX_WORD_CHARS) } : terms;
  return new TextEncoder().encode(JSON.stringify({ ...value, terms: cut }));
}

/** @throws DecodeError naming the field that was wrong */
export function decodeBackendTls(body: Uint8Array): BackendTls {
  const value = BACKEND_TLS(
    parseJson(body, MAX_BODY_BYTES, 'TLS of a backend'),
    'TLS of a backend',
  );
  if (value.service === '') throw new DecodeError('Cannot read TLS of a backend: of no service');
  return value;
}

/** What stands in for one that {@link decodeBackendTls} refused: nothing goes there. */
export function closedBackendTls(resourceName: string, why: string): BackendTls | undefined {
  const [, service, said] = /^(.+):(\*|\d{1,5})$/.exec(resourceName) ?? [];
  if (service === undefined) return undefined;
  const port = said === '*' ? undefined : Number(said);
  const closed: BackendTls = { service, port, terms: { kind: 'broken', why } };
  return backendTlsKey(closed) === resourceName ? closed : undefined;
}
