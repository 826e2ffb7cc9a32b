// The one table of failures: every way a connection can end badly, with what the outside sees of it.
// Everybody who ends a Trail or answers a CONNECT reads it. Nobody branches on an error's message.

/**
 * `flag` is the access log's and metrics' `response_flags` (the reference's names where it has one);
 * `status` is the HTTP status a refused CONNECT is answered with (undefined: no answer, the connection just ends);
 * `retry` tells whether another endpoint may be tried while the application has not sent a byte.
 */
export const FAILURES = {
  POLICY_DENIED: { flag: 'DENY', status: 401, retry: false },
  /** Open, and then policy or the workload's labels changed: it would not be let in any more. */
  POLICY_CHANGED: { flag: 'DENY', status: 401, retry: false },
  /** The destination names a policy its agent has not got. */
  POLICY_UNKNOWN: { flag: 'DENY', status: 503, retry: false },
  /** It came straight to a workload that is to be reached through its waypoint. */
  WAYPOINT_REQUIRED: { flag: 'WAYPOINT_REQUIRED', status: 401, retry: false },
  UPSTREAM_CONNECT: { flag: 'CONNECT', status: 503, retry: true },
  UPSTREAM_CONNECT_TIMEOUT: { flag: 'CONNECT', status: 503, retry: true },
  UPSTREAM_RESET: { flag: 'CONNECT', status: 503, retry: false },
  // the peer could not reach its application, which has thus seen nothing
  TUNNEL_UNAVAILABLE: { flag: 'CONNECT', status: 503, retry: true },
  TUNNEL_REFUSED: { flag: 'CONNECT', status: 503, retry: false },
  TUNNEL_CONNECT_TIMEOUT: { flag: 'NETWORK_POLICY', status: 503, retry: true },
  TUNNEL_ANSWER_TIMEOUT: { flag: 'CONNECT', status: 503, retry: false },
  TUNNEL_LOST: { flag: 'CONNECT', status: 503, retry: false },
  TUNNEL_LIMIT: { flag: 'OVERLOAD', status: 503, retry: true },
  TUNNEL_FLOODED: { flag: 'OVERLOAD', status: 503, retry: false },
  TUNNEL_PROTOCOL: { flag: 'H2_PROTOCOL_ERROR', status: 503, retry: false },
  POD_TUNNEL_LIMIT: { flag: 'OVERLOAD', status: undefined, retry: true },
  POD_STREAM_LIMIT: { flag: 'OVERLOAD', status: 503, retry: true },
  HANDSHAKE_LIMIT: { flag: 'OVERLOAD', status: undefined, retry: true },
  TUNNEL_PEER_LIMIT: { flag: 'OVERLOAD', status: 503, retry: true },
  TUNNEL_QUEUE_LIMIT: { flag: 'OVERLOAD', status: 503, retry: true },
  TLS_FAILURE: { flag: 'TLS_FAILURE', status: undefined, retry: false },
  CERT_EXPIRED: { flag: 'TLS_FAILURE', status: undefined, retry: false },
  CERT_NOT_YET_VALID: { flag: 'TLS_FAILURE', status: undefined, retry: false },
  CERT_REVOKED: { flag: 'CERT_REVOKED', status: undefined, retry: false },
  H2_HANDSHAKE_FAILURE: { flag: 'H2_HANDSHAKE_FAILURE', status: undefined, retry: true },
  IDENTITY_ERROR: { flag: 'IDENTITY_ERROR', status: 503, retry: false },
  PEER_IDENTITY_MISMATCH: { flag: 'TLS_FAILURE', status: undefined, retry: false },
  SOURCE_UNKNOWN: { flag: 'UNKNOWN_SOURCE', status: 503, retry: false },
  DESTINATION_UNKNOWN: { flag: 'NR', status: 503, retry: false },
  DESTINATION_MISMATCH: { flag: 'NR', status: 400, retry: false },
  DESTINATION_PASSED: { flag: 'UH', status: 503, retry: true },
  NO_HEALTHY_ENDPOINT: { flag: 'UH', status: 503, retry: false },
  // in the words of those who know it as BlackHoleCluster
  DESTINATION_BLOCKED: { flag: 'BLACKHOLE', status: 503, retry: false },
  GATEWAY_UNAVAILABLE: { flag: 'NO_GATEWAY', status: 503, retry: false },
  NAME_UNRESOLVED: { flag: 'DNS', status: 503, retry: true },
  WAYPOINT_UNAVAILABLE: { flag: 'NO_WAYPOINT', status: 503, retry: false },
  RECURSION: { flag: 'LOOP', status: 503, retry: false },
  MALFORMED_REQUEST: { flag: 'BAD_REQUEST', status: 400, retry: false },
  CONNECTION_LIMIT: { flag: 'OVERLOAD', status: 503, retry: false },
  POD_CONNECTION_LIMIT: { flag: 'OVERLOAD', status: 503, retry: false },
  DESCRIPTOR_LIMIT: { flag: 'OVERLOAD', status: 503, retry: false },
  MEMORY_LIMIT: { flag: 'OVERLOAD', status: 503, retry: false },
  DRAIN_DEADLINE: { flag: 'DRAIN', status: 503, retry: false },
  INTERNAL: { flag: 'INTERNAL', status: 503, retry: false },
} as const satisfies Record<
  string,
  { readonly flag: string; readonly status: number | undefined; readonly retry: boolean }
>;

export type FailureCode = keyof typeof FAILURES;

/** A fault with a row in {@link FAILURES}. Its message says what was attempted, on what, and the present state. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: FailureCode;

  constructor(code: FailureCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The code of whatever was thrown: a MeshError's own, INTERNAL for anything nobody foresaw. */
export function failureCodeOf(error: unknown): FailureCode {
  return error instanceof MeshError ? error.code : 'INTERNAL';
}
