// What the kubelet offers behind `exec`, `attach` and `port-forward`, free of any wire protocol.
// The kubelet implements a StreamSession; the protocols of this folder carry it.

import type { Duplex, Readable, Writable } from 'node:stream';

export type TerminalSize = { readonly width: number; readonly height: number };

/** The streams a client asked for; those it did not ask for are absent. */
export type ExecIo = {
  /** Ends when the client closes its side; is destroyed when the client is gone. */
  readonly stdin?: Readable;
  /** Need not be ended: what was written is delivered before the outcome. */
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  readonly tty: boolean;
  /** Calls `listener` for each size of the client's terminal, the last known one at once. */
  readonly resize: (listener: (size: TerminalSize) => void) => void;
  /** Aborted when the client is gone: there is nobody left to run for. */
  readonly signal: AbortSignal;
};

export type ExecOutcome = { readonly exitCode: number } | { readonly error: string };

export type StreamSession = {
  /** Serves exec and attach. A rejection is reported to the client as an error. */
  readonly exec?: (io: ExecIo) => Promise<ExecOutcome>;
  /** Serves port-forward: one connection to a port of the pod. */
  readonly dial?: (port: number) => Promise<Duplex>;
};

/** The client speaks, or asks for, something these protocols do not have. */
export class StreamProtocolError extends Error {
  override readonly name = 'StreamProtocolError';
}
