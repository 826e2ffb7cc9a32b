// The spans of a request: one for its stay in this waypoint, one for each try at an endpoint. Used by request-trail.ts. Where
// nobody collects traces nothing is read or made, and what came is carried on as it is.

import { formatIpPort } from '../../mesh/address.ts';
import type { HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import type { Span, SpanEnd, Tracer } from '../../runtime/tracing/tracer.ts';
import {
  formatTraceparent,
  type IncomingTrace,
  NO_TRACE,
  readTraceHeaders,
  readTraceparent,
  type TraceContext,
  type TraceForm,
  withTrace,
} from '../../wire/trace-context.ts';
import type { EndedRequest, RequestFacts } from './request-facts.ts';

/**
 * Requests of one connection that continue the trace of that connection. A connection may live for days, and no tracing
 * backend shows a trace of a million spans: later ones begin their own, with a link to it.
 */
export const MAX_REQUESTS_IN_CONNECTION_TRACE = 100;

/** What the CONNECT of a tunnel stream says of a trace: its other end made a span of the connection, or not. */
export class ConnectionTrace {
  /** As it came. */
  readonly traceparent: string | undefined;
  readonly #incoming: IncomingTrace | undefined;
  #continued = 0;

  constructor(traceparent: string | undefined, tracer: Tracer | undefined) {
    this.traceparent = traceparent;
    const incoming = tracer && readTraceparent(traceparent);
    // an unrecorded connection says nothing of the requests in it
    this.#incoming = incoming?.sampled === true ? incoming : undefined;
  }

  /** For a request that has no trace of its own. */
  next(): IncomingTrace {
    if (this.#incoming === undefined) return NO_TRACE;
    if (this.#continued === MAX_REQUESTS_IN_CONNECTION_TRACE) return NO_TRACE;
    this.#continued++;
    return this.#incoming;
  }

  /** For a request that is of another trace. */
  get link(): TraceContext | undefined {
    const parent = this.#incoming?.parent;
    return parent && { ...parent, sampled: true };
  }
}

export class RequestSpan {
  readonly #tracer: Tracer | undefined;
  readonly #span: Span | undefined;
  readonly #forms: readonly TraceForm[];
  readonly #connection: ConnectionTrace | undefined;

  constructor(
    tracer: Tracer | undefined,
    trace: {
      readonly headers: HeaderList;
      readonly connection?: ConnectionTrace | undefined;
      readonly sampling?: number | undefined;
    },
  ) {
    const { headers, connection, sampling } = trace;
    this.#tracer = tracer;
    this.#connection = connection;
    this.#forms = NO_TRACE.forms;
    if (tracer === undefined) return;
    const own = readTraceHeaders(headers);
    const incoming = own === NO_TRACE ? (connection?.next() ?? NO_TRACE) : own;
    this.#forms = own.forms;
    this.#span = tracer.begin({
      kind: 'server',
      incoming,
      ratio: sampling,
      link: connection?.link,
    });
  }

  /** A try at an endpoint, counted from 1. */
  upstream(attempt: number): UpstreamSpan {
    const span = this.#tracer?.begin({ kind: 'client', incoming: this.#span?.asParent() });
    return new UpstreamSpan(span, this.#forms, attempt, this.#connection?.traceparent);
  }

  end(request: EndedRequest): void {
    this.#span?.end(() => describeRequest(request));
  }
}

export class UpstreamSpan {
  readonly traceparent: string | undefined;
  readonly #span: Span | undefined;
  readonly #forms: readonly TraceForm[];
  readonly #attempt: number;

  constructor(
    span: Span | undefined,
    forms: readonly TraceForm[],
    attempt: number,
    carriedOn: string | undefined,
  ) {
    this.#span = span;
    this.#forms = forms;
    this.#attempt = attempt;
    this.traceparent = span === undefined ? carriedOn : formatTraceparent(span.context);
  }

  headers(headers: HeaderList): HeaderList {
    if (this.#span === undefined) return headers;
    return withTrace(headers, this.#span.context, this.#forms);
  }

  end(
    facts: RequestFacts,
    outcome: {
      readonly status?: number | undefined;
      readonly grpcStatus?: number | undefined;
      readonly failure?: HttpFailure | undefined;
    },
  ): void {
    this.#span?.end(() => describeTry(facts, this.#attempt, outcome));
  }
}

/** OpenTelemetry's conventions for gRPC servers: the other codes are answers that a client brought upon itself. */
const GRPC_SERVER_FAULTS: ReadonlySet<number> = new Set([2, 4, 12, 13, 14, 15]);

/** Names by OpenTelemetry's conventions for HTTP, and those that boards for Istio's proxies look for. */
function describeRequest(request: EndedRequest): SpanEnd {
  const { facts, failure, status, grpcStatus } = request;
  return {
    name: spanName(facts),
    attributes: {
      ...commonAttributes(facts, { status, grpcStatus }),
      'client.address': formatIpPort(facts.source),
      'user_agent.original': facts.userAgent ?? '',
      'guid:x-request-id': facts.requestId ?? '',
      response_flags: request.flags,
      'ambit.route': facts.route === undefined ? '' : `${facts.route.route}/${facts.route.rule}`,
      'ambit.ended_by': request.endedBy,
      'istio.source_workload': facts.sourceWorkload?.workloadName ?? '',
      'istio.source_namespace': facts.sourceWorkload?.namespace ?? '',
      'istio.source_principal':
        facts.sourceIdentity === undefined ? '' : formatIdentity(facts.sourceIdentity),
    },
    failure: failureOf(failure, status >= 500 || GRPC_SERVER_FAULTS.has(grpcStatus ?? 0)),
  };
}

function describeTry(
  facts: RequestFacts,
  attempt: number,
  outcome: {
    readonly status?: number | undefined;
    readonly grpcStatus?: number | undefined;
    readonly failure?: HttpFailure | undefined;
  },
): SpanEnd {
  const { status = 0, grpcStatus, failure } = outcome;
  return {
    name: spanName(facts),
    attributes: {
      ...commonAttributes(facts, { status, grpcStatus }),
      'network.peer.address':
        facts.destination === undefined ? '' : formatIpPort(facts.destination),
      'http.request.resend_count': attempt - 1,
    },
    failure: failureOf(failure, status >= 400 || (grpcStatus ?? 0) !== 0),
  };
}

function commonAttributes(
  facts: RequestFacts,
  answer: { readonly status: number; readonly grpcStatus: number | undefined },
): Record<string, string | number> {
  const at = facts.path.indexOf('?');
  const { status, grpcStatus } = answer;
  return {
    'http.request.method': facts.method,
    // without the query, which may hold what is nobody's business
    'url.path': at < 0 ? facts.path : facts.path.slice(0, at),
    'server.address': facts.authority,
    'network.protocol.version': facts.protocol === 'http/1.1' ? '1.1' : '2',
    ...(status > 0 && { 'http.response.status_code': status }),
    ...(grpcStatus !== undefined && { 'rpc.system': 'grpc', 'rpc.grpc.status_code': grpcStatus }),
    'istio.destination_service': facts.service?.hostname ?? '',
    'istio.destination_workload': facts.destinationWorkload?.workloadName ?? '',
    'istio.destination_namespace': facts.destinationWorkload?.namespace ?? '',
  };
}

/** Few names, whatever a client sends: the service, not the path; a method of gRPC is one of few. */
function spanName({ protocol, path, method, service }: RequestFacts): string {
  if (protocol === 'grpc') return path.slice(1);
  return service === undefined ? method : `${method} ${service.hostname}`;
}

function failureOf(failure: HttpFailure | undefined, bad: boolean): string | undefined {
  if (failure !== undefined) return `${failure.code}: ${failure.message}`;
  return bad ? '' : undefined;
}
