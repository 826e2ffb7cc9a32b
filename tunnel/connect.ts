// The asking end of a tunnel: TLS 1.3 with our certificate over a connected socket, the peer's identity verified, HTTP/2
// on top. Called by pool.ts and by the waypoint. Resolves only after the peer's SETTINGS, the first proof that it took us.

import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Credentials, TUNNEL_PROTOCOLS } from './contexts.ts';
import { Lifecycle } from './lifecycle.ts';
import { Traffic, watchOverhead } from './overhead.ts';
import {
  CLIENT_MAX_STREAMS,
  CLIENT_OPTIONS,
  fieldsOf,
  isUnprocessed,
  keepAlive,
  overspent,
  type StreamOwner,
  sessionFault,
  tunnelStream,
} from './session.ts';
import { ignoreError } from './socket.ts';
import type { PeerTrust } from './trust.ts';
import { type ConnectHead, type Tunnel, type TunnelStream, UnprocessedError } from './tunnel.ts';
import {
  codeOfVerification,
  revokedPeer,
  type VerifiedPeer,
  verifyAnsweringPeer,
} from './verify.ts';
import { askingWindow } from './windows.ts';

/** TLS and SETTINGS together; the TCP connect before has its own limit. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The peer gives its application 10 s to accept; a waypoint or a gateway before it takes the same again. */
const ANSWER_TIMEOUT_MS = 20_000;
const NOT_COUNTED = { bytesRead: 0, bytesWritten: 0 };

export type ConnectParts = { readonly clock: Clock; readonly credentials: Credentials };

/**
 * Owns `socket` from the call on: a connected one, or a stream of another tunnel. `name` is the peer in messages.
 * @throws MeshError TLS_FAILURE, CERT_EXPIRED, CERT_NOT_YET_VALID, CERT_REVOKED, PEER_IDENTITY_MISMATCH, H2_HANDSHAKE_FAILURE, or `signal.reason`
 */
export async function connectTunnel(
  parts: ConnectParts,
  socket: Duplex,
  settings: { readonly name: string; readonly expected: readonly Identity[] },
  signal?: AbortSignal,
): Promise<Tunnel> {
  const cut = new AbortController();
  const abort = (): void => {
    cut.abort(signal?.reason);
    socket.destroy();
  };
  const timer = parts.clock.timer(HANDSHAKE_TIMEOUT_MS, () => {
    cut.abort(
      new MeshError(
        'TLS_FAILURE',
        `Cannot open a tunnel to ${settings.name}: no handshake within ${HANDSHAKE_TIMEOUT_MS / 1000} s`,
      ),
    );
    socket.destroy();
  });
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    // a tunnel has no half: when the peer's side ends, all of it does
    if (socket instanceof Socket) socket.allowHalfOpen = false;
    const { clock, credentials } = parts;
    const tls = await encrypt(credentials, socket, settings.name);
    const peer = verifyAnsweringPeer(tls.getPeerX509Certificate(), settings.expected, {
      trust: credentials.trust,
      now: clock.now(),
    });
    const session = await startSession(tls, askingWindow(socket), settings.name);
    // a stream of another tunnel is counted there
    const wire = socket instanceof Socket ? socket : NOT_COUNTED;
    return new ClientTunnel(parts, session, wire, peer, settings.name);
  } catch (error) {
    socket.destroy();
    throw cut.signal.aborted ? cut.signal.reason : error;
  } finally {
    timer.cancel();
    signal?.removeEventListener('abort', abort);
  }
}

function encrypt(credentials: Credentials, socket: Duplex, name: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connectTls({
      socket,
      secureContext: credentials.context,
      ALPNProtocols: TUNNEL_PROTOCOLS,
      // no server name is sent, and none is checked: the peer is known by its SPIFFE ID
      checkServerIdentity: () => undefined,
      rejectUnauthorized: true,
    });
    const fail = (cause?: Error): void => {
      const why = cause?.message ?? 'the peer closed the connection';
      const code = codeOfVerification((cause as NodeJS.ErrnoException | undefined)?.code);
      reject(new MeshError(code, `Cannot open a tunnel to ${name}: ${why}`, { cause }));
    };
    const onClose = (): void => fail();
    tls.on('error', ignoreError);
    tls.once('error', fail);
    tls.once('close', onClose);
    tls.once('secureConnect', () => {
      tls.off('error', fail);
      tls.off('close', onClose);
      if (tls.alpnProtocol === 'h2') resolve(tls);
      else fail(new Error('the peer does not speak h2'));
    });
  });
}

function startSession(
  tls: TLSSocket,
  windowBytes: number,
  name: string,
): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2('https://tunnel', {
      ...CLIENT_OPTIONS,
      createConnection: () => tls,
    });
    session.on('error', ignoreError);
    // In TLS 1.3 the peer looks at our certificate after our handshake is done: its refusal arrives here.
    const fail = (cause?: Error): void => {
      const code = isH2Error(cause) ? 'H2_HANDSHAKE_FAILURE' : 'TLS_FAILURE';
      const why =
        cause?.message ?? 'the peer closed the connection, it may have refused our certificate';
      session.destroy();
      reject(new MeshError(code, `Cannot open a tunnel to ${name}: ${why}`, { cause }));
    };
    const onClose = (): void => fail();
    session.once('error', fail);
    session.once('close', onClose);
    session.once('connect', () => session.setLocalWindowSize(windowBytes));
    session.once('remoteSettings', () => {
      session.off('error', fail);
      session.off('close', onClose);
      resolve(session);
    });
  });
}

function isH2Error(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && String(error.code).startsWith('ERR_HTTP2');
}

class ClientTunnel implements Tunnel {
  readonly ended: Promise<MeshError | undefined>;
  readonly #clock: Clock;
  readonly #peer: VerifiedPeer;
  readonly #session: ClientHttp2Session;
  readonly #name: string;
  readonly #lifecycle: Lifecycle;
  readonly #idleListeners: (() => void)[] = [];
  readonly #traffic = new Traffic();
  readonly #streams = new Set<TunnelStream>();

  constructor(
    parts: { readonly clock: Clock },
    session: ClientHttp2Session,
    wire: { readonly bytesRead: number; readonly bytesWritten: number },
    peer: VerifiedPeer,
    name: string,
  ) {
    this.#session = session;
    this.#clock = parts.clock;
    this.#peer = peer;
    this.#name = name;
    const ended = Promise.withResolvers<MeshError | undefined>();
    this.ended = ended.promise;
    const liveness = keepAlive(parts, session, () => {
      this.#end(
        new MeshError('TUNNEL_LOST', `Lost the tunnel to ${name}: no answer to PING for 20 s`),
      );
    });
    this.#lifecycle = new Lifecycle((_, to) => {
      if (to.state !== 'ended') return;
      liveness.stop();
      overhead.stop();
      ended.resolve(to.cause);
    });
    const overhead = watchOverhead(parts, wire, this.#traffic, () => this.#end(overspent(name)));
    session.on('error', (cause) => this.#end(sessionFault(cause, name)));
    session.on('close', () => this.#closed());
    session.on('goaway', () => this.#lifecycle.move({ state: 'draining' }));
  }

  get peer(): Identity {
    return this.#peer.identity;
  }

  get streams(): number {
    return this.#streams.size;
  }

  get available(): boolean {
    const allowed = this.#session.remoteSettings.maxConcurrentStreams ?? CLIENT_MAX_STREAMS;
    const limit = Math.min(CLIENT_MAX_STREAMS, allowed);
    return this.#lifecycle.is('open') && !this.#session.closed && this.#streams.size < limit;
  }

  async open(head: ConnectHead, signal?: AbortSignal): Promise<TunnelStream> {
    signal?.throwIfAborted();
    if (!this.available) throw this.#unprocessed();
    let stream;
    try {
      stream = this.#session.request(
        { ':method': 'CONNECT', ':authority': head.authority, ...head.fields },
        { endStream: false },
      );
    } catch (cause) {
      throw this.#unprocessed(cause);
    }
    const opened = tunnelStream(stream, {}, this.#owner());
    this.#traffic.add(stream);
    this.#streams.add(opened);
    stream.once('close', () => {
      this.#streams.delete(opened);
      if (this.#streams.size === 0) for (const listener of this.#idleListeners) listener();
    });
    return this.#answered(stream, opened, head.authority, signal);
  }

  onIdle(listener: () => void): void {
    this.#idleListeners.push(listener);
  }

  recheck(trust: PeerTrust): boolean {
    if (this.#lifecycle.is('ended')) return false;
    const revoked = revokedPeer(this.#peer, { trust, now: this.#clock.now() });
    if (revoked !== undefined) this.#end(revoked);
    return revoked !== undefined;
  }

  async drain(): Promise<void> {
    this.#lifecycle.move({ state: 'draining' });
    // GOAWAY, then the session ends itself with its last stream
    if (!this.#session.destroyed) this.#session.close();
    await this.ended;
  }

  async close(): Promise<void> {
    this.#end(undefined);
    await this.ended;
  }

  /** The connection is gone: on purpose when nothing was open on it. */
  #closed(): void {
    const message = `Lost the tunnel to ${this.#name}: the peer closed the connection`;
    const cause = this.#streams.size > 0 ? new MeshError('TUNNEL_LOST', message) : undefined;
    this.#lifecycle.move({ state: 'ended', cause });
  }

  #owner(): StreamOwner {
    return { peer: this.peer, lost: () => this.#lifecycle.cause };
  }

  #end(cause: MeshError | undefined): void {
    this.#lifecycle.move({ state: 'ended', cause });
    // not left to the session's end, which the streams' readers would take for a clean one
    for (const stream of this.#streams) stream.reset();
    this.#session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
  }

  #unprocessed(cause?: unknown): UnprocessedError {
    return new UnprocessedError(
      'TUNNEL_LOST',
      `Cannot open a stream to ${this.#name}: the tunnel is closing or full`,
      { cause },
    );
  }

  /** Waits for the 200. */
  #answered(
    stream: ClientHttp2Stream,
    opened: TunnelStream,
    authority: string,
    signal: AbortSignal | undefined,
  ): Promise<TunnelStream> {
    return new Promise((resolve, reject) => {
      const giveUp = (why: unknown): void => {
        settle();
        opened.reset();
        reject(why);
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const late = this.#clock.timer(ANSWER_TIMEOUT_MS, () => {
        const message = `${this.#name} did not answer about ${authority} within ${ANSWER_TIMEOUT_MS / 1000} s`;
        giveUp(new MeshError('TUNNEL_ANSWER_TIMEOUT', message));
      });
      const settle = (): void => {
        late.cancel();
        signal?.removeEventListener('abort', onAbort);
        stream.off('close', onClose);
      };
      const onClose = (): void => {
        settle();
        if (isUnprocessed(stream.rstCode)) reject(this.#unprocessed());
        const message = `Lost the stream for ${authority} through ${this.#name} before its answer`;
        reject(this.#lifecycle.cause ?? new MeshError('TUNNEL_LOST', message));
      };
      stream.once('close', onClose);
      signal?.addEventListener('abort', onAbort, { once: true });
      stream.once('response', (headers) => {
        settle();
        const status = headers[':status'];
        if (status === 200) {
          resolve(tunnelStream(stream, fieldsOf(headers), this.#owner()));
          return;
        }
        opened.reset();
        const message = `${this.#name} refused a connection to ${authority}: status ${status}`;
        reject(new MeshError(status === 503 ? 'TUNNEL_UNAVAILABLE' : 'TUNNEL_REFUSED', message));
      });
    });
  }
}
