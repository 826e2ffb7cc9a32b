// What a request that policy stops is answered with, as a value: whoever writes answers makes of it HTTP, or gRPC with its
// status in trailers. Made by authenticate.ts, request-auth.ts and external-authorization.ts.

import type { HeaderList } from '../../mesh/http-request.ts';

export type Refusal = {
  /** Rows of the table of HTTP failures. */
  readonly code:
    | 'POLICY_DENIED'
    | 'UNAUTHENTICATED'
    | 'EXTERNAL_AUTH_DENIED'
    | 'EXTERNAL_AUTH_ERROR';
  /** `response_flags` of access log and metrics: UAEX is what those who know Envoy look for. */
  readonly flag: 'DENY' | 'UAEX';
  readonly status: number;
  readonly grpcStatus: number;
  readonly headers: HeaderList;
  /** For the client: nothing of what is inside the mesh. */
  readonly body: string;
  /** For the log: which policy, which rule, why. */
  readonly detail: string;
};

const PERMISSION_DENIED = 7;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** The words people and their tests look for. */
const RBAC_BODY = 'RBAC: access denied';

export function deniedByPolicy(detail: string): Refusal {
  return {
    code: 'POLICY_DENIED',
    flag: 'DENY',
    status: 403,
    grpcStatus: PERMISSION_DENIED,
    headers: [['content-type', 'text/plain']],
    body: RBAC_BODY,
    detail,
  };
}

/** `why` is said to the client (RFC 6750 section 3). */
export function badToken(why: string, detail: string): Refusal {
  const description = why.replaceAll(/["\\]|[^\x20-\x7e]/g, '');
  return {
    code: 'UNAUTHENTICATED',
    flag: 'DENY',
    status: 401,
    grpcStatus: UNAUTHENTICATED,
    headers: [
      ['content-type', 'text/plain'],
      ['www-authenticate', `Bearer error="invalid_token", error_description="${description}"`],
    ],
    body: `The token is refused: ${why}`,
    detail,
  };
}

/** An authorization service said no. */
export function deniedByService(
  answer: Pick<Refusal, 'status' | 'headers' | 'body'>,
  detail: string,
): Refusal {
  return {
    code: 'EXTERNAL_AUTH_DENIED',
    flag: 'UAEX',
    grpcStatus: grpcStatusOf(answer.status),
    ...answer,
    detail,
  };
}

/** An authorization service said nothing. */
export function serviceFailed(status: number, detail: string): Refusal {
  return {
    code: 'EXTERNAL_AUTH_ERROR',
    flag: 'UAEX',
    status,
    grpcStatus: grpcStatusOf(status),
    headers: [],
    body: '',
    detail,
  };
}

/** gRPC: "HTTP to gRPC Status Code Mapping", of those that policy gives. */
function grpcStatusOf(status: number): number {
  if (status === 401) return UNAUTHENTICATED;
  return status === 429 || status >= 502 ? UNAVAILABLE : PERMISSION_DENIED;
}
