// One try of a request at one endpoint: sent, timed and accounted for. Begun by forward.ts. Invariant: whatever becomes of
// it, its places in the limits are given back once, when it has ended or was given up.

import { HttpFailure, httpFailureOf } from '../mesh/http-failures.ts';
import type { HeaderList } from '../mesh/http-request.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Clock } from '../runtime/clock.ts';
import { withAttemptCount, withExpectedTimeout } from './http/headers.ts';
import type { EndTry } from './resilience/balancing/endpoint-loads.ts';
import { type Deadline, formatGrpcTimeout, remainingMs } from './resilience/deadline.ts';
import { tryResultOf } from './resilience/outlier.ts';
import type { Release } from './resilience/release.ts';
import type { TryOutcome } from './resilience/retry-policy.ts';
import type { Upstream } from './resilience/upstream.ts';
import type { RequestTrail, UpstreamTry } from './telemetry/request-trail.ts';
import type { Announced } from './upstream/dial.ts';
import type { Endpoints, Target } from './upstream/endpoints.ts';
import { UpstreamError, type UpstreamRequest, type UpstreamResponse } from './upstream/upstream.ts';

export type AttemptParts = {
  readonly clock: Clock;
  readonly endpoints: Endpoints;
  /** One object for each workload. */
  readonly identityOf: (workload: Workload) => Identity | undefined;
};

export type AttemptOrder = {
  readonly target: Target;
  /** undefined: a workload that was asked for itself, whose service nobody named. */
  readonly upstream: Upstream | undefined;
  readonly request: Omit<UpstreamRequest, 'announced'>;
  readonly version: 'http1' | 'http2';
  readonly from: Announced['from'];
  readonly trail: RequestTrail;
  /** From 1. */
  readonly number: number;
  readonly deadline: Deadline;
  readonly perTryMs: number | undefined;
};

export type AttemptEnd =
  | {
      readonly kind: 'answered';
      readonly attempt: Attempt;
      readonly response: UpstreamResponse;
      readonly grpcStatus: number | undefined;
      readonly latencyMs: number;
    }
  | {
      readonly kind: 'failed';
      readonly attempt: Attempt;
      /** undefined: another try would end the same way. */
      readonly outcome: TryOutcome | undefined;
      readonly failure: HttpFailure;
    };

export class Attempt {
  readonly end: Promise<AttemptEnd>;
  readonly uid: string;
  readonly #order: AttemptOrder;
  readonly #own = new AbortController();
  readonly #told: UpstreamTry;
  readonly #endLoad: EndTry | undefined;
  readonly #releases: Release[] = [];
  #latencyMs: number | undefined;
  #status: number | undefined;
  #response: UpstreamResponse | undefined;
  #open = true;

  constructor(order: AttemptOrder, parts: AttemptParts, signal: AbortSignal) {
    const { target, upstream, trail } = order;
    this.#order = order;
    this.uid = target.workload.uid;
    this.#told = trail.upstream({
      service: target.service,
      destinationWorkload: target.workload,
      destinationIdentity: parts.identityOf(target.workload),
      destination: target.to,
    });
    this.#endLoad = upstream?.loads.begin(this.uid);
    const abort = (): void => this.#own.abort(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    this.#releases.push(() => signal.removeEventListener('abort', abort));
    if (order.perTryMs !== undefined) this.#limit(order.perTryMs, parts.clock);
    this.end = this.#send(parts);
  }

  /** Its answer has gone through to its end, or was given up. */
  close(grpcStatus?: number, failure?: HttpFailure): void {
    if (!this.#open) return;
    this.#open = false;
    for (const release of this.#releases) release();
    this.#endLoad?.(this.#latencyMs);
    this.#told.end({ status: this.#status, grpcStatus, failure });
    if (this.#status !== undefined) {
      this.#order.upstream?.record(this.uid, tryResultOf(this.#status, grpcStatus));
    }
  }

  /** Nobody wants its answer any more. */
  cancel(): void {
    if (!this.#open) return;
    this.#response?.reset();
    this.#own.abort(new HttpFailure('LOCAL_RESET', 'Another try was faster'));
    this.close();
  }

  #limit(ms: number, clock: Clock): void {
    const timer = clock.timer(ms, () => {
      this.#own.abort(
        new HttpFailure('TRY_TIMEOUT', `No whole answer to this try within ${ms} ms`),
      );
    });
    this.#releases.push(() => timer.cancel());
  }

  async #send({ clock, endpoints }: AttemptParts): Promise<AttemptEnd> {
    const { target, upstream, version, from, request } = this.#order;
    const waiting = upstream?.circuit.pending();
    if (waiting?.admitted === false) return this.#overflow(waiting.limit);
    const connected = waiting?.release ?? (() => {});
    this.#releases.push(connected);
    const announced = { from, traceparent: this.#told.traceparent };
    try {
      const send = endpoints.sender(target, version, upstream);
      const response = await send(
        { ...request, headers: this.#headers(clock), onConnection: connected, announced },
        this.#own.signal,
      );
      this.#latencyMs = this.#told.firstByte();
      this.#status = response.status;
      this.#response = response;
      const grpcStatus = response.headOnly ? grpcStatusIn(response.headers) : undefined;
      return { kind: 'answered', attempt: this, response, grpcStatus, latencyMs: this.#latencyMs };
    } catch (error) {
      return this.#failed(error);
    }
  }

  #headers(clock: Clock): HeaderList {
    const { request, number, deadline } = this.#order;
    let headers = withAttemptCount(this.#told.headers(request.headers), number);
    const left = remainingMs(deadline, clock.monotonic());
    if (left === undefined) return headers;
    headers = withExpectedTimeout(headers, left);
    if (!headers.some(([name]) => name === 'grpc-timeout')) return headers;
    return headers.map(([name, value]) =>
      name === 'grpc-timeout' ? [name, formatGrpcTimeout(left)] : [name, value],
    );
  }

  #overflow(limit: string): AttemptEnd {
    const { service } = this.#order.target;
    const failure = new HttpFailure(
      'UPSTREAM_OVERFLOW',
      `${limit} of ${service?.hostname ?? this.uid} is reached`,
    );
    this.close(undefined, failure);
    return { kind: 'failed', attempt: this, outcome: undefined, failure };
  }

  #failed(error: unknown): AttemptEnd {
    const failure = failureOf(error);
    const outcome = this.#own.signal.aborted
      ? outcomeOfAbort(this.#own.signal.reason)
      : outcomeOf(error);
    // a client that left, and a limit of ours, say nothing of the endpoint
    if (outcome !== undefined) {
      const result = outcome.kind === 'per-try-timeout' ? 'gateway-error' : 'local-failure';
      this.#order.upstream?.record(this.uid, result);
    }
    this.close(undefined, failure);
    return { kind: 'failed', attempt: this, outcome, failure };
  }
}

function outcomeOfAbort(reason: unknown): TryOutcome | undefined {
  return reason instanceof HttpFailure && reason.code === 'TRY_TIMEOUT'
    ? { kind: 'per-try-timeout' }
    : undefined;
}

function outcomeOf(error: unknown): TryOutcome | undefined {
  if (!(error instanceof UpstreamError)) return undefined;
  switch (error.kind) {
    case 'connect':
      return { kind: 'connect-failure' };
    case 'refused-stream':
      return { kind: 'refused-stream' };
    case 'reset':
      return { kind: 'reset' };
    case 'protocol':
    case 'overflow':
      return undefined;
  }
}

const FAILURE_OF = {
  connect: 'UPSTREAM_CONNECT',
  reset: 'UPSTREAM_RESET',
  'refused-stream': 'UPSTREAM_UNPROCESSED',
  protocol: 'UPSTREAM_PROTOCOL',
  overflow: 'UPSTREAM_OVERFLOW',
} as const;

export function failureOf(cause: unknown): HttpFailure {
  if (!(cause instanceof UpstreamError)) return httpFailureOf(cause);
  return new HttpFailure(FAILURE_OF[cause.kind], cause.message, { cause });
}

export function grpcStatusIn(headers: HeaderList): number | undefined {
  const text = headers.find(([name]) => name === 'grpc-status')?.[1];
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : undefined;
}
