// One tunnel at its answering end: an HTTP/2 session over a verified TLS connection, whose CONNECTs become TunnelRequests.
// Made by accept.ts for each peer it let in; it ends with its connection, or when the peer breaks a rule or a limit.

import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { IpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { formatIdentity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { Lifecycle } from './lifecycle.ts';
import { Traffic, watchOverhead } from './overhead.ts';
import {
  fieldsOf,
  keepAlive,
  overspent,
  SERVER_OPTIONS,
  sessionFault,
  tunnelStream,
} from './session.ts';
import type { PeerTrust } from './trust.ts';
import type { TunnelRequest, TunnelStream } from './tunnel.ts';
import { revokedPeer, type VerifiedPeer } from './verify.ts';
import { CONNECTION_WINDOW_BYTES } from './windows.ts';

// Streams a peer may take back before they are answered: each has begun a dial. An application whose connections time out
// takes back what it has open, a few hundred at most; who goes on makes us dial for nothing (CVE-2023-44487).
const TAKEN_BACK_BURST = 500;
const TAKEN_BACK_A_SECOND = 50;

export type Ends = { readonly remote: IpPort; readonly local: IpPort };

export type ServerTunnelParts = {
  readonly clock: Clock;
  readonly onRequest: (request: TunnelRequest) => void;
  /** Counts a stream; false when no more may be opened, whoever asks. */
  readonly admit: (stream: ServerHttp2Stream, ends: Ends) => boolean;
};

export class ServerTunnel {
  /** The error says why it ended, unless somebody wanted it to. */
  readonly ended: Promise<MeshError | undefined>;
  readonly #clock: Clock;
  readonly #peer: VerifiedPeer;
  readonly #session: ServerHttp2Session;
  readonly #lifecycle: Lifecycle;
  readonly #traffic = new Traffic();
  readonly #streams = new Set<TunnelStream>();
  #takenBack = { left: TAKEN_BACK_BURST, at: 0 };

  /** `wire` counts the connection's bytes. */
  constructor(
    parts: ServerTunnelParts,
    socket: TLSSocket,
    peer: VerifiedPeer,
    at: Ends & { readonly wire: { readonly bytesRead: number; readonly bytesWritten: number } },
  ) {
    this.#clock = parts.clock;
    this.#peer = peer;
    const { wire, ...ends } = at;
    const name = formatIdentity(peer.identity);
    const session = performServerHandshake(socket, SERVER_OPTIONS);
    this.#session = session;
    const ended = Promise.withResolvers<MeshError | undefined>();
    this.ended = ended.promise;
    const liveness = keepAlive(parts, session, () => {
      const lost = `Lost the tunnel of ${name}: no answer to PING for 20 s`;
      this.#end(new MeshError('TUNNEL_LOST', lost));
    });
    const overhead = watchOverhead(parts, wire, this.#traffic, () => this.#end(overspent(name)));
    this.#lifecycle = new Lifecycle((_, to) => {
      if (to.state !== 'ended') return;
      liveness.stop();
      overhead.stop();
      ended.resolve(to.cause);
    });
    session.on('error', (cause) => this.#end(sessionFault(cause, name)));
    session.on('close', () => this.#lifecycle.move({ state: 'ended', cause: undefined }));
    session.on('stream', (stream, headers) => {
      if (!parts.admit(stream, ends)) return;
      parts.onRequest({ ...ends, peer: peer.identity, ...this.#request(stream, headers) });
    });
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  }

  #request(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
  ): Omit<TunnelRequest, keyof Ends | 'peer'> {
    const fields = fieldsOf(headers);
    const opened = tunnelStream(stream, fields, {
      peer: this.#peer.identity,
      lost: () => this.#lifecycle.cause,
    });
    const gone = new AbortController();
    let answered = false;
    this.#traffic.add(stream);
    this.#streams.add(opened);
    stream.once('close', () => {
      this.#streams.delete(opened);
      this.#closeWhenDrained();
      if (answered) return;
      gone.abort(new MeshError('UPSTREAM_RESET', 'The peer gave up'));
      this.#countTakenBack();
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

  #countTakenBack(): void {
    const now = this.#clock.now();
    const { left, at } = this.#takenBack;
    const earned = ((now - at) * TAKEN_BACK_A_SECOND) / 1000;
    this.#takenBack = { left: Math.min(TAKEN_BACK_BURST, left + earned) - 1, at: now };
    if (this.#takenBack.left >= 0 || this.#lifecycle.is('ended')) return;
    this.#end(
      new MeshError(
        'TUNNEL_FLOODED',
        `Ended the tunnel of ${formatIdentity(this.#peer.identity)}, which floods us: it opens streams and takes them back`,
      ),
    );
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
      // after a GOAWAY nghttp2 reads only while a stream is open: without one no PING would be answered any more
      if (this.#streams.size === 0) {
        session.close();
      } else {
        session.goaway(constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1);
        session.ping(() => {
          if (!session.destroyed) session.close();
        });
      }
    }
    await this.ended;
  }

  async close(): Promise<void> {
    this.#end();
    await this.ended;
  }

  /** The last stream of a draining tunnel ends it; a stream on its way is refused by number and opened elsewhere. */
  #closeWhenDrained(): void {
    if (!this.#lifecycle.is('draining') || this.#streams.size > 0) return;
    if (!this.#session.destroyed) this.#session.close();
  }

  #end(cause?: MeshError): void {
    // not left to the session's end, which the streams' readers would take for a clean one
    this.#lifecycle.move({ state: 'ended', cause });
    for (const stream of this.#streams) stream.reset();
    this.#session.destroy(undefined, constants.NGHTTP2_NO_ERROR);
  }
}
