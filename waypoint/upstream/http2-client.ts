// HTTP/2 to endpoints, by prior knowledge: many requests on few connections, each a stream through the mesh. Called by
// endpoints.ts, for gRPC and for ports that say so.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  constants,
} from 'node:http2';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { Clock } from '../../runtime/clock.ts';
import { pairsOf, recordOf } from '../http/header-pairs.ts';
import { passableTrailers, withoutHopByHop } from '../http/headers.ts';
import type { Announced } from './dial.ts';
import type { Open } from './http1-client.ts';
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

/** What we assume before the endpoint has said so, and open at most. */
const MAX_STREAMS = 100;
/** Below what the tunnel's stream underneath takes in unread: its windows hold 4 MiB (see tunnel/windows.ts). */
const WINDOW_BYTES = 1024 * 1024;
/** Connections to one endpoint. */
const MAX_SESSIONS = 64;
/** Without a request, a connection is kept for so long. */
const IDLE_MS = 60_000;

type Session = { readonly h2: ClientHttp2Session; streams: number; served: number };

export class Http2Client {
  readonly #clock: Clock;
  readonly #open: Open;
  readonly #limits: UpstreamLimits | undefined;
  readonly #sessions = new Set<Session>();
  #dialling: Promise<Session> | undefined;

  constructor(clock: Clock, open: Open, limits: UpstreamLimits | undefined) {
    this.#clock = clock;
    this.#open = open;
    this.#limits = limits;
  }

  async send(outgoing: UpstreamRequest, signal: AbortSignal): Promise<UpstreamResponse> {
    const session = await this.#session(outgoing.announced, signal);
    return new Promise((resolve, reject) => {
      let stream: ClientHttp2Stream;
      const { body } = outgoing;
      try {
        stream = session.h2.request(headersOf(outgoing) as never, {
          endStream: body === undefined,
          waitForTrailers: body !== undefined,
        });
      } catch (cause) {
        reject(notSent(cause));
        return;
      }
      session.streams++;
      session.served++;
      outgoing.onConnection();
      let answered = false;
      let refusal: UpstreamError | undefined;
      let interim = 0;
      let trailers: HeaderList = [];
      let detach: (() => void) | undefined;
      const abort = (): void => stream.close(constants.NGHTTP2_CANCEL);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      stream.on('error', () => {
        // `close` follows
      });
      stream.once('close', () => {
        signal.removeEventListener('abort', abort);
        session.streams--;
        detach?.();
        this.#retire(session);
        if (answered) return;
        const { rstCode } = stream;
        refusal ??= new UpstreamError(kindOf(rstCode), `The request was reset (code ${rstCode})`);
        reject(signal.aborted ? signal.reason : refusal);
      });
      stream.once('trailers', (_headers: unknown, _flags: unknown, raw: readonly string[]) => {
        trailers = passableTrailers(pairsOf(raw));
      });
      stream.on('headers', (headers, _flags, raw) => {
        if (++interim > MAX_INTERIM) {
          refusal = tooManyInterim();
          stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
        } else if (Number(headers[':status']) === 103) outgoing.onHints(pairsOf(raw as never));
      });
      stream.once('response', (headers, flags, raw) => {
        const status = Number(headers[':status']);
        refusal = statusProblem(status);
        if (refusal !== undefined) {
          stream.close(constants.NGHTTP2_PROTOCOL_ERROR);
          return;
        }
        answered = true;
        resolve({
          status,
          headers: pairsOf(raw as never),
          // gRPC's "trailers only": the status would be none if more were to come
          headOnly: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
          body: stream,
          trailers: () => trailers,
          upgraded: undefined,
          reset: () => stream.close(constants.NGHTTP2_CANCEL),
        });
      });
      const start = (): void => {
        detach = body?.attach(stream, (list) => {
          stream.once('wantTrailers', () => {
            // none at all ends the request with an empty DATA frame
            stream.sendTrailers(recordOf(list));
          });
        });
      };
      const { onContinue } = outgoing;
      if (onContinue === undefined) start();
      else {
        let asked = true;
        const go = (): void => {
          if (!asked || stream.destroyed) return;
          asked = false;
          onContinue();
          start();
        };
        const patience = this.#clock.timer(CONTINUE_TIMEOUT_MS, go);
        stream.once('continue', go);
        stream.once('response', () => patience.cancel());
        stream.once('close', () => patience.cancel());
      }
    });
  }

  close(): void {
    for (const { h2 } of this.#sessions) h2.destroy();
  }

  async #session(announced: Announced, signal: AbortSignal): Promise<Session> {
    for (const session of this.#sessions) if (this.#takes(session)) return session;
    if (this.#sessions.size >= MAX_SESSIONS) {
      throw new UpstreamError(
        'connect',
        `All ${MAX_SESSIONS} connections to the endpoint are full`,
      );
    }
    this.#dialling ??= this.#dial(announced).finally(() => {
      this.#dialling = undefined;
    });
    const session = await this.#dialling;
    signal.throwIfAborted();
    return this.#takes(session) ? session : this.#session(announced, signal);
  }

  #takes(session: Session): boolean {
    const { circuit } = this.#limits ?? {};
    return (
      hasRoom(session) && (session.served === 0 || circuit?.mayReuse(session.served) !== false)
    );
  }

  async #dial(announced: Announced): Promise<Session> {
    let socket: Awaited<ReturnType<Open>>;
    try {
      socket = await this.#open(announced);
    } catch (cause) {
      if (cause instanceof UpstreamError) throw cause;
      throw new UpstreamError('connect', cause instanceof Error ? cause.message : String(cause), {
        cause,
      });
    }
    const h2 = connect('http://endpoint', {
      createConnection: () => socket as never,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      maxHeaderListPairs: 256,
      peerMaxConcurrentStreams: MAX_STREAMS,
      maxSettings: 32,
      // known to Node, not to its types: who sends a field twice is passed on as he is, as in HTTP/1
      strictSingleValueFields: false,
    } as ClientSessionOptions);
    const session: Session = { h2, streams: 0, served: 0 };
    h2.on('error', () => {
      // its streams tell their requests
    });
    h2.once('close', () => this.#sessions.delete(session));
    h2.on('goaway', () => this.#retire(session));
    h2.once('connect', () => h2.setLocalWindowSize(WINDOW_BYTES));
    const idleMs = this.#limits?.settings.timeouts.idleMs ?? IDLE_MS;
    h2.setTimeout(Math.min(idleMs, IDLE_MS), () => {
      if (session.streams === 0) h2.close();
    });
    this.#sessions.add(session);
    return session;
  }

  /** One that takes no more requests ends with its last one. */
  #retire(session: Session): void {
    if (session.h2.closed || session.h2.destroyed) this.#sessions.delete(session);
  }
}

function hasRoom({ h2, streams }: Session): boolean {
  if (h2.closed || h2.destroyed) return false;
  return streams < Math.min(MAX_STREAMS, h2.remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS);
}

function headersOf({ method, scheme, authority, target, headers }: UpstreamRequest): string[] {
  return [
    ':method',
    method,
    ':scheme',
    scheme,
    ':authority',
    authority,
    ':path',
    target,
    ...withoutHopByHop(headers).flat(),
  ];
}

/** The connection takes no more, or HTTP/2 has no words for the request: then no connection takes it. */
function notSent(cause: unknown): UpstreamError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /HEADER|INVALID_CHAR|TOKEN|PATH|PSEUDO/.test(code)
    ? new UpstreamError('protocol', `HTTP/2 cannot carry the request: ${code}`, { cause })
    : new UpstreamError('refused-stream', 'The connection takes no more requests', { cause });
}

function kindOf(code: number | undefined): UpstreamError['kind'] {
  if (code === constants.NGHTTP2_REFUSED_STREAM) return 'refused-stream';
  return code === constants.NGHTTP2_PROTOCOL_ERROR ? 'protocol' : 'reset';
}
