// Asks those whom CUSTOM policies, and external-auth filters of routes, leave the decision to: Envoy's ext_authz, gRPC or
// HTTP. Called by request-auth.ts. Invariants: what is not answered in time is the provider's `failOpen`, else no; a body
// is never told in part unless the provider allows it; connections go the way that is passed in, through the mesh.

import type { Duplex } from 'node:stream';
import type { ExternalAuthorizer } from '../../mesh/http-policy.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import { formatIdentity } from '../../mesh/identity.ts';
import type { RequestFacts } from '../../mesh/request-subject.ts';
import { orAborted } from '../../runtime/aborted.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import {
  CHECK_PATH,
  type CheckAnswer,
  decodeCheckResponse,
  encodeCheckRequest,
  type HeaderChange,
} from '../../wire/external-authorization.ts';
import type { ConnectToService } from '../upstream/connect-service.ts';
import { GrpcChannel } from './grpc-channel.ts';
import { applyChanges, changeQuery, namesMatch, removeHeaders } from './header-changes.ts';
import { checkByHttp } from './http-check.ts';
import { deniedByService, type Refusal, serviceFailed } from './refusal.ts';

/** The beginning of the request's body, which still goes on whole to the upstream. */
export type PeekBody = (
  maxBytes: number,
  signal: AbortSignal,
) => Promise<{ readonly bytes: Uint8Array; readonly complete: boolean }>;

export type Question = {
  readonly facts: RequestFacts;
  /** `x-request-id`. */
  readonly id: string;
  /** `HTTP/1.1` or `HTTP/2`. */
  readonly protocol: string;
  /** undefined: the request has none. */
  readonly body: PeekBody | undefined;
};

export type ExternalVerdict =
  | {
      readonly kind: 'passed';
      readonly request: HttpRequest;
      /** To be made in the answer to the client: applyChanges. */
      readonly answerChanges: readonly HeaderChange[];
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

export type ExternalParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly connect: ConnectToService;
};

export class ExternalAuthorization {
  readonly #parts: ExternalParts;
  readonly #channels = new Map<string, GrpcChannel>();

  constructor(parts: ExternalParts) {
    this.#parts = parts;
  }

  /** @throws `signal.reason` when the client has gone */
  async ask(
    provider: ExternalAuthorizer,
    question: Question,
    signal: AbortSignal,
  ): Promise<ExternalVerdict> {
    const { clock, log } = this.#parts;
    const { includeRequestBody: wanted, name, timeoutMs } = provider;
    const body =
      wanted === undefined || question.body === undefined
        ? undefined
        : await question.body(wanted.maxBytes, signal);
    if (body !== undefined && !body.complete && wanted?.allowPartial === false) {
      const detail = `Provider ${name}: the body is longer than ${wanted.maxBytes} bytes`;
      return {
        kind: 'refused',
        refusal: deniedByService({ status: 413, headers: [], body: '' }, detail),
      };
    }
    const late = new AbortController();
    const timer = clock.timer(timeoutMs, () =>
      late.abort(new Error(`no answer in ${timeoutMs} ms`)),
    );
    let answer: CheckAnswer;
    try {
      const limit = AbortSignal.any([late.signal, signal]);
      answer = await this.#check(provider, question, body?.bytes, limit);
    } catch (error) {
      signal.throwIfAborted();
      const why = late.signal.aborted ? (late.signal.reason as Error) : error;
      log.warn('Cannot ask an authorization service', { provider: name, error: why });
      return failed(
        provider,
        question.facts.request,
        why instanceof Error ? why.message : String(why),
      );
    } finally {
      timer.cancel();
    }
    return verdictOf(provider, question.facts.request, answer);
  }

  /** Closes the connections of providers that no policy names any more. */
  retain(providers: readonly ExternalAuthorizer[]): void {
    const wanted = new Set(providers.map(channelName));
    for (const [name, channel] of this.#channels) {
      if (wanted.has(name)) continue;
      this.#channels.delete(name);
      channel.close();
    }
  }

  close(): void {
    this.retain([]);
  }

  async #check(
    provider: ExternalAuthorizer,
    question: Question,
    body: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<CheckAnswer> {
    const { clock } = this.#parts;
    if (provider.protocol === 'http') {
      const bytes = await orAborted(this.#open(provider, signal), signal);
      return checkByHttp(provider, question.facts.request, body, bytes, signal);
    }
    const name = channelName(provider);
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      const open = (opening: AbortSignal): Promise<Duplex> => this.#open(provider, opening);
      channel = new GrpcChannel({ clock, open }, authorityOf(provider));
      this.#channels.set(name, channel);
    }
    const message = encodeCheckRequest(toldOf(provider, question, body, clock.now()));
    return decodeCheckResponse(await channel.call(CHECK_PATH, message, signal));
  }

  /** Nobody waits for one that comes too late. */
  async #open(provider: ExternalAuthorizer, signal: AbortSignal): Promise<Duplex> {
    const { service, port } = provider;
    const bytes = await this.#parts.connect({ service, port }, signal);
    if (signal.aborted) bytes.destroy();
    return bytes;
  }
}

function channelName({ service, port }: ExternalAuthorizer): string {
  return `${service}:${port}`;
}

/** `namespace/hostname` without its namespace. */
function authorityOf({ service, port }: ExternalAuthorizer): string {
  return `${service.slice(service.indexOf('/') + 1)}:${port}`;
}

function toldOf(
  provider: ExternalAuthorizer,
  { facts, id, protocol }: Question,
  body: Uint8Array | undefined,
  timeMs: number,
): Parameters<typeof encodeCheckRequest>[0] {
  const { request, source, destination, sni } = facts;
  const { includeRequestHeaders: named, includeAdditionalHeaders } = provider;
  const told =
    named.length === 0
      ? request.headers
      : request.headers.filter(([name]) => namesMatch(['authorization', ...named], name));
  const set = includeAdditionalHeaders.map(([name, value]) => {
    return { name: name.toLowerCase(), value, how: 'set' as const };
  });
  return {
    source: {
      ip: source.ip,
      port: 0,
      principal: source.identity === undefined ? '' : formatIdentity(source.identity),
    },
    destination: { ...destination, principal: '' },
    timeMs,
    id,
    method: request.method,
    scheme: request.scheme,
    host: request.authority,
    path: request.query === undefined ? request.path : `${request.path}?${request.query}`,
    protocol,
    headers: applyChanges(told, set),
    body:
      body === undefined
        ? undefined
        : { bytes: body, asBytes: provider.includeRequestBody?.asBytes === true },
    sni: sni ?? '',
  };
}

function verdictOf(
  provider: ExternalAuthorizer,
  request: HttpRequest,
  answer: CheckAnswer,
): ExternalVerdict {
  if (answer.kind === 'error') {
    return failed(provider, request, `it says of itself that it failed: ${answer.message}`);
  }
  if (answer.kind !== 'ok') {
    const status = answer.status >= 200 && answer.status <= 599 ? answer.status : 403;
    const headers = applyChanges([], answer.headers);
    const detail = `Provider ${provider.name} denies it: ${answer.message}`;
    const { body } = answer;
    return { kind: 'refused', refusal: deniedByService({ status, headers, body }, detail) };
  }
  const changed = applyChanges(request.headers, answer.requestHeaders);
  return {
    kind: 'passed',
    request: {
      ...request,
      headers: removeHeaders(changed, answer.removeHeaders),
      query: changeQuery(request.query, answer.setQuery, answer.removeQuery),
    },
    answerChanges: answer.responseHeaders,
  };
}

function failed(provider: ExternalAuthorizer, request: HttpRequest, why: string): ExternalVerdict {
  const { name, failOpen, statusOnError } = provider;
  if (failOpen) return { kind: 'passed', request, answerChanges: [] };
  return { kind: 'refused', refusal: serviceFailed(statusOnError, `Provider ${name}: ${why}`) };
}
