// The Listeners resource, between the two ends of discovery: what an ingress gateway serves, with its private keys. It is
// sent to proxies of that very Gateway only (control-plane/push/session.ts). Its body is JSON, checked field by field.
//
// A listener of a kind that is not known refuses the whole: the proxy keeps what it had, and says so.

import type { GatewayListener, GatewayListeners, Serving } from '../mesh/gateway-listeners.ts';
import { SecretText } from '../mesh/secret-text.ts';
import {
  integer,
  list,
  oneOf,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';
import { DecodeError } from './protobuf.ts';

export const TYPE_LISTENERS = 'type.googleapis.com/ambit.gateway.Listeners';

// Sixty-four listeners of a Gateway by the Gateway API, with as many certificates each as it allows, of some 8 kB.
const MAX_BODY_BYTES = 48 * 1024 * 1024;
/** A Gateway has 64 at most; ListenerSets may add to them. */
const MAX_LISTENERS = 1024;
const MAX_CERTIFICATES = 64;
const MAX_NAME_CHARS = 512;
/** A Secret has at most 1 MiB. */
const MAX_PEM_CHARS = 1024 * 1024;

const word = text(MAX_NAME_CHARS);
const pem = text(MAX_PEM_CHARS);
const secret: Reader<SecretText> = (value, where) => new SecretText(pem(value, where));
const certificates = list(record({ chainPem: pem, keyPem: secret }), MAX_CERTIFICATES);

const SERVING: Reader<Serving> = union('kind', {
  http: record({ kind: oneOf('http') }),
  https: record({ kind: oneOf('https'), certificates }),
  tls: record({ kind: oneOf('tls'), certificates }),
  passthrough: record({ kind: oneOf('passthrough') }),
  tcp: record({ kind: oneOf('tcp') }),
});

const LISTENER: Reader<GatewayListener> = record({
  name: word,
  port: integer(1, 65_535),
  hostname: word,
  serves: SERVING,
});

const LISTENERS: Reader<GatewayListeners> = record({
  gateway: word,
  listeners: list(LISTENER, MAX_LISTENERS),
});

export function encodeListeners(value: GatewayListeners): Uint8Array {
  const listeners = value.listeners.map(({ serves, ...rest }) => ({
    ...rest,
    serves: 'certificates' in serves ? { ...serves, certificates: shown(serves) } : serves,
  }));
  return new TextEncoder().encode(JSON.stringify({ ...value, listeners }));
}

function shown({ certificates: all }: Extract<Serving, { certificates: unknown }>): object[] {
  return all.map(({ chainPem, keyPem }) => ({ chainPem, keyPem: keyPem.reveal() }));
}

/** @throws DecodeError naming the field that was wrong, never what was in it */
export function decodeListeners(body: Uint8Array): GatewayListeners {
  const value = LISTENERS(parseJson(body, MAX_BODY_BYTES, 'listeners'), 'listeners');
  if (value.gateway === '') throw new DecodeError('Cannot read listeners: they have no gateway');
  return value;
}
