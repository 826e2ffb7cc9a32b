// The access log of requests: one line each, in Istio's default text or with its JSON keys, and ours behind them. Told of
// each request by request-trail.ts; runtime/access-filter.ts decides which lines are written. Invariant: nothing a client
// sends can end a line or a quoted field.

import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import { type AccessFilter, AccessGate, EVERYTHING } from '../../runtime/access-filter.ts';
import type { Log } from '../../runtime/log.ts';
import type { EndedRequest, RequestObserver } from './request-facts.ts';

export type RequestLogSettings = {
  readonly filter?: AccessFilter;
  /** `text`: the line is the message; `json`: its parts are fields. */
  readonly format?: 'json' | 'text';
};

/** Envoy's for a value that is not there. */
const NONE = '-';
/** As long as headers that make sense; a client may send more. */
const MAX_FIELD = 1024;

export class RequestLog implements RequestObserver {
  readonly name = 'access log';
  readonly #log: Log;
  readonly #gate: AccessGate;
  readonly #asText: boolean;

  constructor(
    parts: { readonly log: Log; readonly random?: () => number },
    settings: RequestLogSettings = {},
  ) {
    this.#log = parts.log;
    this.#gate = new AccessGate(parts, settings.filter ?? EVERYTHING);
    this.#asText = settings.format === 'text';
  }

  ended(request: EndedRequest): void {
    const { facts, failure, status, flags } = request;
    const bad = failure !== undefined || status >= 500;
    const level = failure === undefined ? 'info' : 'error';
    const ends = { from: facts.sourceWorkload, to: facts.destinationWorkload ?? facts.service };
    if (!this.#gate.tells(level, ends, { flags: flags.split(','), bad })) return;
    if (this.#asText) this.#log[level](textOf(request));
    else this.#log[level]('request complete', fieldsOf(request));
  }
}

type Istio = Readonly<Record<string, string | number | null>>;

/** The keys of Istio's default JSON, in the order of its text format. */
function istioFields(request: EndedRequest): Istio {
  const { facts, counts, failure, endedBy } = request;
  return {
    start_time: new Date(request.startedAt).toISOString(),
    method: facts.method,
    path: facts.path.slice(0, MAX_FIELD),
    protocol: facts.protocol === 'http/1.1' ? 'HTTP/1.1' : 'HTTP/2',
    response_code: request.status,
    response_flags: request.flags,
    response_code_details:
      failure === undefined && endedBy === 'upstream'
        ? 'via_upstream'
        : (failure?.code.toLowerCase() ?? null),
    connection_termination_details: null,
    upstream_transport_failure_reason:
      failure !== undefined && (failure.flag === 'UF' || failure.flag === 'UC')
        ? failure.message.slice(0, MAX_FIELD)
        : null,
    bytes_received: counts.bytesReceived,
    bytes_sent: counts.bytesSent,
    duration: Math.round(request.durationMs),
    upstream_service_time: request.upstreamMs === undefined ? null : Math.round(request.upstreamMs),
    x_forwarded_for: bounded(facts.forwardedFor),
    user_agent: bounded(facts.userAgent),
    request_id: facts.requestId ?? null,
    authority: bounded(facts.authority),
    upstream_host: addressOf(facts.destination),
    upstream_cluster: clusterOf(request),
    upstream_local_address: null,
    downstream_local_address: addressOf(facts.local),
    downstream_remote_address: addressOf(facts.source),
    requested_server_name: null,
    route_name: facts.route === undefined ? null : `${facts.route.route}/${facts.route.rule}`,
  };
}

function fieldsOf(request: EndedRequest): Record<string, unknown> {
  const { facts, counts, failure } = request;
  const { sourceWorkload: from, destinationWorkload: to } = facts;
  return {
    ...istioFields(request),
    ...(facts.protocol === 'grpc' && {
      grpc_status: request.grpcStatus,
      request_messages: counts.requestMessages,
      response_messages: counts.responseMessages,
    }),
    attempts: request.tries,
    ended_by: request.endedBy,
    'src.workload': from?.name,
    'src.namespace': from?.namespace,
    'src.identity': facts.sourceIdentity && formatIdentity(facts.sourceIdentity),
    'dst.service': facts.service?.hostname,
    'dst.workload': to?.name,
    'dst.namespace': to?.namespace,
    ...(failure && { error: failure.message.slice(0, MAX_FIELD) }),
  };
}

function textOf(request: EndedRequest): string {
  const fields = istioFields(request);
  const plain = (key: string): string => String(fields[key] ?? NONE);
  const quoted = (...keys: string[]): string =>
    `"${keys.map((key) => escaped(plain(key))).join(' ')}"`;
  return [
    `[${plain('start_time')}]`,
    quoted('method', 'path', 'protocol'),
    plain('response_code'),
    plain('response_flags'),
    plain('response_code_details'),
    plain('connection_termination_details'),
    quoted('upstream_transport_failure_reason'),
    plain('bytes_received'),
    plain('bytes_sent'),
    plain('duration'),
    plain('upstream_service_time'),
    quoted('x_forwarded_for'),
    quoted('user_agent'),
    quoted('request_id'),
    quoted('authority'),
    quoted('upstream_host'),
    plain('upstream_cluster'),
    plain('upstream_local_address'),
    plain('downstream_local_address'),
    plain('downstream_remote_address'),
    plain('requested_server_name'),
    plain('route_name'),
  ].join(' ');
}

/** As JSON has it: quotes, backslashes and control characters, line ends of other alphabets too. */
function escaped(text: string): string {
  return text.replace(/["\\\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (one) =>
    one === '"' || one === '\\'
      ? `\\${one}`
      : `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function bounded(text: string | undefined): string | null {
  return text === undefined ? null : text.slice(0, MAX_FIELD);
}

function addressOf(address: IpPort | undefined): string | null {
  return address === undefined ? null : formatIpPort(address);
}

/** A waypoint's cluster of a service, as Istio names it. */
function clusterOf({ facts: { service, local } }: EndedRequest): string | null {
  if (service === undefined) return null;
  return `inbound-vip|${local?.port ?? ''}|http|${service.hostname};`;
}
