// How long a request may take: its route's limits as signals. Made by serve.ts for each request, asked by forward.ts for
// each try. Invariant: no timer outlives its request.

import { HttpFailure } from '../mesh/http-failures.ts';
import type { RouteRule } from '../mesh/route.ts';

export type RequestLimits = Disposable & {
  /** Aborted when the client has gone or the request's time is over. */
  readonly signal: AbortSignal;
};

export function requestLimits(rule: RouteRule | undefined, client: AbortSignal): RequestLimits {
  const limit = rule?.requestTimeoutMs ?? 0;
  if (limit === 0) return { signal: client, [Symbol.dispose]: () => {} };
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new HttpFailure('REQUEST_TIMEOUT', `No answer within ${limit} ms`));
  }, limit);
  return {
    signal: AbortSignal.any([client, late.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/** Aborted also when one try has taken too long. */
export function tryLimit(
  rule: RouteRule | undefined,
  request: AbortSignal,
): { readonly signal: AbortSignal; end(): void } {
  const limit = rule?.backendTimeoutMs ?? 0;
  if (limit === 0) return { signal: request, end: () => {} };
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new HttpFailure('TRY_TIMEOUT', `No answer to this try within ${limit} ms`));
  }, limit);
  return { signal: AbortSignal.any([request, late.signal]), end: () => clearTimeout(timer) };
}
