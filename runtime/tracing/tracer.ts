// Begins spans and hands those that are sampled on when they end. Used by the node agent once a connection and by waypoints
// once a request and once a try. Who runs without a collector has no Tracer at all, which costs nothing. Invariant: whether
// a trace is sampled is decided once, by whoever began it; everybody after keeps to it.

import type { Attributes, SpanRecord } from '../../wire/otlp.ts';
import {
  type IncomingTrace,
  NO_TRACE,
  newSpanId,
  newTrace,
  sampledByRatio,
  type TraceContext,
} from '../../wire/trace-context.ts';
import type { Clock } from '../clock.ts';

const TRACE_BYTES = 24;
const SPAN_BYTES = 8;

export type SpanStart = {
  readonly kind: 'server' | 'client';
  /** Whose child it is; a new trace begins where nobody is. */
  readonly incoming?: IncomingTrace | undefined;
  /** For new traces, in place of the Tracer's own: 0 to 1. */
  readonly ratio?: number | undefined;
  /** A trace that this one came by without being of it. */
  readonly link?: TraceContext | undefined;
};

export type SpanEnd = {
  readonly name: string;
  readonly attributes: Attributes;
  /** Why it ended badly; undefined: it did not. */
  readonly failure?: string | undefined;
};

type Parts = {
  readonly clock: Clock;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly sink: { add(span: SpanRecord): void };
};

export class Tracer {
  readonly #parts: Parts;
  readonly #ratio: number;

  constructor(parts: Parts, settings: { readonly ratio: number }) {
    this.#parts = parts;
    this.#ratio = settings.ratio;
  }

  begin(start: SpanStart): Span {
    const incoming = start.incoming ?? NO_TRACE;
    const context = this.#contextOf(incoming, start.ratio ?? this.#ratio);
    return new Span(this.#parts, start, context, incoming.parent?.spanId);
  }

  #contextOf({ parent, sampled }: IncomingTrace, ratio: number): TraceContext {
    const { randomBytes } = this.#parts;
    if (parent === undefined) {
      const made = newTrace(randomBytes(TRACE_BYTES), false);
      return { ...made, sampled: sampled ?? sampledByRatio(made.traceId, ratio) };
    }
    // nobody records this span: whoever comes next is the child of the last that was
    if (!(sampled ?? sampledByRatio(parent.traceId, ratio))) return { ...parent, sampled: false };
    return { ...parent, spanId: newSpanId(randomBytes(SPAN_BYTES)), sampled: true };
  }
}

export class Span {
  /** What whoever is called next is told. */
  readonly context: TraceContext;
  readonly #parts: Parts;
  readonly #start: SpanStart;
  readonly #parentSpanId: string | undefined;
  readonly #startMs: number;
  readonly #startMonotonic: number;
  #ended = false;

  constructor(
    parts: Parts,
    start: SpanStart,
    context: TraceContext,
    parentSpanId: string | undefined,
  ) {
    this.#parts = parts;
    this.#start = start;
    this.context = context;
    this.#parentSpanId = parentSpanId;
    this.#startMs = parts.clock.now();
    this.#startMonotonic = parts.clock.monotonic();
  }

  /** As the parent of a span of this process. */
  asParent(): IncomingTrace {
    const { sampled, ...parent } = this.context;
    return { parent, sampled, forms: [] };
  }

  /** The first call counts. `describe` is called only when somebody will read it. */
  end(describe: () => SpanEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.context.sampled) return;
    const { name, attributes, failure } = describe();
    const { kind, link } = this.#start;
    this.#parts.sink.add({
      context: this.context,
      parentSpanId: this.#parentSpanId,
      name,
      kind,
      startMs: this.#startMs,
      endMs: this.#startMs + this.#parts.clock.monotonic() - this.#startMonotonic,
      attributes,
      failure,
      link: link?.sampled === true && link.traceId !== this.context.traceId ? link : undefined,
    });
  }
}
