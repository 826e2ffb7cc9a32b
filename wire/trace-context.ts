// Trace headers: W3C Trace Context (`traceparent`, `tracestate`) and B3, in one header or several. Read from requests and
// from the CONNECT of a tunnel, and written on. Invariant: reading never throws; what cannot be read is as if it were not
// there, so that nobody's odd header costs a request.

import { type HeaderList, headerOf, joinedHeaderOf } from '../mesh/http-request.ts';

/** One span's place in its trace, as told to whoever is called next. */
export type TraceContext = {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly sampled: boolean;
  /** The caller's `tracestate`, untouched; empty: there is none. */
  readonly state: string;
};

/** The headers a caller speaks; whoever is called next is told in the same. */
export type TraceForm = 'w3c' | 'b3' | 'b3-multi';

export type IncomingTrace = {
  /** undefined: nothing was told, or only whether to sample. */
  readonly parent: Omit<TraceContext, 'sampled'> | undefined;
  /** undefined: left to us. */
  readonly sampled: boolean | undefined;
  readonly forms: readonly TraceForm[];
};

export const NO_TRACE: IncomingTrace = { parent: undefined, sampled: undefined, forms: [] };

/** Section 3.3.1.1 of Trace Context: at most 32 members; 512 characters must be carried on, more is our choice. */
const MAX_STATE_MEMBERS = 32;
const MAX_STATE_LENGTH = 4096;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const STATE_MEMBER =
  /^[a-z0-9][a-z0-9_*/@-]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const B3_SINGLE = /^([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?$/i;
const TRACE_ID = /^(?:[0-9a-f]{32}|[0-9a-f]{16})$/i;
const SPAN_ID = /^[0-9a-f]{16}$/i;
const ZEROS = /^0+$/;

const HEADER_NAMES: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
]);

/** W3C counts most, then B3 in one header, then in several: as most libraries have it. */
export function readTraceHeaders(headers: HeaderList): IncomingTrace {
  // most requests have none of them: one pass tells
  if (!headers.some(([name]) => HEADER_NAMES.has(name))) return NO_TRACE;
  const request = { headers };
  const state = readTracestate(joinedHeaderOf(request, 'tracestate'));
  // a traceparent that came twice is none (joined, it does not fit the pattern)
  const w3c = readTraceparent(joinedHeaderOf(request, 'traceparent'), state);
  const single = readB3(headerOf(request, 'b3'));
  const multi = readB3Multi(headers);
  const forms: TraceForm[] = [];
  if (w3c !== undefined) forms.push('w3c');
  if (single !== undefined) forms.push('b3');
  if (multi !== undefined) forms.push('b3-multi');
  const first = w3c ?? single ?? multi;
  return first === undefined ? NO_TRACE : { ...first, forms };
}

/** Of one `traceparent`, as a CONNECT carries it. */
export function readTraceparent(text: string | undefined, state = ''): IncomingTrace | undefined {
  const [, version, traceId = '', spanId = '', flags = '', more] =
    TRACEPARENT.exec(text ?? '') ?? [];
  if (version === undefined || version === 'ff') return undefined;
  // later versions may say more, this one may not (section 4.3)
  if (version === '00' && more !== undefined) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  const sampled = (Number.parseInt(flags, 16) & 1) === 1;
  return { parent: { traceId, spanId, state }, sampled, forms: ['w3c'] };
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** The request's headers with this span as the caller, in the forms it came in; W3C in any case. */
export function withTrace(
  headers: HeaderList,
  context: TraceContext,
  forms: readonly TraceForm[],
): HeaderList {
  const sampled = context.sampled ? '1' : '0';
  const kept: (readonly [string, string])[] = headers.filter(([name]) => !HEADER_NAMES.has(name));
  kept.push(['traceparent', formatTraceparent(context)]);
  if (context.state !== '') kept.push(['tracestate', context.state]);
  if (forms.includes('b3')) kept.push(['b3', `${context.traceId}-${context.spanId}-${sampled}`]);
  if (forms.includes('b3-multi')) {
    kept.push(['x-b3-traceid', context.traceId]);
    kept.push(['x-b3-spanid', context.spanId]);
    kept.push(['x-b3-sampled', sampled]);
  }
  return kept;
}

/** A new trace's context from 24 random bytes. */
export function newTrace(randomBytes: Uint8Array, sampled: boolean): TraceContext {
  const text = hex(randomBytes);
  return { traceId: text.slice(0, 32), spanId: text.slice(32, 48), sampled, state: '' };
}

/** A new span's identifier from 8 random bytes. */
export function newSpanId(randomBytes: Uint8Array): string {
  return hex(randomBytes);
}

/**
 * Whether a trace is among `ratio` of all: decided by the end of its own identifier, which is random (Trace Context level
 * 2), so that whoever decides by the same ratio decides alike.
 */
export function sampledByRatio(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-14), 16) < ratio * 2 ** 56;
}

/** Empty when it is not as it should be: the rest of the context holds without it (section 3.3). */
function readTracestate(text: string | undefined): string {
  if (text === undefined || text.length > MAX_STATE_LENGTH) return '';
  const members = text.split(',').map((member) => member.trim());
  const named = members.filter((member) => member !== '');
  if (named.length > MAX_STATE_MEMBERS) return '';
  return named.every((member) => STATE_MEMBER.test(member)) ? named.join(',') : '';
}

function readB3(text: string | undefined): IncomingTrace | undefined {
  if (text === undefined) return undefined;
  const forms: TraceForm[] = ['b3'];
  // a decision without a trace: who asks does not want to be followed, or does
  if (text === '0') return { parent: undefined, sampled: false, forms };
  if (text === '1' || text === 'd') return { parent: undefined, sampled: true, forms };
  const [, traceId, spanId, decision] = B3_SINGLE.exec(text) ?? [];
  const parent = b3Parent(traceId, spanId);
  if (parent === undefined) return undefined;
  return { parent, sampled: decision === undefined ? undefined : decision !== '0', forms };
}

function readB3Multi(headers: HeaderList): IncomingTrace | undefined {
  const of = (name: string): string | undefined => headerOf({ headers }, name);
  const parent = b3Parent(of('x-b3-traceid'), of('x-b3-spanid'));
  const sampled = of('x-b3-flags') === '1' ? true : b3Decision(of('x-b3-sampled'));
  if (parent === undefined && sampled === undefined) return undefined;
  return { parent, sampled, forms: ['b3-multi'] };
}

/** Old libraries write `true` and `false`. */
function b3Decision(text: string | undefined): boolean | undefined {
  if (text === '1' || text === 'true') return true;
  return text === '0' || text === 'false' ? false : undefined;
}

/** Short trace identifiers are filled up from the left (B3 specification). */
function b3Parent(traceId = '', spanId = ''): IncomingTrace['parent'] {
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return undefined;
  if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
  const whole = traceId.toLowerCase().padStart(32, '0');
  return { traceId: whole, spanId: spanId.toLowerCase(), state: '' };
}

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}
