// The record of one request, from its head to its end, ended exactly once: then whoever tells of requests is told (metrics,
// access log), and its span ends. Begun by serve.ts, added to by whoever serves it. Invariants: the end comes once,
// whoever brings it, and a fault in one observer touches neither the request nor the other observers.

import type { HttpFailure, NoteFlag, ResponseFlag } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import type { Tracer } from '../../runtime/tracing/tracer.ts';
import type { TunnelFields } from '../../tunnel/tunnel.ts';
import {
  type EndedBy,
  type EndedRequest,
  joinFlags,
  type RequestCounts,
  type RequestFacts,
  type RequestObserver,
} from './request-facts.ts';
import { ConnectionTrace, RequestSpan, type UpstreamSpan } from './request-spans.ts';

/** An observer that fails, fails for every request: once a minute says it. */
const FAULT_LOG_MS = 60_000;

export type RequestTrailParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** undefined: nobody collects traces. */
  readonly tracer: Tracer | undefined;
  readonly observers: readonly RequestObserver[];
};

/** What is known when a head has been read; the rest is learnt. */
export type BeginFacts = Pick<
  RequestFacts,
  'method' | 'authority' | 'path' | 'protocol' | 'source' | 'sourceIdentity' | 'sourceWorkload'
> &
  Partial<RequestFacts>;

export class RequestTrails {
  readonly #parts: RequestTrailParts;
  readonly #faults: { inc(labels: { observer: string }): void };
  #open = 0;
  #lastEnded = Promise.withResolvers<void>();
  #faultToldAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RequestTrailParts) {
    this.#parts = parts;
    parts.metrics.collectedGauge(
      { name: 'ambit_waypoint_requests_open', help: 'Requests that have begun and not ended' },
      () => [{ labels: {}, value: this.#open }],
    );
    this.#faults = parts.metrics.counter({
      name: 'ambit_waypoint_observer_faults_total',
      help: 'Requests that a part of telemetry could not tell of',
      labels: ['observer'],
    });
  }

  /** Once a tunnel stream: what its CONNECT says of a trace, for all requests that come in it. */
  connection(fields: TunnelFields): ConnectionTrace {
    return new ConnectionTrace(fields['traceparent'], this.#parts.tracer);
  }

  /**
   * `headers`: the request's own, for its trace. `sampling`: the part of new traces that is recorded, where an object of
   * the mesh says it; undefined: as the process is set.
   */
  begin(
    facts: BeginFacts,
    trace: {
      readonly headers: HeaderList;
      readonly connection?: ConnectionTrace | undefined;
      readonly sampling?: number | undefined;
    },
  ): RequestTrail {
    this.#open++;
    const span = new RequestSpan(this.#parts.tracer, trace);
    return new RequestTrail(this.#parts.clock, span, { ...NOTHING_KNOWN, ...facts }, (ended) =>
      this.#ended(ended),
    );
  }

  /** Resolves once no record is open. */
  async allEnded(): Promise<void> {
    while (this.#open > 0) await this.#lastEnded.promise;
  }

  #ended(request: EndedRequest): void {
    this.#open--;
    for (const observer of this.#parts.observers) {
      try {
        observer.ended(request);
      } catch (error) {
        this.#fault(observer.name, error);
      }
    }
    if (this.#open > 0) return;
    this.#lastEnded.resolve();
    this.#lastEnded = Promise.withResolvers();
  }

  #fault(observer: string, error: unknown): void {
    this.#faults.inc({ observer });
    const now = this.#parts.clock.monotonic();
    if (now - this.#faultToldAt < FAULT_LOG_MS) return;
    this.#faultToldAt = now;
    this.#parts.log.error('Cannot tell of a request', { observer, error });
  }
}

const NOTHING_KNOWN = {
  requestId: undefined,
  userAgent: undefined,
  forwardedFor: undefined,
  local: undefined,
  service: undefined,
  destinationWorkload: undefined,
  destinationIdentity: undefined,
  destination: undefined,
  route: undefined,
} as const;

type Life =
  | { readonly state: 'open' }
  /** The head of the answer is on its way. */
  | { readonly state: 'answered'; readonly status: number }
  | { readonly state: 'ended' };

/** Where a request may go from where it is. */
const STEPS: Readonly<Record<Life['state'], readonly Life['state'][]>> = {
  open: ['answered', 'ended'],
  answered: ['ended'],
  ended: [],
};

export class RequestTrail {
  /** Plain numbers, for whoever carries the bytes to add to. */
  readonly counts: RequestCounts = {
    bytesReceived: 0,
    bytesSent: 0,
    requestMessages: 0,
    responseMessages: 0,
  };
  readonly #clock: Clock;
  readonly #span: RequestSpan;
  readonly #report: (ended: EndedRequest) => void;
  readonly #startedAt: number;
  readonly #beganAt: number;
  readonly #flags = new Set<ResponseFlag>();
  #facts: RequestFacts;
  #tries = 0;
  #upstreamMs: number | undefined;
  #life: Life = { state: 'open' };

  /** Made by {@link RequestTrails.begin}. */
  constructor(
    clock: Clock,
    span: RequestSpan,
    facts: RequestFacts,
    report: (ended: EndedRequest) => void,
  ) {
    this.#clock = clock;
    this.#span = span;
    this.#facts = facts;
    this.#report = report;
    this.#startedAt = clock.now();
    this.#beganAt = clock.monotonic();
  }

  get facts(): RequestFacts {
    return this.#facts;
  }

  /** The head of an answer has gone to the client: there is no way back. */
  get isEnded(): boolean {
    return this.#life.state === 'ended';
  }

  get isAnswered(): boolean {
    return this.#life.state !== 'open';
  }

  get tries(): number {
    return this.#tries;
  }

  /** Adds what became known. */
  learn(facts: Partial<RequestFacts>): void {
    this.#facts = { ...this.#facts, ...facts };
  }

  /** Something to be told that is no failure: a delay was injected, tries ran out and the last answer went through. */
  note(flag: NoteFlag): void {
    this.#flags.add(flag);
  }

  /** A try at an endpoint begins; the last one's destination is the request's. */
  upstream(destination: UpstreamFacts): UpstreamTry {
    this.#tries++;
    this.learn(destination);
    return new UpstreamTry(this.#clock, this.#span.upstream(this.#tries), this.#facts, (ms) => {
      this.#upstreamMs = ms;
    });
  }

  /** The head of the answer goes to the client: ours, or the upstream's. Not for 1xx. */
  answered(status: number): void {
    this.#move({ state: 'answered', status });
  }

  /** The first call counts: what fails while closing comes later and changes nothing. */
  end(how: {
    readonly by: EndedBy;
    readonly failure?: HttpFailure | undefined;
    readonly grpcStatus?: number | undefined;
  }): void {
    const { by, failure, grpcStatus } = how;
    const status = this.#life.state === 'answered' ? this.#life.status : 0;
    if (!this.#move({ state: 'ended' })) return;
    if (failure !== undefined) this.#flags.add(failure.flag);
    const facts = this.#facts;
    const ended: EndedRequest = {
      facts,
      counts: this.counts,
      startedAt: this.#startedAt,
      durationMs: this.#clock.monotonic() - this.#beganAt,
      upstreamMs: this.#upstreamMs,
      tries: this.#tries,
      status,
      grpcStatus: facts.protocol === 'grpc' ? (grpcStatus ?? failure?.grpcStatus) : undefined,
      flags: joinFlags(this.#flags),
      failure,
      endedBy: by,
    };
    this.#span.end(ended);
    this.#report(ended);
  }

  /** The one gate: false when that step cannot be taken from here. */
  #move(to: Life): boolean {
    if (!STEPS[this.#life.state].includes(to.state)) return false;
    this.#life = to;
    return true;
  }
}

export type UpstreamFacts = Pick<
  RequestFacts,
  'service' | 'destinationWorkload' | 'destinationIdentity' | 'destination'
>;

/** One try at one endpoint, for its time and its span. */
export class UpstreamTry {
  /** For the CONNECT that opens a way to the endpoint; undefined: there is nothing to tell. */
  readonly traceparent: string | undefined;
  readonly #clock: Clock;
  readonly #span: UpstreamSpan;
  readonly #facts: RequestFacts;
  readonly #beganAt: number;
  readonly #tookMs: (ms: number) => void;

  constructor(clock: Clock, span: UpstreamSpan, facts: RequestFacts, tookMs: (ms: number) => void) {
    this.#clock = clock;
    this.#span = span;
    this.#facts = facts;
    this.#tookMs = tookMs;
    this.#beganAt = clock.monotonic();
    this.traceparent = span.traceparent;
  }

  /** The request's headers as this try sends them: with its span as the caller. */
  headers(headers: HeaderList): HeaderList {
    return this.#span.headers(headers);
  }

  /** The head of its answer is here. Returns how long that took. */
  firstByte(): number {
    const ms = this.#clock.monotonic() - this.#beganAt;
    this.#tookMs(ms);
    return ms;
  }

  /** The first call counts. */
  end(outcome: {
    readonly status?: number | undefined;
    readonly grpcStatus?: number | undefined;
    readonly failure?: HttpFailure | undefined;
  }): void {
    this.#span.end(this.#facts, outcome);
  }
}
