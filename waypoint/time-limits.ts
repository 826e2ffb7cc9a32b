// How long a request may take with all its tries: its route's limit, its policy's, and its caller's own. Made by serve.ts
// for each request. Invariant: no timer outlives its request.

import { HttpFailure } from '../mesh/http-failures.ts';
import type { RouteRule } from '../mesh/route.ts';
import type { Timeouts } from '../mesh/traffic-policy.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Deadline, deadlineOf, parseGrpcTimeout, remainingMs } from './resilience/deadline.ts';

export type RequestLimits = Disposable & {
  readonly deadline: Deadline;
  /** Aborted when the client has gone or the request's time is over. */
  readonly signal: AbortSignal;
};

export type LimitQuestion = {
  readonly rule: RouteRule | undefined;
  readonly timeouts: Timeouts;
  /** `grpc-timeout` as it came; undefined: there is none, or it is no request of gRPC. */
  readonly grpcTimeout: string | undefined;
  readonly client: AbortSignal;
};

export function requestLimits(
  { rule, timeouts, grpcTimeout, client }: LimitQuestion,
  clock: Pick<Clock, 'monotonic' | 'timer'>,
): RequestLimits {
  const now = clock.monotonic();
  // a route's own word comes before a policy's; 0 says that there is no limit
  const ownMs = rule?.requestTimeoutMs ?? timeouts.requestMs;
  const callersMs = grpcTimeout === undefined ? undefined : parseGrpcTimeout(grpcTimeout);
  const deadline = deadlineOf(now, ownMs === 0 ? undefined : ownMs, callersMs);
  const limitMs = remainingMs(deadline, now);
  if (limitMs === undefined) return { deadline, signal: client, [Symbol.dispose]: () => {} };
  const ends = new AbortController();
  const leave = (): void => ends.abort(client.reason);
  client.addEventListener('abort', leave, { once: true });
  if (client.aborted) leave();
  const timer = clock.timer(limitMs, () => {
    ends.abort(new HttpFailure('REQUEST_TIMEOUT', `No whole answer within ${limitMs} ms`));
  });
  return {
    deadline,
    signal: ends.signal,
    [Symbol.dispose]: () => {
      timer.cancel();
      client.removeEventListener('abort', leave);
    },
  };
}
