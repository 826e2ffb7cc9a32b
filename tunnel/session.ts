// What both ends of a tunnel share below the interface: HTTP/2 settings, liveness PINGs, reset codes. Called by connect
// and accept only; together with them the one place that knows node:http2.

import { constants, type Http2Session, type Http2Stream, type Settings } from 'node:http2';
import { addAbortSignal } from 'node:stream';
import { MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { ignoreError } from './socket.ts';
import type { TunnelFields, TunnelStream } from './tunnel.ts';
import { STREAM_WINDOW_BYTES } from './windows.ts';

// The reference peers' values.
const MAX_FRAME_BYTES = 1024 * 1024;
const CLIENT_HEADER_LIST_BYTES = 16 * 1024;
const SERVER_HEADER_LIST_BYTES = 64 * 1024;
/** What we let a peer open on one tunnel. */
export const SERVER_MAX_STREAMS = 200;
/** What we open on one tunnel at most, whatever the peer allows; also what we assume before it said so. */
export const CLIENT_MAX_STREAMS = 100;
/** Node's default of 10 (MB) would refuse streams that the windows above allow: one window for each of 200 streams. */
const SESSION_MEMORY_MB = 1024;
const PING_INTERVAL_MS = 10_000;
/** Intervals a PING may stay unanswered: 20 s. */
const MAX_PING_INTERVALS = 2;
// A node's applications may reset many connections at once through one authenticated tunnel (a load test ends, a pod
// dies); Node's defaults (1000, then 33 a second) would cut the tunnel for it.
const RESET_BURST = 10_000;
const RESETS_PER_SECOND = 1000;

export const CLIENT_OPTIONS = {
  settings: {
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxFrameSize: MAX_FRAME_BYTES,
    maxHeaderListSize: CLIENT_HEADER_LIST_BYTES,
    enablePush: false,
  } satisfies Settings,
  maxSessionMemory: SESSION_MEMORY_MB,
  peerMaxConcurrentStreams: CLIENT_MAX_STREAMS,
};

export const SERVER_OPTIONS = {
  settings: {
    initialWindowSize: STREAM_WINDOW_BYTES,
    maxFrameSize: MAX_FRAME_BYTES,
    maxHeaderListSize: SERVER_HEADER_LIST_BYTES,
    maxConcurrentStreams: SERVER_MAX_STREAMS,
  } satisfies Settings,
  maxSessionMemory: SESSION_MEMORY_MB,
  streamResetBurst: RESET_BURST,
  streamResetRate: RESETS_PER_SECOND,
};

/**
 * First PING after 10 s, then one every 10 s; `lost` is called once when one stays unanswered for 20 s. Counts turns of
 * its own timer, not wall time: after a stall of this process the answer is read before the next turn.
 */
export function keepAlive(
  parts: { readonly clock: Clock },
  session: Http2Session,
  lost: () => void,
): { stop(): void } {
  let unanswered = 0;
  let timer: Timer;
  const turn = (): void => {
    if (session.destroyed) return;
    if (unanswered >= MAX_PING_INTERVALS) {
      lost();
      return;
    }
    if (unanswered === 0) {
      session.ping((error) => {
        if (error === null) unanswered = 0;
      });
    }
    unanswered++;
    timer = parts.clock.timer(PING_INTERVAL_MS, turn);
  };
  timer = parts.clock.timer(PING_INTERVAL_MS, turn);
  return { stop: () => timer.cancel() };
}

// nghttp2's numbers for a peer that floods: too much queued for it, and header blocks without an end.
const FLOODED = -904;
const TOO_MANY_CONTINUATIONS = -905;
const NGHTTP2_ERRORS_BELOW = -500;

/** Why a session ended with an error: the peer flooded it, broke the protocol, or the connection broke. */
export function sessionFault(cause: Error, name: string): MeshError {
  const { code, errno = 0 } = cause as NodeJS.ErrnoException;
  if (code?.startsWith('ERR_HTTP2') !== true) {
    return new MeshError('TUNNEL_LOST', `Lost the tunnel to ${name}: ${cause.message}`, { cause });
  }
  const flooded =
    errno === FLOODED ||
    errno === TOO_MANY_CONTINUATIONS ||
    code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES';
  if (!flooded && errno > NGHTTP2_ERRORS_BELOW) {
    return new MeshError('TUNNEL_LOST', `Lost the tunnel to ${name}: ${cause.message}`, { cause });
  }
  return new MeshError(
    flooded ? 'TUNNEL_FLOODED' : 'TUNNEL_PROTOCOL',
    `Ended the tunnel to ${name}, which ${flooded ? 'floods us' : 'breaks the rules or limits of HTTP/2'}: ${cause.message}`,
    { cause },
  );
}

export function overspent(name: string): MeshError {
  return new MeshError(
    'TUNNEL_FLOODED',
    `Ended the tunnel to ${name}, which floods us: too many bytes of frames that carry nothing`,
  );
}

/** What a stream shares with its tunnel. */
export type StreamOwner = { readonly peer: Identity; readonly lost: () => MeshError | undefined };

export function tunnelStream(
  stream: Http2Stream,
  fields: TunnelFields,
  owner: StreamOwner,
): TunnelStream {
  stream.on('error', ignoreError);
  return {
    bytes: stream,
    fields,
    peer: owner.peer,
    get lost() {
      return owner.lost();
    },
    get broken() {
      return stream.rstCode !== constants.NGHTTP2_NO_ERROR;
    },
    reset() {
      if (stream.destroyed) return;
      // close(CANCEL) would end our direction cleanly first and so hide the break from the peer; an abort sends the bare
      // RST_STREAM(CANCEL), also when the data before it has not left yet
      const abort = new AbortController();
      addAbortSignal(abort.signal, stream);
      abort.abort();
    },
  };
}

/** Plain fields of a head: no pseudo headers, several values joined. */
export function fieldsOf(headers: Readonly<Record<string, unknown>>): TunnelFields {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(':')) continue;
    if (typeof value === 'string') fields[name] = value;
    else if (Array.isArray(value)) fields[name] = value.join(', ');
  }
  return fields;
}

/** RST_STREAM codes after which the peer surely did nothing (RFC 9113 section 8.7). */
export function isUnprocessed(code: number): boolean {
  return code === constants.NGHTTP2_REFUSED_STREAM;
}
