// The answering end of tunnels: one acceptor per local pod (or waypoint) turns accepted sockets into TunnelRequests of
// verified peers. Called by node-agent/inbound.ts and waypoint/serve.ts. A peer without a good certificate gets no answer.

import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type IpPort, parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Credentials, TUNNEL_PROTOCOLS } from './contexts.ts';
import { Lifecycle } from './lifecycle.ts';
import {
  fieldsOf,
  keepAlive,
  SERVER_OPTIONS,
  tunnelStream,
  widenConnectionWindow,
} from './session.ts';
import { ignoreError } from './socket.ts';
import type { PeerTrust } from './trust.ts';
import type { TunnelRequest, TunnelStream } from './tunnel.ts';
import { revokedPeer, type VerifiedPeer, verifyAskingPeer } from './verify.ts';

/** A peer that has not finished its TLS handshake by then is none. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Handshakes under way at once: about 40 s of one core's work, so a flood is refused before it starves live tunnels. */
const MAX_HANDSHAKES = 1000;
/** Tunnels one pod serves: a peer pod needs one or two, so this is thousands of peer pods. */
const MAX_TUNNELS = 4096;

/** A connection that never became a tunnel. */
export type Denied = { readonly remote: IpPort; readonly local: IpPort; readonly error: MeshError };

export type AcceptParts = {
  readonly clock: Clock;
  readonly credentials: Credentials;
  readonly onRequest: (request: TunnelRequest) => void;
  readonly onDenied: (denied: Denied) => void;
};

export class TunnelAcceptor {
  readonly #parts: AcceptParts;
  readonly #server: Server;
  readonly #tunnels = new Set<ServerTunnel>();
  /** Taken sockets whose handshake is under way. */
  readonly #handshakes = new Map<Socket, Ends>();
  #trust: PeerTrust;
  #draining = false;

  constructor(parts: AcceptParts) {
    this.#parts = parts;
    this.#trust = parts.credentials.trust;
    this.#server = createServer({
      ...parts.credentials.options,
      ALPNProtocols: TUNNEL_PROTOCOLS,
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      allowHalfOpen: false,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (cause, socket) => {
      // the reason our check of the certificate gave says more than the hang-up that followed it
      const why = socket.authorizationError ?? cause.message;
      this.#deny(
        rawSocketOf(socket),
        new MeshError('TLS_FAILURE', `Cannot accept a tunnel: ${why}`, { cause }),
      );
    });
  }

  get tunnels(): number {
    return this.#tunnels.size;
  }

  /** Owns `socket` from now on: TLS, then HTTP/2, then requests. */
  take(socket: Socket): void {
    socket.on('error', ignoreError);
    socket.setNoDelay(true);
    // a tunnel has no half: when the peer's side ends, all of it does
    socket.allowHalfOpen = false;
    const ends = endsOf(socket);
    if (ends === undefined) {
      socket.destroy();
      return;
    }
    if (this.#handshakes.size >= MAX_HANDSHAKES || this.#tunnels.size >= MAX_TUNNELS) {
      const full = `${this.#tunnels.size} tunnels and ${this.#handshakes.size} handshakes are open`;
      const error = new MeshError('TUNNEL_LIMIT', `Cannot accept a tunnel: ${full}`);
      this.#parts.onDenied({ ...ends, error });
      socket.resetAndDestroy();
      return;
    }
    this.#handshakes.set(socket, ends);
    socket.once('close', () => {
      const error = new MeshError('TLS_FAILURE', 'Cannot accept a tunnel: the handshake was cut');
      // a turn later: a certificate that is refused closes the socket first, and tells the reason then
      setImmediate(() => this.#deny(socket, error));
    });
    this.#server.emit('connection', socket);
  }

  /**
   * New handshakes use the renewed certificate and what is believed now. Live tunnels are not touched, except those
   * whose peer's certificate is revoked: they are closed at once.
   */
  replace(credentials: Credentials): void {
    this.#trust = credentials.trust;
    this.#server.setSecureContext(credentials.options);
    for (const tunnel of this.#tunnels) tunnel.recheck(credentials.trust);
  }

  /** Asks every peer to open no more streams here (GOAWAY) and waits until the present ones have ended. */
  async drain(): Promise<void> {
    this.#draining = true;
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.drain()));
  }

  async close(): Promise<void> {
    this.#draining = true;
    for (const socket of this.#handshakes.keys()) socket.destroy();
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close()));
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignoreError);
    const raw = rawSocketOf(socket);
    const ends = endsOf(socket);
    if (ends === undefined) {
      socket.destroy();
      return;
    }
    let peer: VerifiedPeer;
    try {
      if (socket.alpnProtocol !== 'h2') {
        throw new MeshError(
          'H2_HANDSHAKE_FAILURE',
          'Cannot accept a tunnel: the peer did not ask for h2',
        );
      }
      peer = verifyAskingPeer(socket.getPeerX509Certificate(), {
        trust: this.#trust,
        now: this.#parts.clock.now(),
      });
    } catch (error) {
      if (error instanceof MeshError) this.#deny(raw, error);
      socket.destroy();
      return;
    }
    const tunnel = new ServerTunnel(this.#parts, socket, peer, ends);
    if (raw !== undefined) this.#handshakes.delete(raw);
    this.#tunnels.add(tunnel);
    void tunnel.ended.then(() => this.#tunnels.delete(tunnel));
    if (this.#draining) void tunnel.drain();
  }

  /** Tells of a failed handshake, once. */
  #deny(socket: Socket | undefined, error: MeshError): void {
    const ends = socket === undefined ? undefined : this.#handshakes.get(socket);
    if (socket === undefined || ends === undefined) return;
    this.#handshakes.delete(socket);
    this.#parts.onDenied({ ...ends, error });
  }
}

type Ends = { readonly remote: IpPort; readonly local: IpPort };
type PeerEnds = Ends & Pick<TunnelRequest, 'peer'>;

class ServerTunnel {
  readonly ended: Promise<void>;
  readonly #clock: Clock;
  readonly #peer: VerifiedPeer;
  readonly #session: ServerHttp2Session;
  readonly #lifecycle: Lifecycle;
  readonly #streams = new Set<TunnelStream>();

  constructor(parts: AcceptParts, socket: TLSSocket, peer: VerifiedPeer, at: Ends) {
    this.#clock = parts.clock;
    this.#peer = peer;
    const session = performServerHandshake(socket, SERVER_OPTIONS);
    this.#session = session;
    const ended = Promise.withResolvers<void>();
    this.ended = ended.promise;
    const liveness = keepAlive(parts, session, () => {
      this.#end(new MeshError('TUNNEL_LOST', 'Lost the tunnel: no answer to PING for 20 s'));
    });
    this.#lifecycle = new Lifecycle((_, to) => {
      if (to.state !== 'ended') return;
      liveness.stop();
      ended.resolve();
    });
    session.on('error', ignoreError);
    session.on('close', () => this.#lifecycle.move({ state: 'ended', cause: undefined }));
    session.on('stream', (stream, headers) => {
      parts.onRequest({ ...at, peer: peer.identity, ...this.#request(stream, headers) });
    });
    widenConnectionWindow(session);
  }

  #request(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
  ): Omit<TunnelRequest, keyof PeerEnds> {
    const fields = fieldsOf(headers);
    const opened = tunnelStream(stream, fields, {
      peer: this.#peer.identity,
      lost: () => this.#lifecycle.cause,
    });
    const gone = new AbortController();
    let answered = false;
    this.#streams.add(opened);
    stream.once('close', () => {
      this.#streams.delete(opened);
      if (!answered) gone.abort(new MeshError('UPSTREAM_RESET', 'The peer gave up'));
    });
    return {
      method: String(headers[':method']),
      authority: headers[':authority'],
      fields,
      signal: gone.signal,
      accept(answer) {
        answered = true;
        if (!stream.destroyed) stream.respond({ ':status': 200, ...answer }, { endStream: false });
        return opened;
      },
      refuse(status) {
        if (answered) opened.reset();
        if (answered || stream.destroyed) return;
        answered = true;
        stream.respond({ ':status': status }, { endStream: true });
        // the peer's direction is still open: nobody will read it
        stream.close(constants.NGHTTP2_NO_ERROR);
      },
    };
  }

  recheck(trust: PeerTrust): void {
    if (this.#lifecycle.is('ended')) return;
    const revoked = revokedPeer(this.#peer, { trust, now: this.#clock.now() });
    if (revoked !== undefined) this.#end(revoked);
  }

  /**
   * RFC 9113 section 6.8: first a GOAWAY that still takes what is on its way, a round trip later the final one, so that
   * no stream the peer has just opened is lost.
   */
  async drain(): Promise<void> {
    const session = this.#session;
    if (this.#lifecycle.move({ state: 'draining' }) && !session.destroyed) {
      session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
      session.ping(() => {
        if (!session.destroyed) session.close();
      });
    }
    await this.ended;
  }

  async close(): Promise<void> {
    this.#end();
    await this.ended;
  }

  #end(cause?: MeshError): void {
    // not left to the session's end, which the streams' readers would take for a clean one
    this.#lifecycle.move({ state: 'ended', cause });
    for (const stream of this.#streams) stream.reset();
    this.#session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
  }
}

function endsOf(socket: Socket): Ends | undefined {
  const remote = ipPort(socket.remoteAddress, socket.remotePort);
  const local = ipPort(socket.localAddress, socket.localPort);
  return remote === undefined || local === undefined ? undefined : { remote, local };
}

function ipPort(address: string | undefined, port: number | undefined): IpPort | undefined {
  if (address === undefined || port === undefined) return undefined;
  return { ip: parseIp(address), port };
}

/** The accepted socket under a TLS one; Node keeps it in a field it does not document. */
function rawSocketOf(socket: TLSSocket): Socket | undefined {
  const { _parent: parent } = socket as TLSSocket & { readonly _parent?: Socket };
  return parent;
}
