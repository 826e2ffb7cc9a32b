// One request to one of a backend's endpoints, and to another when the first could not take it. Called by serve.ts with a
// request as it shall leave. Invariant: what may have been processed is not sent again unless it is safe to.

import { HttpFailure, httpFailureOf } from '../mesh/http-failures.ts';
import type { Matched } from '../mesh/match-route.ts';
import type { Destination, Inbound } from './inbound.ts';
import { type PickParts, pickTarget } from './pick.ts';
import { tryLimit } from './time-limits.ts';
import type { Endpoints, Target } from './upstream/endpoints.ts';
import type { ReplayBody } from './upstream/replay-body.ts';
import { UpstreamError, type UpstreamRequest, type UpstreamResponse } from './upstream/upstream.ts';

/** After the first; the reference's default. */
const RETRIES = 2;

export type Outgoing = {
  readonly inbound: Inbound;
  readonly backend: Destination;
  readonly request: UpstreamRequest;
  readonly body: ReplayBody | undefined;
  /** What the client speaks, where the backend does not say. */
  readonly version: 'http1' | 'http2';
  /** Whatever the port says: gRPC is HTTP/2. */
  readonly grpc: boolean;
  readonly matched: Matched | undefined;
};

export type ForwardSteps = {
  readonly pick: PickParts;
  readonly endpoints: Endpoints;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Told of each try before it is made. */
  readonly onTry: (target: Target) => void;
};

/** @throws HttpFailure, or `signal.reason` */
export async function forward(
  outgoing: Outgoing,
  steps: ForwardSteps,
  signal: AbortSignal,
): Promise<UpstreamResponse> {
  const tried = new Set<string>();
  const rule = outgoing.matched?.rule;
  const attempts = rule?.retry?.attempts ?? RETRIES;
  for (let attempt = 0; ; attempt++) {
    const target = targetFor(outgoing, steps, tried);
    tried.add(target.workload.uid);
    steps.onTry(target);
    const announced = { from: outgoing.inbound.remote, traceparent: outgoing.inbound.traceparent };
    const send = steps.endpoints.sender(target, versionFor(outgoing), announced);
    const limit = tryLimit(rule, signal);
    try {
      const response = await send(outgoing.request, limit.signal);
      if (attempt >= attempts || !isWorthAnother(response, outgoing)) return response;
      response.reset();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (attempt >= attempts || !mayRepeat(error, outgoing)) throw failureOf(error);
    } finally {
      limit.end();
    }
    if (rule?.retry?.backoffMs !== undefined) await steps.sleep(rule.retry.backoffMs, signal);
  }
}

/** When every endpoint was tried, any of them is as good again. */
function targetFor(outgoing: Outgoing, { pick }: ForwardSteps, tried: Set<string>): Target {
  const { backend, inbound } = outgoing;
  try {
    return pickTarget(backend, inbound.authority, pick, tried);
  } catch (error) {
    if (tried.size > 0) {
      tried.clear();
      return targetFor(outgoing, { pick } as ForwardSteps, tried);
    }
    throw failureOf(error);
  }
}

/** The route says which answers are worth another try, and thereby that the request may be sent again. */
function isWorthAnother({ status }: UpstreamResponse, { matched, body }: Outgoing): boolean {
  return matched?.rule.retry?.codes.includes(status) === true && body?.replayable !== false;
}

function mayRepeat(error: unknown, { body, matched }: Outgoing): boolean {
  if (body?.replayable === false) return false;
  if (error instanceof HttpFailure)
    return error.code === 'TRY_TIMEOUT' && matched?.rule.retry !== undefined;
  if (!(error instanceof UpstreamError)) return false;
  // a route that wants tries repeated has said that its requests may be
  if (error.kind === 'reset') return matched?.rule.retry !== undefined;
  return error.kind === 'connect' || error.kind === 'refused-stream';
}

/** By what the port says; where it says nothing the client's own version is passed on. */
function versionFor({ backend, version, grpc }: Outgoing): 'http1' | 'http2' {
  if (grpc) return 'http2';
  const said = backend.kind === 'service' ? backend.port.appProtocol : 'unknown';
  if (said === 'http2' || said === 'grpc') return 'http2';
  return said === 'http11' ? 'http1' : version;
}

const FAILURE_OF = {
  connect: 'UPSTREAM_CONNECT',
  reset: 'UPSTREAM_RESET',
  'refused-stream': 'UPSTREAM_UNPROCESSED',
  protocol: 'UPSTREAM_PROTOCOL',
} as const;

function failureOf(cause: unknown): HttpFailure {
  if (!(cause instanceof UpstreamError)) return httpFailureOf(cause);
  return new HttpFailure(FAILURE_OF[cause.kind], cause.message, { cause });
}
