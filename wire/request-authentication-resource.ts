// The RequestAuthentication resource, in JSON: which tokens count. Called by the two ends of discovery. One that cannot be
// read is refused whole; closedRequestAuthentication stands in for it and lets no request through.

import type {
  JwtRule,
  KeySource,
  RequestAuthentication,
  TokenHeader,
} from '../mesh/request-authentication.ts';
import {
  decodeJson,
  encodeJson,
  type Read,
  readBoolean,
  readInteger,
  readList,
  readName,
  readObject,
  readOneOf,
  readOptional,
  readString,
  recordOf,
} from './json-fields.ts';
import { closedTargets, readTargets } from './policy-targets.ts';

export const TYPE_REQUEST_AUTHENTICATION = 'type.googleapis.com/ambit.policy.RequestAuthentication';

export function encodeRequestAuthentication(policy: RequestAuthentication): Uint8Array {
  return encodeJson(policy);
}

/** @throws DecodeError naming what of it */
export function decodeRequestAuthentication(body: Uint8Array): RequestAuthentication {
  return readObject<RequestAuthentication>(decodeJson(body), 'policy', {
    namespace: readName,
    name: readName,
    targets: readTargets,
    rules: readList(readRule),
    broken: readOptional(readString),
  });
}

/** What stands in for one that {@link decodeRequestAuthentication} refused. */
export function closedRequestAuthentication(
  resourceName: string,
  body: Uint8Array,
): RequestAuthentication {
  const slash = resourceName.indexOf('/');
  const namespace = resourceName.slice(0, Math.max(slash, 0));
  return {
    namespace,
    name: resourceName.slice(slash + 1),
    targets: closedTargets(namespace, body),
    rules: [],
    broken: 'this version cannot read it',
  };
}

/** Longer than a minute no request waits for keys. */
const readTimeout = readInteger(1, 60_000);
const readKeyKind = readOneOf('inline', 'fetched', 'discovered');

const readKeys: Read<KeySource> = (value, at) => {
  const kind = readKeyKind(recordOf(value, at)['kind'], `${at}.kind`);
  switch (kind) {
    case 'inline':
      return readObject(value, at, { kind: readOneOf(kind), jwks: readString });
    case 'fetched':
      return readObject(value, at, {
        kind: readOneOf(kind),
        uri: readName,
        timeoutMs: readTimeout,
      });
    case 'discovered':
      return readObject(value, at, {
        kind: readOneOf(kind),
        issuer: readName,
        timeoutMs: readTimeout,
      });
  }
};

const readRule: Read<JwtRule> = (value, at) =>
  readObject<JwtRule>(value, at, {
    issuer: readName,
    audiences: readList(readName),
    keys: readKeys,
    fromHeaders: readList((header, where) =>
      readObject<TokenHeader>(header, where, { name: readName, prefix: readString }),
    ),
    fromParams: readList(readName),
    fromCookies: readList(readName),
    forwardOriginalToken: readBoolean,
    outputPayloadToHeader: readOptional(readName),
    outputClaimToHeaders: readList((output, where) =>
      readObject<{ header: string; claim: string }>(output, where, {
        header: readName,
        claim: readName,
      }),
    ),
  });
