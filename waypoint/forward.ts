// One request to one of a backend's endpoints, and to another when the first could not take it. Called by serve.ts with a
// request as it shall leave. Invariant: what may have been processed is not sent again unless it is safe to, and never
// beyond the budget of its service.

import { HttpFailure } from '../mesh/http-failures.ts';
import type { HeaderList, HttpRequest } from '../mesh/http-request.ts';
import type { Matched } from '../mesh/match-route.ts';
import { sessionLine, sessionOf } from '../mesh/persistent-session.ts';
import type { Service } from '../mesh/service.ts';
import type { Hedging, TrafficSettings } from '../mesh/traffic-policy.ts';
import { Attempt, type AttemptEnd, type AttemptParts } from './attempt.ts';
import type { Destination, Inbound } from './inbound.ts';
import { type PickParts, Way } from './pick.ts';
import { hashKeyOf } from './resilience/balancing/hash-key.ts';
import { type Deadline, remainingMs } from './resilience/deadline.ts';
import { Hedger } from './resilience/hedge.ts';
import { race } from './resilience/race.ts';
import type { Release } from './resilience/release.ts';
import {
  decideRetry,
  type RetryDecision,
  retriesOfRoute,
  retryWaits,
  type TryOutcome,
} from './resilience/retry-policy.ts';
import type { RequestTrail } from './telemetry/request-trail.ts';
import type { WaypointEvents } from './telemetry/waypoint-events.ts';
import type { ReplayBody } from './upstream/replay-body.ts';
import type { UpstreamRequest, UpstreamResponse } from './upstream/upstream.ts';

export type Outgoing = {
  readonly inbound: Inbound;
  readonly backend: Destination;
  /** As it was matched and edited. */
  readonly http: HttpRequest;
  readonly request: Omit<UpstreamRequest, 'onConnection' | 'announced'>;
  readonly body: ReplayBody | undefined;
  /** What the client speaks, where the backend does not say. */
  readonly version: 'http1' | 'http2';
  /** Whatever the port says: gRPC is HTTP/2. */
  readonly grpc: boolean;
  readonly matched: Matched | undefined;
  readonly settings: TrafficSettings;
  readonly deadline: Deadline;
  readonly trail: RequestTrail;
};

export type ForwardSteps = AttemptParts & {
  readonly pick: PickParts;
  readonly random: () => number;
  readonly events: Pick<WaypointEvents, 'count'>;
  /** One for each hedging section, with what it has seen. */
  readonly hedgers: WeakMap<Hedging, Hedger>;
};

export type Forwarded = {
  readonly response: UpstreamResponse;
  /** What the answer is to carry besides: cookies that keep the client in place. */
  readonly lines: HeaderList;
  readonly attempt: Attempt;
  readonly latencyMs: number;
  readonly grpcStatus: number | undefined;
  /** Gives back what the request held; to be called once it has ended. */
  readonly release: Release;
};

/** @throws HttpFailure, or `signal.reason` */
export async function forward(
  outgoing: Outgoing,
  steps: ForwardSteps,
  signal: AbortSignal,
): Promise<Forwarded> {
  const { backend, inbound, settings, matched, http } = outgoing;
  const { loadBalancing } = settings;
  const way = new Way(backend, inbound, loadBalancing, steps.pick);
  const persistence = matched?.rule.sessionPersistence;
  const key = hashKeyOf(loadBalancing.hash, http, inbound.source, steps.random);
  const admitted = way.upstream?.circuit.request();
  if (admitted?.admitted === false) {
    const service = serviceOf(backend);
    steps.events.count('limit', admitted.limit, service);
    throw new HttpFailure(
      'UPSTREAM_OVERFLOW',
      `${admitted.limit} of ${service?.hostname} is reached`,
    );
  }
  const budget = way.upstream?.budget(settings.retries);
  const releases: (Release | undefined)[] = [admitted?.release, budget?.request()];
  const release = (): void => {
    for (const one of releases) one?.();
  };
  try {
    const now = steps.clock.now();
    const session =
      persistence && sessionOf(persistence, http, now, (workload) => way.has(workload));
    const begin = (number: number): Attempt =>
      attemptAt(way, { outgoing, number, hash: key.hash, keep: session?.workload }, steps, signal);
    const hold = (retry: Release): void => void releases.push(retry);
    const end = await withRetries(outgoing, { way, begin, budget, hold }, steps, signal);
    const line = persistence && sessionLine(persistence, session, end.attempt.uid, http, now);
    const cookie = key.setCookie;
    const lines: HeaderList = [
      ...(line === undefined ? [] : [line]),
      ...(cookie === undefined ? [] : [['set-cookie', cookie] as const]),
    ];
    return { ...end, lines, release };
  } catch (error) {
    release();
    throw error;
  }
}

type Answered = Extract<AttemptEnd, { kind: 'answered' }>;
type Tries = {
  readonly way: Way;
  readonly begin: (number: number) => Attempt;
  readonly budget: { retry(): Release | undefined } | undefined;
  /** Takes over what is to be given back when the request has ended. */
  readonly hold: (release: Release) => void;
};

async function withRetries(
  outgoing: Outgoing,
  tries: Tries,
  steps: ForwardSteps,
  signal: AbortSignal,
): Promise<Answered> {
  const { settings, matched, body, http, deadline, trail } = outgoing;
  const policy = retriesOfRoute(matched?.rule.retry, settings.retries);
  const waits = retryWaits(policy, steps.random);
  const service = serviceOf(outgoing.backend);
  let retried: Release = () => {};
  for (let made = 1; ; made++) {
    const end = await hedged(outgoing, tries, made, steps);
    if (signal.aborted) {
      if (end.kind === 'answered') end.attempt.cancel();
      throw signal.reason;
    }
    const waitMs = waits.next();
    const decision = whatNext(end, {
      policy,
      method: http.method,
      codesOfRoute: matched?.rule.retry !== undefined,
      responseForwarded: false,
      bodyReplayable: body === undefined || body.replayable,
      triesMade: made,
      remainingMs: remainingMs(deadline, steps.clock.monotonic()),
      waitMs,
    });
    if (!decision.retry) {
      if (decision.reason === 'attempts' && policy.attempts > 0) trail.note('URX');
      return answerOf(end);
    }
    const granted = takeRetry(tries);
    if (typeof granted === 'string') {
      steps.events.count('retry_denied', granted, service);
      trail.note('URX');
      return answerOf(end);
    }
    // of those at once: until it is this request's end, or another one's turn
    retried();
    retried = granted;
    tries.hold(granted);
    if (end.kind === 'answered') end.attempt.cancel();
    steps.events.count('retry', String(decision.because), service);
    await steps.clock.sleep(waitMs, signal);
  }
}

/** The try's end, or that of the fastest when more than one was sent. */
function hedged(
  { settings, http, body, deadline, backend }: Outgoing,
  { begin, budget }: Tries,
  made: number,
  { hedgers, clock, events }: ForwardSteps,
): Promise<AttemptEnd> {
  const first = begin(made);
  const policy = settings.hedging;
  if (policy === undefined) return first.end;
  const hedger = hedgers.get(policy) ?? new Hedger(policy);
  hedgers.set(policy, hedger);
  return race<AttemptEnd>(first, {
    clock,
    nextAfterMs: (runs) => {
      const decision = hedger.decide({
        method: http.method,
        bodyReplayable: body === undefined,
        extra: runs - 1,
        responseForwarded: false,
        remainingMs: remainingMs(deadline, clock.monotonic()),
      });
      return decision.hedge ? decision.afterMs : undefined;
    },
    begin: (runs) => {
      const granted = budget?.retry();
      if (budget !== undefined && granted === undefined) return undefined;
      const extra = begin(made + runs);
      events.count('hedge', policy.after.by, serviceOf(backend));
      void extra.end.then(granted, granted);
      return extra;
    },
    isGood: (end) => {
      if (end.kind === 'answered') hedger.saw(end.latencyMs);
      return end.kind === 'answered' && end.response.status < 500;
    },
  });
}

function attemptAt(
  way: Way,
  how: {
    readonly outgoing: Outgoing;
    readonly number: number;
    readonly hash: number | undefined;
    readonly keep: string | undefined;
  },
  steps: ForwardSteps,
  signal: AbortSignal,
): Attempt {
  const { outgoing, number, hash, keep } = how;
  const { inbound, request, trail, deadline, matched, settings } = outgoing;
  const limitMs = matched?.rule.backendTimeoutMs ?? settings.timeouts.perTryMs;
  return new Attempt(
    {
      target: way.next(hash, keep),
      upstream: way.upstream,
      request: { ...request, onConnection: () => {} },
      version: versionFor(outgoing),
      from: inbound.remote,
      trail,
      number,
      deadline,
      perTryMs: limitMs === 0 ? undefined : limitMs,
    },
    steps,
    signal,
  );
}

function whatNext(
  end: AttemptEnd,
  question: Omit<Parameters<typeof decideRetry>[0], 'outcome' | 'sent'>,
): RetryDecision {
  const outcome: TryOutcome | undefined =
    end.kind === 'failed'
      ? end.outcome
      : { kind: 'response', status: end.response.status, grpcStatus: end.grpcStatus };
  if (outcome === undefined) return { retry: false, reason: 'condition' };
  const sent = outcome.kind !== 'connect-failure' && outcome.kind !== 'refused-stream';
  return decideRetry({ ...question, outcome, sent });
}

/** Why there is no room for another, or how to give its room back. */
function takeRetry({ way, budget }: Tries): Release | 'budget' | 'limit' {
  const granted = budget?.retry();
  if (budget !== undefined && granted === undefined) return 'budget';
  const place = way.upstream?.circuit.retry();
  if (place?.admitted === false) {
    granted?.();
    return 'limit';
  }
  return () => {
    granted?.();
    place?.release();
  };
}

/** @throws HttpFailure */
function answerOf(end: AttemptEnd): Answered {
  if (end.kind === 'answered') return end;
  throw end.failure;
}

function serviceOf(backend: Destination): Service | undefined {
  return backend.kind === 'service' ? backend.service : undefined;
}

/** By what the port says; where it says nothing the client's own version is passed on. */
function versionFor({ backend, version, grpc }: Outgoing): 'http1' | 'http2' {
  if (grpc) return 'http2';
  const said = backend.kind === 'service' ? backend.port.appProtocol : 'unknown';
  if (said === 'http2' || said === 'grpc') return 'http2';
  return said === 'http11' ? 'http1' : version;
}
