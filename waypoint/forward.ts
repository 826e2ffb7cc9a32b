// One request to one of a backend's endpoints, and to another when the first could not take it. Called by serve.ts with a
// request as it shall leave. Invariant: what may have been processed is not sent again unless it is safe to.

import { HttpFailure } from '../mesh/http-failures.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Asked, Inbound } from './inbound.ts';
import { type PickParts, pickTarget } from './pick.ts';
import type { Endpoints, Target } from './upstream/endpoints.ts';
import type { ReplayBody } from './upstream/replay-body.ts';
import { UpstreamError, type UpstreamRequest, type UpstreamResponse } from './upstream/upstream.ts';

/** After the first; the reference's default. */
const RETRIES = 2;

export type Outgoing = {
  readonly inbound: Inbound;
  readonly backend: Asked;
  readonly request: UpstreamRequest;
  readonly body: ReplayBody | undefined;
  /** What the client speaks, where the backend does not say. */
  readonly version: 'http1' | 'http2';
};

export type ForwardSteps = {
  readonly pick: PickParts;
  readonly endpoints: Endpoints;
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
  for (let attempt = 0; ; attempt++) {
    const target = targetFor(outgoing, steps, tried);
    tried.add(target.workload.uid);
    steps.onTry(target);
    const announced = { from: outgoing.inbound.remote, traceparent: outgoing.inbound.traceparent };
    const send = steps.endpoints.sender(target, versionFor(outgoing), announced);
    try {
      return await send(outgoing.request, signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (attempt >= RETRIES || !mayRepeat(error, outgoing)) throw failureOf(error);
    }
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

function mayRepeat(error: unknown, { body }: Outgoing): boolean {
  if (body?.replayable === false) return false;
  if (error instanceof UpstreamError) return error.kind === 'connect' || error.kind === 'refused-stream';
  return false;
}

/** By what the port says; where it says nothing the client's own version is passed on. */
function versionFor({ backend, version }: Outgoing): 'http1' | 'http2' {
  const said = backend.kind === 'service' ? backend.port.appProtocol : 'unknown';
  if (said === 'http2' || said === 'grpc') return 'http2';
  return said === 'http11' ? 'http1' : version;
}

const FAILURE_OF = {
  connect: 'UPSTREAM_CONNECT',
  reset: 'UPSTREAM_RESET',
  'refused-stream': 'UPSTREAM_RESET',
  protocol: 'UPSTREAM_PROTOCOL',
} as const;

function failureOf(cause: unknown): HttpFailure {
  if (cause instanceof HttpFailure) return cause;
  if (cause instanceof UpstreamError) {
    return new HttpFailure(FAILURE_OF[cause.kind], cause.message, { cause });
  }
  if (cause instanceof MeshError) {
    const none = cause.code === 'NO_HEALTHY_ENDPOINT';
    return new HttpFailure(none ? 'NO_HEALTHY_ENDPOINT' : 'UPSTREAM_CONNECT', cause.message, { cause });
  }
  return new HttpFailure('INTERNAL', String(cause), { cause });
}
