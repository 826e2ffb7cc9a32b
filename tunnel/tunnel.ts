// What a tunnel is to everybody outside this folder: two peers, one encrypted connection, many byte streams.
// node-agent and waypoint speak only these types, so that the codec below them can change without anyone noticing.

import type { Duplex } from 'node:stream';
import type { IpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { PeerTrust } from './trust.ts';

/** Header fields by lower-case name; a field that came several times is joined with ", ". */
export type TunnelFields = Readonly<Record<string, string>>;

/** What asks for one stream: the CONNECT request. */
export type ConnectHead = {
  /** `host:port`, sent exactly as given. */
  readonly authority: string;
  readonly fields: TunnelFields;
};

/** One byte stream = one application connection. */
export interface TunnelStream {
  /**
   * The bytes, with half-close: `end()` ends our direction only. Reading is credit: while it is paused the peer may
   * send one window more and then waits.
   */
  readonly bytes: Duplex;
  /** At `end` or `close`: true when the stream was reset, so what was read may not be all there was. */
  readonly broken: boolean;
  /** Why it broke, when that was the tunnel's end and not the far application's doing. */
  readonly lost: MeshError | undefined;
  readonly peer: Identity;
  /** The fields of the 200 on the asking side, of the CONNECT on the answering side. */
  readonly fields: TunnelFields;
  /** At once; the peer sees a break, not an end. */
  reset(): void;
}

/** The asking end of a tunnel. */
export interface Tunnel {
  readonly peer: Identity;
  /** Streams open or being opened. */
  readonly streams: number;
  /** True while {@link open} may be called: not draining, not closed, a stream is free. */
  readonly available: boolean;
  /** Settles once, when the connection has ended; the error says why unless it was closed on purpose. */
  readonly ended: Promise<MeshError | undefined>;
  /** @throws MeshError; {@link UnprocessedError} when the peer surely did nothing about it */
  open(head: ConnectHead, signal?: AbortSignal): Promise<TunnelStream>;
  /** Called when the last stream has gone, with the tunnel still open. */
  onIdle(listener: () => void): void;
  /** Closes it, its streams lost with CERT_REVOKED, when the peer's certificate is revoked now; true when it was. */
  recheck(trust: PeerTrust): boolean;
  /** Polite: no new streams, resolves when the present ones have ended. */
  drain(): Promise<void>;
  /** At once: present streams are reset. */
  close(): Promise<void>;
}

/** One CONNECT as it arrives; answered exactly once, by `accept` or `refuse`. */
export interface TunnelRequest {
  readonly peer: Identity;
  readonly method: string;
  readonly authority: string | undefined;
  readonly fields: TunnelFields;
  readonly remote: IpPort;
  readonly local: IpPort;
  /** Aborted when the asking side gave up before it was answered. */
  readonly signal: AbortSignal;
  /** Answers 200. */
  accept(fields: TunnelFields): TunnelStream;
  /** Answers with a status; a stream that was accepted before is reset. */
  refuse(status: number): void;
}

/** The stream was not looked at by the peer: opening it again on another tunnel cannot do a thing twice. */
export class UnprocessedError extends MeshError {}
