// Spans as OTLP carries them (OpenTelemetry protocol, traces, protobuf encoding). Written by runtime/tracing/exporter.ts;
// read back by whoever collects in tests. Invariant: bytes that are no such message give a DecodeError, nothing else.

import { Buffer } from 'node:buffer';
import { TRACES_PROTO } from './proto/traces.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';
import type { TraceContext } from './trace-context.ts';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export type SpanRecord = {
  readonly context: TraceContext;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: 'server' | 'client';
  /** Unix milliseconds, with fractions. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  /** Why it ended badly; undefined: it did not. */
  readonly failure: string | undefined;
  /** Another trace that this one came by. */
  readonly link: Pick<TraceContext, 'traceId' | 'spanId'> | undefined;
};

export type SpanBatch = {
  /** Who made the spans: `service.name` and what else names this process. */
  readonly resource: Attributes;
  readonly spans: readonly SpanRecord[];
};

/** Who wrote these spans, among the libraries of a process. */
const SCOPE = 'ambit';
const SAMPLED = 1;
const NANOS_PER_MICRO = 1000n;

type AnyValue = {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: number | { toString(): string };
  readonly doubleValue?: number;
};
type KeyValue = { readonly key: string; readonly value: AnyValue | null };
type WireSpan = {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly traceState: string;
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly kind: string;
  readonly startTimeUnixNano: { toString(): string };
  readonly endTimeUnixNano: { toString(): string };
  readonly attributes: readonly KeyValue[];
  readonly links: readonly { readonly traceId: Uint8Array; readonly spanId: Uint8Array }[];
  readonly status: { readonly message: string; readonly code: string } | null;
  readonly flags: number;
};
type WireRequest = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] } | null;
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string } | null;
      readonly spans: readonly WireSpan[];
    }[];
  }[];
};
type WireResponse = {
  readonly partialSuccess: { readonly rejectedSpans: number; readonly errorMessage: string } | null;
};

const root = loadProto(TRACES_PROTO);
const REQUEST = messageType<WireRequest>(root, 'ambit.otlp.ExportTraceServiceRequest');
const RESPONSE = messageType<WireResponse>(root, 'ambit.otlp.ExportTraceServiceResponse');

export function encodeSpans({ resource, spans }: SpanBatch): Uint8Array {
  return REQUEST.encode({
    resourceSpans: [
      {
        resource: { attributes: keyValues(resource) },
        scopeSpans: [{ scope: { name: SCOPE }, spans: spans.map(wireSpan) }],
      },
    ],
  });
}

/** @throws DecodeError */
export function decodeSpans(bytes: Uint8Array): SpanBatch[] {
  return REQUEST.decode(bytes).resourceSpans.map(({ resource, scopeSpans }) => ({
    resource: attributesOf(resource?.attributes ?? []),
    spans: scopeSpans.flatMap(({ spans }) => spans.map(readSpan)),
  }));
}

/** What the collector says of a batch it took: how many of its spans it left out, and why. @throws DecodeError */
export function decodeSpansAnswer(bytes: Uint8Array): { rejected: number; message: string } {
  const { partialSuccess } = RESPONSE.decode(bytes);
  return {
    rejected: partialSuccess?.rejectedSpans ?? 0,
    message: partialSuccess?.errorMessage ?? '',
  };
}

function wireSpan(span: SpanRecord): WireSpan {
  const { context, link, failure } = span;
  return {
    traceId: fromHex(context.traceId),
    spanId: fromHex(context.spanId),
    traceState: context.state,
    parentSpanId: fromHex(span.parentSpanId ?? ''),
    name: span.name.toWellFormed(),
    kind: span.kind === 'server' ? 'SPAN_KIND_SERVER' : 'SPAN_KIND_CLIENT',
    startTimeUnixNano: nanos(span.startMs),
    endTimeUnixNano: nanos(span.endMs),
    attributes: keyValues(span.attributes),
    links:
      link === undefined ? [] : [{ traceId: fromHex(link.traceId), spanId: fromHex(link.spanId) }],
    status:
      failure === undefined ? null : { message: failure.toWellFormed(), code: 'STATUS_CODE_ERROR' },
    flags: context.sampled ? SAMPLED : 0,
  };
}

function readSpan(span: WireSpan): SpanRecord {
  const link = span.links[0];
  const isServer = span.kind === 'SPAN_KIND_SERVER';
  if (!isServer && span.kind !== 'SPAN_KIND_CLIENT') {
    throw new DecodeError(`Cannot read a span of kind ${span.kind}: expected server or client`);
  }
  return {
    context: {
      traceId: toHex(span.traceId),
      spanId: toHex(span.spanId),
      sampled: (span.flags & SAMPLED) === SAMPLED,
      state: span.traceState,
    },
    parentSpanId: span.parentSpanId.length === 0 ? undefined : toHex(span.parentSpanId),
    name: span.name,
    kind: isServer ? 'server' : 'client',
    startMs: milliseconds(span.startTimeUnixNano),
    endMs: milliseconds(span.endTimeUnixNano),
    attributes: attributesOf(span.attributes),
    failure: span.status?.code === 'STATUS_CODE_ERROR' ? span.status.message : undefined,
    link: link && { traceId: toHex(link.traceId), spanId: toHex(link.spanId) },
  };
}

function keyValues(attributes: Attributes): KeyValue[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | boolean): AnyValue {
  if (typeof value === 'string') return { stringValue: value.toWellFormed() };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: value } : { doubleValue: value };
}

function attributesOf(pairs: readonly KeyValue[]): Attributes {
  const attributes: Record<string, string | number | boolean> = {};
  for (const { key, value } of pairs) {
    const { stringValue, boolValue, doubleValue, intValue } = value ?? {};
    const whole = intValue === undefined ? undefined : Number(intValue.toString());
    attributes[key] = stringValue ?? boolValue ?? doubleValue ?? whole ?? '';
  }
  return attributes;
}

/** Doubles hold today's time in microseconds, not in nanoseconds. */
function nanos(ms: number): { toString(): string } {
  return (BigInt(Math.max(0, Math.round(ms * 1000))) * NANOS_PER_MICRO).toString();
}

function milliseconds(nanos: { toString(): string }): number {
  return Number(BigInt(nanos.toString()) / NANOS_PER_MICRO) / 1000;
}

function fromHex(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
