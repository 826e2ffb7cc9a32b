// The one table of how a request can end badly at L7: what the client, the access log and the metrics see of it. Thrown by
// whoever of the waypoint gives up on a request, answered by waypoint/failure-answer.ts, shown by the cli. What fails on a
// connection has its own table, failures.ts; httpFailureOf() leads from there to here. Nobody branches on a message.

import { type FailureCode, MeshError } from './failures.ts';
import type { HeaderList } from './http-request.ts';

/** Status codes of gRPC that a proxy gives. */
export const GRPC = {
  CANCELLED: 1,
  UNKNOWN: 2,
  DEADLINE_EXCEEDED: 4,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

type Row = {
  /** `response_flags` of access log and metrics: Envoy's where it has one. */
  readonly flag: string;
  /** undefined: nobody is there to be answered. */
  readonly status: number | undefined;
  readonly grpc: number;
  /** Nothing has read the request, or it is asked to be tried again: another endpoint may be. */
  readonly retry: boolean;
  /** The body of the answer: says nothing of what is inside the mesh. */
  readonly says: string;
};

export const HTTP_FAILURES = {
  NO_ROUTE: row('NR', 404, GRPC.UNIMPLEMENTED, 'no route matches'),
  /** The service of the CONNECT, or the host, is none of this waypoint's. */
  MISDIRECTED: row('NR', 421, GRPC.UNAVAILABLE, 'not served here'),
  /** Gateway API: a backend that does not exist, is not permitted or is of an unknown kind. */
  BACKEND_INVALID: row('NC', 500, GRPC.UNAVAILABLE, 'the backend is not valid'),
  /** A rule without backends, or with weights of 0 only. */
  NO_BACKEND: row('NC', 500, GRPC.UNAVAILABLE, 'no backend'),
  /** A filter that cannot be applied: a request never goes on without it. */
  FILTER_BROKEN: row('NFCF', 500, GRPC.INTERNAL, 'a filter cannot be applied'),
  NO_HEALTHY_UPSTREAM: row('UH', 503, GRPC.UNAVAILABLE, 'no healthy upstream'),
  UPSTREAM_CONNECT: row('UF', 503, GRPC.UNAVAILABLE, 'cannot connect upstream', 'retry'),
  /** The upstream's own proxy, or its policy, does not let this waypoint in. */
  UPSTREAM_REFUSED: row('UF', 503, GRPC.UNAVAILABLE, 'refused upstream'),
  /** It may have read the request before. */
  UPSTREAM_RESET: row('UC', 503, GRPC.UNAVAILABLE, 'upstream reset before it answered'),
  /** REFUSED_STREAM, or a GOAWAY before this stream: it surely did not read the request. */
  UPSTREAM_UNPROCESSED: row('UC', 503, GRPC.UNAVAILABLE, 'upstream took no request', 'retry'),
  UPSTREAM_PROTOCOL: row('UPE', 502, GRPC.UNAVAILABLE, 'upstream broke the protocol'),
  /** A limit on connections, requests or waiting ones of the service. */
  UPSTREAM_OVERFLOW: row('UO', 503, GRPC.UNAVAILABLE, 'too much for upstream'),
  /** The request with all its tries. */
  REQUEST_TIMEOUT: row('UT', 504, GRPC.DEADLINE_EXCEEDED, 'upstream request timeout'),
  TRY_TIMEOUT: row('UT', 504, GRPC.DEADLINE_EXCEEDED, 'upstream request timeout', 'retry'),
  RETRY_LIMIT: row('URX', 503, GRPC.UNAVAILABLE, 'no more tries'),
  /** Nothing moved either way. */
  STREAM_IDLE: row('SI', 504, GRPC.DEADLINE_EXCEEDED, 'stream idle'),
  /** The client did not send the rest of its request. */
  REQUEST_INCOMPLETE: row('SI', 408, GRPC.DEADLINE_EXCEEDED, 'the request did not come whole'),
  MAX_DURATION: row('UMSDR', 504, GRPC.DEADLINE_EXCEEDED, 'stream lasted too long'),
  DOWNSTREAM_RESET: row('DC', undefined, GRPC.CANCELLED, 'the client has gone'),
  DOWNSTREAM_PROTOCOL: row('DPE', 400, GRPC.INTERNAL, 'bad request'),
  HEADERS_TOO_LARGE: row('DPE', 431, GRPC.RESOURCE_EXHAUSTED, 'headers too large'),
  URI_TOO_LONG: row('DPE', 414, GRPC.RESOURCE_EXHAUSTED, 'address too long'),
  BODY_TOO_LARGE: row('DPE', 413, GRPC.RESOURCE_EXHAUSTED, 'body too large'),
  LOCAL_RESET: row('LR', 503, GRPC.UNAVAILABLE, 'reset'),
  /** Its status is the policy's: see HttpFailure's options. */
  FAULT_ABORT: row('FI', 503, GRPC.UNAVAILABLE, 'fault injected'),
  // clients of gRPC try UNAVAILABLE again at once, which is the last thing wanted here
  RATE_LIMITED: row('RL', 429, GRPC.RESOURCE_EXHAUSTED, 'rate limited'),
  /** The rate limit service cannot be asked, and its policy is not to go on without it. */
  RATE_LIMIT_SERVICE: row('RLSE', 500, GRPC.UNAVAILABLE, 'rate limit service error'),
  EXTERNAL_AUTH_DENIED: row('UAEX', 403, GRPC.PERMISSION_DENIED, 'denied'),
  EXTERNAL_AUTH_ERROR: row('UAEX', 403, GRPC.PERMISSION_DENIED, 'denied'),
  // the words people and their tests look for
  POLICY_DENIED: row('DENY', 403, GRPC.PERMISSION_DENIED, 'RBAC: access denied'),
  UNAUTHENTICATED: row('DENY', 401, GRPC.UNAUTHENTICATED, 'not authenticated'),
  /** This waypoint has more to do than it can: by its own limits, not the upstream's. */
  OVERLOADED: row('OM', 503, GRPC.UNAVAILABLE, 'overloaded'),
  DRAIN_DEADLINE: row('DRAIN', 503, GRPC.UNAVAILABLE, 'stopping'),
  INTERNAL: row('INTERNAL', 500, GRPC.INTERNAL, 'internal error'),
} as const satisfies Record<string, Row>;

export type HttpFailureCode = keyof typeof HTTP_FAILURES;

/** Flags that stand beside an answer which is no failure of ours. */
export type NoteFlag = 'DI' | 'URX';
export type ResponseFlag = (typeof HTTP_FAILURES)[HttpFailureCode]['flag'] | NoteFlag;

/** What an access log filter may name; `-` is a request that ended well. */
export const RESPONSE_FLAGS: ReadonlySet<string> = new Set([
  '-',
  'DI',
  ...Object.values(HTTP_FAILURES).map(({ flag }) => flag),
]);

export type HttpFailureOptions = {
  readonly cause?: unknown;
  /** In place of the table's: what a policy asks for, or an authorization service said. */
  readonly status?: number;
  readonly grpcStatus?: number;
  /** More headers of the answer. */
  readonly headers?: HeaderList;
  /** In place of the table's words; the client reads it. */
  readonly body?: string;
};

/** The message is for logs only: what was attempted, on what, and the present state. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly code: HttpFailureCode;
  readonly options: HttpFailureOptions;

  constructor(code: HttpFailureCode, detail: string, options: HttpFailureOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.options = options;
  }

  get flag(): ResponseFlag {
    return HTTP_FAILURES[this.code].flag;
  }

  /** undefined: nobody is there to be answered. */
  get status(): number | undefined {
    return this.options.status ?? HTTP_FAILURES[this.code].status;
  }

  get grpcStatus(): number {
    const { status, grpcStatus } = this.options;
    if (grpcStatus !== undefined) return grpcStatus;
    return status === undefined ? HTTP_FAILURES[this.code].grpc : grpcStatusOf(status);
  }

  get retryable(): boolean {
    return HTTP_FAILURES[this.code].retry;
  }
}

/** What of a connection's failure a request sees. */
const OF_CONNECTIONS: Readonly<Record<FailureCode, HttpFailureCode>> = {
  POLICY_DENIED: 'POLICY_DENIED',
  POLICY_CHANGED: 'POLICY_DENIED',
  POLICY_UNKNOWN: 'POLICY_DENIED',
  WAYPOINT_REQUIRED: 'POLICY_DENIED',
  UPSTREAM_CONNECT: 'UPSTREAM_CONNECT',
  UPSTREAM_CONNECT_TIMEOUT: 'UPSTREAM_CONNECT',
  UPSTREAM_RESET: 'UPSTREAM_RESET',
  TUNNEL_UNAVAILABLE: 'UPSTREAM_CONNECT',
  TUNNEL_REFUSED: 'UPSTREAM_REFUSED',
  TUNNEL_CONNECT_TIMEOUT: 'UPSTREAM_CONNECT',
  // a stream that was asked for: nothing of the request was in it yet
  TUNNEL_ANSWER_TIMEOUT: 'UPSTREAM_CONNECT',
  TUNNEL_LOST: 'UPSTREAM_RESET',
  TUNNEL_LIMIT: 'UPSTREAM_OVERFLOW',
  TUNNEL_FLOODED: 'UPSTREAM_RESET',
  TUNNEL_PROTOCOL: 'UPSTREAM_RESET',
  POD_TUNNEL_LIMIT: 'UPSTREAM_OVERFLOW',
  POD_STREAM_LIMIT: 'UPSTREAM_OVERFLOW',
  HANDSHAKE_LIMIT: 'UPSTREAM_OVERFLOW',
  TUNNEL_PEER_LIMIT: 'UPSTREAM_OVERFLOW',
  TUNNEL_QUEUE_LIMIT: 'UPSTREAM_OVERFLOW',
  TLS_FAILURE: 'UPSTREAM_CONNECT',
  CERT_EXPIRED: 'UPSTREAM_CONNECT',
  CERT_NOT_YET_VALID: 'UPSTREAM_CONNECT',
  CERT_REVOKED: 'UPSTREAM_RESET',
  H2_HANDSHAKE_FAILURE: 'UPSTREAM_CONNECT',
  IDENTITY_ERROR: 'UPSTREAM_REFUSED',
  PEER_IDENTITY_MISMATCH: 'UPSTREAM_REFUSED',
  SOURCE_UNKNOWN: 'INTERNAL',
  DESTINATION_UNKNOWN: 'MISDIRECTED',
  DESTINATION_MISMATCH: 'MISDIRECTED',
  DESTINATION_PASSED: 'UPSTREAM_CONNECT',
  NO_HEALTHY_ENDPOINT: 'NO_HEALTHY_UPSTREAM',
  DESTINATION_BLOCKED: 'MISDIRECTED',
  GATEWAY_UNAVAILABLE: 'NO_HEALTHY_UPSTREAM',
  NAME_UNRESOLVED: 'UPSTREAM_CONNECT',
  WAYPOINT_UNAVAILABLE: 'NO_HEALTHY_UPSTREAM',
  RECURSION: 'INTERNAL',
  MALFORMED_REQUEST: 'DOWNSTREAM_PROTOCOL',
  CONNECTION_LIMIT: 'OVERLOADED',
  POD_CONNECTION_LIMIT: 'OVERLOADED',
  DESCRIPTOR_LIMIT: 'OVERLOADED',
  MEMORY_LIMIT: 'OVERLOADED',
  DRAIN_DEADLINE: 'DRAIN_DEADLINE',
  INTERNAL: 'INTERNAL',
};

/** Whatever was thrown, as a request's failure: its own, a connection's in its words, INTERNAL for what nobody foresaw. */
export function httpFailureOf(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof MeshError ? OF_CONNECTIONS[error.code] : 'INTERNAL';
  return new HttpFailure(code, message, { cause: error });
}

/** What a client of gRPC is told of an HTTP status (gRPC: "HTTP to gRPC Status Code Mapping"). */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return GRPC.INTERNAL;
    case 401:
      return GRPC.UNAUTHENTICATED;
    case 403:
      return GRPC.PERMISSION_DENIED;
    case 404:
      return GRPC.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC.UNAVAILABLE;
    default:
      return GRPC.UNKNOWN;
  }
}

function row<const F extends string>(
  flag: F,
  status: number | undefined,
  grpc: number,
  says: string,
  retry?: 'retry',
): Row & { readonly flag: F } {
  return { flag, status, grpc, says, retry: retry !== undefined };
}
