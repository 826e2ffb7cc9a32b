// HTTP/1.1 to endpoints, over connections that are kept between requests. Called by endpoints.ts. Each connection is a
// stream through the mesh, made by the `open` that is passed in.

import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as startRequest,
} from 'node:http';
import type { Duplex } from 'node:stream';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import { pairsOf } from '../http/header-pairs.ts';
import { passableTrailers, withoutHopByHop } from '../http/headers.ts';
import { MAX_HEADER_BYTES } from '../http/http1-server.ts';
import type { StreamSocket } from '../http/stream-socket.ts';
import type { Announced } from './dial.ts';
import {
  CONTINUE_TIMEOUT_MS,
  MAX_INTERIM,
  statusProblem,
  tooManyInterim,
  UpstreamError,
  type UpstreamLimits,
  type UpstreamRequest,
  type UpstreamResponse,
} from './upstream.ts';

/** Resting connections that are kept to one endpoint. */
const MAX_FREE = 32;
/** Shorter than any server's own, so that a request seldom meets a connection that is just being closed. */
const FREE_FOR_MS = 4000;

const WANTED = Symbol('wanted');
type Wanted = { readonly announced: Announced; readonly signal: AbortSignal };

/** `announced`: on whose behalf it is opened. */
export type Open = (announced: Announced, signal?: AbortSignal) => Promise<StreamSocket>;

export class Http1Client {
  readonly #clock: Clock;
  readonly #agent: EndpointAgent;

  constructor(clock: Clock, open: Open, limits: UpstreamLimits | undefined) {
    this.#clock = clock;
    this.#agent = new EndpointAgent(open, limits);
  }

  send(outgoing: UpstreamRequest, signal: AbortSignal): Promise<UpstreamResponse> {
    return new Promise((resolve, reject) => {
      let request: ClientRequest;
      try {
        request = startRequest({
          agent: this.#agent,
          // handed on to createConnection: whoever has gone waits for no connection
          [WANTED]: { announced: outgoing.announced, signal } satisfies Wanted,
          method: outgoing.method,
          path: outgoing.target,
          headers: linesOf(outgoing),
          setHost: false,
          maxHeaderSize: MAX_HEADER_BYTES,
          insecureHTTPParser: false,
        } as RequestOptions);
      } catch (cause) {
        reject(new UpstreamError('protocol', messageOf(cause), { cause }));
        return;
      }
      request.maxHeadersCount = 0;
      let detach: (() => void) | undefined;
      const abort = (): void => void request.destroy(signal.reason as Error);
      const settle = (): void => signal.removeEventListener('abort', abort);
      signal.addEventListener('abort', abort, { once: true });
      const fail = (cause: Error): void => {
        settle();
        detach?.();
        const kind = connected ? (isProtocol(cause) ? 'protocol' : 'reset') : 'connect';
        reject(signal.aborted ? signal.reason : upstreamErrorOf(kind, cause));
      };
      let connected = false;
      request.once('socket', () => {
        connected = true;
        outgoing.onConnection();
      });
      request.on('error', fail);
      request.once('response', (response) => {
        response.once('close', () => {
          settle();
          detach?.();
        });
        const broken = responseProblem(response);
        if (broken === undefined) resolve(responseOf(response, undefined));
        else request.destroy(broken);
      });
      request.once('upgrade', (response, socket: Duplex, head) => {
        settle();
        if (outgoing.upgrade === undefined) {
          socket.destroy();
          reject(new UpstreamError('protocol', 'It changed the protocol, unasked'));
          return;
        }
        if (head.length > 0) socket.unshift(head);
        resolve(responseOf(response, socket));
      });
      let interim = 0;
      request.on('information', ({ statusCode, rawHeaders }) => {
        if (++interim > MAX_INTERIM) request.destroy(tooManyInterim());
        else if (statusCode === 103) outgoing.onHints(pairsOf(rawHeaders));
      });
      const { body, onContinue } = outgoing;
      const start = (): void => {
        if (body === undefined) request.end();
        else detach = body.attach(request, (list) => addTrailers(request, list));
      };
      if (onContinue === undefined) {
        // the head must not wait for the first byte of a body: an endpoint may want to answer before
        if (body !== undefined) request.flushHeaders();
        start();
      } else {
        let asked = true;
        const go = (): void => {
          if (!asked) return;
          asked = false;
          onContinue();
          start();
        };
        const patience = this.#clock.timer(CONTINUE_TIMEOUT_MS, go);
        request.once('continue', go);
        request.once('close', () => patience.cancel());
        // answered without the body: it will never come, and the connection is of no use any more
        request.once('response', (response) => {
          patience.cancel();
          if (asked) response.once('end', () => request.destroy());
        });
        request.flushHeaders();
      }
      if (signal.aborted) abort();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** One for each endpoint: every connection of it leads to the same place. */
class EndpointAgent extends Agent {
  readonly #open: Open;
  readonly #limits: UpstreamLimits | undefined;
  readonly #served = new WeakMap<Duplex, number>();

  constructor(open: Open, limits: UpstreamLimits | undefined) {
    super({ keepAlive: true, maxFreeSockets: MAX_FREE, scheduling: 'lifo', timeout: 0 });
    this.#open = open;
    this.#limits = limits;
  }

  override createConnection(
    options: object,
    done?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    void this.#connect((options as { [WANTED]: Wanted })[WANTED], done);
    return undefined;
  }

  async #connect(
    { announced, signal }: Wanted,
    done?: (error: Error | null, socket: Duplex) => void,
  ): Promise<void> {
    let socket: StreamSocket;
    try {
      socket = await this.#open(announced, signal);
    } catch (error) {
      done?.(error as Error, undefined as never);
      return;
    }
    done?.(null, socket);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    const kept = socket as StreamSocket;
    if (kept.destroyed || kept.readableEnded) return false;
    const served = (this.#served.get(kept) ?? 0) + 1;
    this.#served.set(kept, served);
    const circuit = this.#limits?.circuit;
    if (circuit?.mayReuse(served) === false || circuit?.isCrowded === true) return false;
    // Node 24 adds its listener twice for each request and takes one away
    kept.removeAllListeners('error');
    kept.on('error', ignoreError);
    const idleMs = this.#limits?.settings.timeouts.idleMs ?? FREE_FOR_MS;
    kept.setTimeout(Math.min(idleMs, FREE_FOR_MS), () => kept.destroy());
    // an answer that nobody asked for would be the next request's; and who has ended answers no more
    kept.on('data', drop).on('end', drop);
    return true;
  }

  override reuseSocket(socket: Duplex): void {
    const kept = socket as StreamSocket;
    kept.off('data', drop).off('end', drop);
    kept.setTimeout(0);
    kept.removeAllListeners('timeout');
  }
}

const BODILESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']);

/** HTTP/2 parts it in many for compression, HTTP/1 has one (RFC 9113 section 8.2.3). */
function withOneCookie(headers: HeaderList): HeaderList {
  const cookies = headers.filter(([name]) => name === 'cookie').map(([, value]) => value);
  if (cookies.length < 2) return headers;
  return [...headers.filter(([name]) => name !== 'cookie'), ['cookie', cookies.join('; ')]];
}

function drop(this: Duplex): void {
  this.destroy();
}

function linesOf({ method, authority, headers, upgrade, body }: UpstreamRequest): string[] {
  const lines = ['host', authority, ...withOneCookie(withoutHopByHop(headers, upgrade)).flat()];
  const sized = headers.some(([name]) => name === 'content-length');
  if (body !== undefined && !sized) lines.push('transfer-encoding', 'chunked');
  // else Node says that there is one, of chunks (RFC 9110 section 8.6)
  if (body === undefined && !sized && !BODILESS.has(method)) lines.push('content-length', '0');
  return lines;
}

function addTrailers(request: ClientRequest, list: HeaderList): void {
  if (list.length > 0)
    request.addTrailers(list.map(([name, value]): [string, string] => [name, value]));
}

/** What Node's parser lets pass of an answer and two readers could read differently. */
function responseProblem(response: IncomingMessage): UpstreamError | undefined {
  const { httpVersion, statusCode = 0, headers } = response;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return new UpstreamError('protocol', `It answers in HTTP/${httpVersion}`);
  }
  const coding = headers['transfer-encoding']?.trim().toLowerCase() ?? 'chunked';
  // taken off it would leave bytes that nobody can read
  if (coding !== 'chunked') {
    return new UpstreamError('protocol', `Its transfer-encoding is "${coding.slice(0, 50)}"`);
  }
  return statusProblem(statusCode);
}

function responseOf(response: IncomingMessage, upgraded: Duplex | undefined): UpstreamResponse {
  response.on('error', () => {
    // told by `close` before the end
  });
  return {
    status: response.statusCode ?? 502,
    headers: pairsOf(response.rawHeaders),
    headOnly: false,
    body: response,
    trailers: () => passableTrailers(pairsOf(response.rawTrailers)),
    upgraded,
    reset: () => void (upgraded ?? response).destroy(),
  };
}

function upstreamErrorOf(kind: UpstreamError['kind'], cause: Error): UpstreamError {
  return cause instanceof UpstreamError ? cause : new UpstreamError(kind, cause.message, { cause });
}

function isProtocol(cause: Error): boolean {
  return 'code' in cause && String(cause.code).startsWith('HPE_');
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
