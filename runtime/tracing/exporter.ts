// Spans that have ended, on their way to a collector: gathered in batches, sent one at a time. Used by tracing.ts. Invariants:
// nobody who ends a span waits or fails because of the collector, the queue is bounded, and every span that does not arrive
// is counted with its reason.

import {
  type Attributes,
  decodeSpansAnswer,
  encodeSpans,
  type SpanRecord,
} from '../../wire/otlp.ts';
import { backoff } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Post } from './post.ts';

/** Some seconds of a busy proxy at the usual sampling; 4 MB of memory at most. The OpenTelemetry default. */
export const MAX_QUEUED_SPANS = 2048;
/** A quarter of it: a full queue is sent in four posts. The OpenTelemetry default. */
export const BATCH_SPANS = 512;
/** How long a lone span waits for company. The OpenTelemetry default. */
export const BATCH_MS = 5000;
/** A collector that takes longer is as good as away. The OTLP default. */
const POST_TIMEOUT_MS = 10_000;
/** The tries of one batch span about half a minute: long enough for a collector that restarts. */
const MAX_TRIES = 5;
const BACKOFF = { initialMs: 1000, maxMs: 16_000 };
/** What a collector may ask us to wait; meanwhile the queue fills. */
const MAX_RETRY_AFTER_MS = 60_000;
/** For what is still here when the process ends. */
const CLOSE_MS = 3000;

/** OTLP over HTTP, "Retryable Response Codes". */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export type DropReason = 'queue_full' | 'unreachable' | 'refused' | 'rejected' | 'closing';

type Parts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly post: Post;
  readonly random?: () => number;
};

export class SpanExporter {
  readonly #parts: Parts;
  readonly #resource: Attributes;
  readonly #dropped: { inc(labels: { reason: DropReason }, by: number): void };
  readonly #exported: { inc(labels: Record<string, never>, by: number): void };
  readonly #closing = new AbortController();
  #queue: SpanRecord[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  /** Said once, until a batch arrives again. */
  #toldOfTrouble = false;
  #closed = false;

  constructor(parts: Parts, settings: { readonly resource: Attributes }) {
    this.#parts = parts;
    this.#resource = settings.resource;
    const { metrics } = parts;
    this.#exported = metrics.counter({
      name: 'ambit_trace_spans_exported_total',
      help: 'Spans that the collector took',
    });
    this.#dropped = metrics.counter({
      name: 'ambit_trace_spans_dropped_total',
      help: 'Spans that did not reach the collector',
      labels: ['reason'],
    });
    metrics.collectedGauge(
      { name: 'ambit_trace_spans_queued', help: 'Spans that wait to be sent' },
      () => [{ labels: {}, value: this.#queue.length }],
    );
  }

  add(span: SpanRecord): void {
    if (this.#closed) return this.#drop('closing', 1);
    if (this.#queue.length >= MAX_QUEUED_SPANS) return this.#drop('queue_full', 1);
    this.#queue.push(span);
    if (this.#sending !== undefined) return;
    if (this.#queue.length >= BATCH_SPANS) this.#send();
    else this.#timer ??= this.#parts.clock.timer(BATCH_MS, () => this.#send());
  }

  /** What is queued has some seconds to go out; the rest is counted as dropped. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const deadline = this.#parts.clock.timer(CLOSE_MS, () => this.#abort());
    while (this.#sending !== undefined || this.#queue.length > 0) {
      if (this.#sending === undefined) this.#send();
      await this.#sending;
    }
    deadline.cancel();
    this.#abort();
  }

  #abort(): void {
    this.#closing.abort(new Error('The process ends'));
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const batch = this.#queue.slice(0, BATCH_SPANS);
    this.#queue = this.#queue.slice(BATCH_SPANS);
    this.#sending = this.#deliver(batch).then(() => {
      this.#sending = undefined;
      if (this.#queue.length === 0) return;
      if (this.#queue.length >= BATCH_SPANS) this.#send();
      else if (!this.#closed) {
        this.#timer = this.#parts.clock.timer(BATCH_MS, () => this.#send());
      }
    });
  }

  /** Never rejects: whatever happens to the batch is counted. */
  async #deliver(batch: readonly SpanRecord[]): Promise<void> {
    const signal = this.#closing.signal;
    if (signal.aborted) return this.#drop('closing', batch.length);
    const { clock, random } = this.#parts;
    const pause = backoff(BACKOFF, random);
    try {
      const body = encodeSpans({ resource: this.#resource, spans: batch });
      for (let tries = 1; ; tries++) {
        const outcome = await this.#post(body);
        if (outcome.kind === 'done') return this.#arrived(batch.length, outcome.body);
        if (outcome.kind === 'refused') return this.#failed('refused', batch.length, outcome.why);
        if (tries === MAX_TRIES || signal.aborted) {
          const reason = signal.aborted ? 'closing' : 'unreachable';
          return this.#failed(reason, batch.length, outcome.why);
        }
        const asked = Math.min(outcome.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
        await clock.sleep(Math.max(asked, pause.next()), signal);
      }
    } catch (error) {
      const reason = signal.aborted ? 'closing' : 'refused';
      this.#failed(reason, batch.length, error instanceof Error ? error.message : String(error));
    }
  }

  async #post(body: Uint8Array): Promise<Outcome> {
    const { clock, post } = this.#parts;
    const late = new AbortController();
    const timer = clock.timer(POST_TIMEOUT_MS, () =>
      late.abort(new Error(`no answer within ${POST_TIMEOUT_MS} ms`)),
    );
    try {
      const answer = await post(body, AbortSignal.any([late.signal, this.#closing.signal]));
      const { status } = answer;
      if (status >= 200 && status < 300) return { kind: 'done', body: answer.body };
      const why = `the collector answers ${status}`;
      if (!RETRYABLE.has(status)) return { kind: 'refused', why };
      return { kind: 'again', why, retryAfterMs: answer.retryAfterMs };
    } catch (error) {
      return { kind: 'again', why: reasonOf(error), retryAfterMs: undefined };
    } finally {
      timer.cancel();
    }
  }

  #arrived(spans: number, answer: Uint8Array): void {
    let left = { rejected: 0, message: '' };
    try {
      left = decodeSpansAnswer(answer);
    } catch {
      // 2xx is what counts; some collectors answer with JSON
    }
    const rejected = Math.min(left.rejected, spans);
    this.#exported.inc({}, spans - rejected);
    if (rejected > 0) return this.#failed('rejected', rejected, left.message);
    if (this.#toldOfTrouble) this.#parts.log.info('Traces reach their collector again');
    this.#toldOfTrouble = false;
  }

  #failed(reason: DropReason, spans: number, why: string): void {
    this.#drop(reason, spans);
    if (this.#toldOfTrouble) return;
    this.#toldOfTrouble = true;
    this.#parts.log.warn(
      'Cannot send traces: they are dropped until the collector takes them; check AMBIT_OTLP_ENDPOINT',
      { reason, why },
    );
  }

  #drop(reason: DropReason, spans: number): void {
    this.#dropped.inc({ reason }, spans);
  }
}

type Outcome =
  | { readonly kind: 'done'; readonly body: Uint8Array }
  | { readonly kind: 'refused'; readonly why: string }
  | {
      readonly kind: 'again';
      readonly why: string;
      readonly retryAfterMs: number | undefined;
    };

/** fetch says "fetch failed" and keeps the reason in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
