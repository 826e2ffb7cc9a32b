// The answering end of tunnels: one acceptor per local pod (or waypoint) turns accepted sockets into TunnelRequests of
// verified peers. Called by node-agent/inbound.ts and waypoint/serve.ts. A peer without a good certificate gets no answer.

import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type IpPort, parseIp } from '../mesh/address.ts';
import { type FailureCode, MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Credentials, TUNNEL_PROTOCOLS } from './contexts.ts';
import { HandshakeGate } from './handshake-gate.ts';
import { type Ends, ServerTunnel } from './server-tunnel.ts';
import { ignoreError } from './socket.ts';
import type { PeerTrust } from './trust.ts';
import type { TunnelRequest } from './tunnel.ts';
import { codeOfVerification, type VerifiedPeer, verifyAskingPeer } from './verify.ts';

/** A peer that has not finished its TLS handshake by then is none. */
const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Tunnels one pod serves: a peer pod needs one or two, so this is thousands of peer pods. */
const MAX_TUNNELS = 4096;
/** Streams one pod serves: each takes two descriptors and some 40 kB, a gigabyte in all. */
const MAX_STREAMS = 25_000;

/** A connection that never became a tunnel, or a stream that was refused before anybody looked at it. */
export type Denied = Ends & { readonly error: MeshError };

/** A tunnel that ended although nobody wanted it to. */
export type Lost = Ends & { readonly peer: Identity; readonly error: MeshError };

export type AcceptParts = {
  readonly clock: Clock;
  readonly credentials: Credentials;
  readonly onRequest: (request: TunnelRequest) => void;
  readonly onDenied: (denied: Denied) => void;
  readonly onLost?: (lost: Lost) => void;
  /** Shared by all doors of the process; one of its own without it. */
  readonly gate?: HandshakeGate;
  readonly limits?: { readonly tunnels?: number; readonly streams?: number };
};

export class TunnelAcceptor {
  readonly #parts: AcceptParts;
  readonly #server: Server;
  readonly #tunnels = new Set<ServerTunnel>();
  /** Taken sockets whose handshake is under way. */
  readonly #handshakes = new Map<Socket, Ends & { leave(): void }>();
  readonly #gate: HandshakeGate;
  #trust: PeerTrust;
  #streams = 0;
  #draining = false;

  constructor(parts: AcceptParts) {
    this.#parts = parts;
    this.#trust = parts.credentials.trust;
    this.#gate = parts.gate ?? new HandshakeGate();
    this.#server = createServer({
      ...parts.credentials.options,
      ALPNProtocols: TUNNEL_PROTOCOLS,
      requestCert: true,
      rejectUnauthorized: true,
      allowHalfOpen: false,
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (cause, socket) => {
      // the reason our check of the certificate gave says more than the hang-up that followed it
      const why = String(socket.authorizationError ?? cause.message);
      const code = codeOfVerification(why);
      this.#deny(
        rawSocketOf(socket),
        new MeshError(code, `Cannot accept a tunnel: ${why}`, { cause }),
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
    const { tunnels = MAX_TUNNELS } = this.#parts.limits ?? {};
    if (this.#tunnels.size >= tunnels) {
      this.#refuse(socket, ends, 'POD_TUNNEL_LIMIT', `${this.#tunnels.size} tunnels are open`);
      return;
    }
    const leave = this.#gate.enter(() => {
      if (!socket.destroyed) this.#server.emit('connection', socket);
    });
    if (leave === undefined) {
      this.#refuse(
        socket,
        ends,
        'HANDSHAKE_LIMIT',
        `${this.#gate.inside} handshakes are under way`,
      );
      return;
    }
    const late = this.#parts.clock.timer(HANDSHAKE_TIMEOUT_MS, () => {
      const why = `no handshake within ${HANDSHAKE_TIMEOUT_MS / 1000} s`;
      this.#deny(socket, new MeshError('TLS_FAILURE', `Cannot accept a tunnel: ${why}`));
      socket.resetAndDestroy();
    });
    this.#handshakes.set(socket, {
      ...ends,
      leave: () => {
        late.cancel();
        leave();
      },
    });
    socket.once('close', () => {
      const error = new MeshError('TLS_FAILURE', 'Cannot accept a tunnel: the handshake was cut');
      // a turn later: a certificate that is refused closes the socket first, and tells the reason then
      setImmediate(() => this.#deny(socket, error));
    });
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
    const parts = {
      ...this.#parts,
      admit: (stream: ServerHttp2Stream) => this.#admit(stream, ends),
    };
    const tunnel = new ServerTunnel(parts, socket, peer, { ...ends, wire: raw ?? socket });
    this.#settle(raw);
    this.#tunnels.add(tunnel);
    void tunnel.ended.then((error) => {
      this.#tunnels.delete(tunnel);
      if (error !== undefined) this.#parts.onLost?.({ ...ends, peer: peer.identity, error });
    });
    if (this.#draining) void tunnel.drain();
  }

  /** Counts a stream while it lasts; one too many is refused as never looked at, so that it may be tried elsewhere. */
  #admit(stream: ServerHttp2Stream, ends: Ends): boolean {
    const { streams = MAX_STREAMS } = this.#parts.limits ?? {};
    if (this.#streams >= streams) {
      stream.on('error', ignoreError);
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      const full = `Cannot accept a stream: ${this.#streams} are open`;
      this.#parts.onDenied({ ...ends, error: new MeshError('POD_STREAM_LIMIT', full) });
      return false;
    }
    this.#streams++;
    stream.once('close', () => {
      this.#streams--;
    });
    return true;
  }

  #refuse(socket: Socket, ends: Ends, code: FailureCode, why: string): void {
    this.#parts.onDenied({
      ...ends,
      error: new MeshError(code, `Cannot accept a tunnel: ${why}`),
    });
    socket.resetAndDestroy();
  }

  /** Its handshake is over; returns where it was, the first time. */
  #settle(socket: Socket | undefined): Ends | undefined {
    const handshake = socket && this.#handshakes.get(socket);
    if (socket === undefined || handshake === undefined) return undefined;
    this.#handshakes.delete(socket);
    const { leave, ...ends } = handshake;
    leave();
    return ends;
  }

  /** Tells of a failed handshake, once. */
  #deny(socket: Socket | undefined, error: MeshError): void {
    const ends = this.#settle(socket);
    if (ends !== undefined) this.#parts.onDenied({ ...ends, error });
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
