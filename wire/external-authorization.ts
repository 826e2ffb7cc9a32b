// Envoy's ext_authz, the gRPC form: a request as an authorization service is asked about it, and its answer. Called by
// waypoint/auth. Pure. Invariant: an answer that is not plainly yes is no.

import type { IpAddress } from '../mesh/address.ts';
import type { HeaderList } from '../mesh/http-request.ts';
import { EXTERNAL_AUTHORIZATION_PROTO } from './proto/external-authorization.ts';
import { loadProto, messageType } from './protobuf.ts';

export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';

export type CheckPeer = {
  readonly ip: IpAddress;
  readonly port: number;
  /** A SPIFFE URI; empty without an identity. */
  readonly principal: string;
};

export type CheckRequest = {
  readonly source: CheckPeer;
  readonly destination: CheckPeer;
  readonly timeMs: number;
  readonly id: string;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  /** With the query. */
  readonly path: string;
  readonly protocol: string;
  readonly headers: HeaderList;
  /** undefined: it is not told. */
  readonly body: { readonly bytes: Uint8Array; readonly asBytes: boolean } | undefined;
  readonly sni: string;
};

/** `set` takes the place of what is there, `add` stands beside it; the others as their names say. */
export type HeaderChange = {
  readonly name: string;
  readonly value: string;
  readonly how: 'set' | 'add' | 'add-if-absent' | 'set-if-present';
};

export type CheckAnswer =
  | {
      readonly kind: 'ok';
      readonly requestHeaders: readonly HeaderChange[];
      readonly removeHeaders: readonly string[];
      readonly responseHeaders: readonly HeaderChange[];
      readonly setQuery: readonly (readonly [name: string, value: string])[];
      readonly removeQuery: readonly string[];
    }
  /** `status` 0: the service names none. */
  | {
      readonly kind: 'denied' | 'error';
      readonly status: number;
      readonly headers: readonly HeaderChange[];
      readonly body: string;
      readonly message: string;
    };

type AddressMessage = { socketAddress: { address: string; portValue: number } };
type PeerMessage = { address: AddressMessage; principal: string };
type RequestMessage = {
  attributes: {
    source: PeerMessage;
    destination: PeerMessage;
    request: {
      time: { seconds: number; nanos: number };
      http: {
        id: string;
        method: string;
        headers: Record<string, string>;
        path: string;
        host: string;
        scheme: string;
        size: number;
        protocol: string;
        body: string;
        rawBody: Uint8Array;
      };
    };
    contextExtensions: Record<string, string>;
    tlsSession: { sni: string } | null;
  };
};
type HeaderMessage = {
  header: { key: string; value: string; rawValue: Uint8Array } | null;
  append: { value: boolean } | null;
  appendAction: number;
};
type DeniedMessage = { status: { code: number } | null; headers: HeaderMessage[]; body: string };
type OkMessage = {
  headers: HeaderMessage[];
  headersToRemove: string[];
  responseHeadersToAdd: HeaderMessage[];
  queryParametersToSet: { key: string; value: string }[];
  queryParametersToRemove: string[];
};
type ResponseMessage = {
  status: { code: number; message: string } | null;
  deniedResponse?: DeniedMessage;
  okResponse?: OkMessage;
  errorResponse?: DeniedMessage;
};

const root = loadProto(EXTERNAL_AUTHORIZATION_PROTO);
const REQUEST = messageType<RequestMessage>(root, 'envoy.service.auth.v3.CheckRequest');
const RESPONSE = messageType<ResponseMessage>(root, 'envoy.service.auth.v3.CheckResponse');

export function encodeCheckRequest(request: CheckRequest): Uint8Array {
  const { timeMs, body, headers, sni } = request;
  const text = body === undefined || body.asBytes ? '' : new TextDecoder().decode(body.bytes);
  return REQUEST.encode({
    attributes: {
      source: peerMessage(request.source),
      destination: peerMessage(request.destination),
      request: {
        time: { seconds: Math.floor(timeMs / 1000), nanos: (timeMs % 1000) * 1_000_000 },
        http: {
          id: request.id,
          method: request.method,
          headers: joined(request, headers),
          path: request.path,
          host: request.host,
          scheme: request.scheme,
          size: body?.bytes.length ?? -1,
          protocol: request.protocol,
          body: text,
          rawBody: body?.asBytes === true ? body.bytes : new Uint8Array(),
        },
      },
      contextExtensions: {},
      tlsSession: sni === '' ? null : { sni },
    },
  });
}

function peerMessage({ ip, port, principal }: CheckPeer): PeerMessage {
  return { address: { socketAddress: { address: ip, portValue: port } }, principal };
}

/** One value a name, with the pseudo headers among them, as Envoy tells them. */
function joined(request: CheckRequest, headers: HeaderList): Record<string, string> {
  const all = new Map<string, string>([
    [':authority', request.host],
    [':method', request.method],
    [':path', request.path],
    [':scheme', request.scheme],
  ]);
  for (const [name, value] of headers) {
    const before = all.get(name);
    const glue = name === 'cookie' ? '; ' : ',';
    all.set(name, before === undefined ? value : before + glue + value);
  }
  return Object.fromEntries(all);
}

/** @throws DecodeError */
export function decodeCheckResponse(bytes: Uint8Array): CheckAnswer {
  const { status, okResponse, deniedResponse, errorResponse } = RESPONSE.decode(bytes);
  // an empty message says neither
  const says = status !== null || okResponse !== undefined;
  const refuses = deniedResponse !== undefined || errorResponse !== undefined;
  if (says && !refuses && (status?.code ?? 0) === 0) {
    return okResponse === undefined ? PLAIN_YES : yes(okResponse);
  }
  const told = errorResponse ?? deniedResponse;
  return {
    kind: errorResponse === undefined ? 'denied' : 'error',
    status: told?.status?.code ?? 0,
    headers: (told?.headers ?? []).flatMap((one) => readChange(one, 'add')),
    body: told?.body ?? '',
    message: status?.message ?? '',
  };
}

const PLAIN_YES: CheckAnswer = {
  kind: 'ok',
  requestHeaders: [],
  removeHeaders: [],
  responseHeaders: [],
  setQuery: [],
  removeQuery: [],
};

function yes(ok: NonNullable<ReturnType<typeof RESPONSE.decode>['okResponse']>): CheckAnswer {
  return {
    kind: 'ok',
    requestHeaders: ok.headers.flatMap((one) => readChange(one, 'set')),
    removeHeaders: ok.headersToRemove,
    responseHeaders: ok.responseHeadersToAdd.flatMap((one) => readChange(one, 'add')),
    setQuery: ok.queryParametersToSet.map(({ key, value }) => [key, value]),
    removeQuery: ok.queryParametersToRemove,
  };
}

const ACTIONS = ['add', 'add-if-absent', 'set', 'set-if-present'] as const;

/** `unsaid`: what servers mean that say neither `append` nor an action. */
function readChange(
  { header, append, appendAction }: HeaderMessage,
  unsaid: HeaderChange['how'],
): HeaderChange[] {
  if (header === null || header.key === '') return [];
  const value = header.rawValue.length > 0 ? String.fromCharCode(...header.rawValue) : header.value;
  const name = header.key.toLowerCase();
  if (append !== null) return [{ name, value, how: append.value ? 'add' : 'set' }];
  return [{ name, value, how: appendAction === 0 ? unsaid : (ACTIONS[appendAction] ?? 'set') }];
}
