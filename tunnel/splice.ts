// Copies bytes both ways between two streams until both have ended. The only copy loop in the mesh: called by the agent
// for every carried connection. Invariants: the end of one direction never cuts the other (TCP half-close), a slow reader
// pauses its writer, and a stream that breaks is passed on as a reset, never as a clean end.

import type { Duplex } from 'node:stream';

export type Leg = {
  readonly bytes: Duplex;
  /** At `end`: true when that was no clean end. A socket's always is. */
  readonly broken?: boolean;
  /** Ends it so that its far end sees a break. */
  reset(): void;
};

/** Bytes so far; read at any time by whoever passed it in. */
export type SpliceCounts = { sent: number; received: number };

/** `complete`: nothing that was sent is missing. `...-reset`: that side broke first. `aborted`: we cut it. */
export type SpliceEnd = 'complete' | 'downstream-reset' | 'upstream-reset' | 'aborted';

/** `sent` counts downstream -> upstream. Never rejects; both legs are closed when it resolves. */
export function splice(
  downstream: Leg,
  upstream: Leg,
  counts: SpliceCounts,
  signal?: AbortSignal,
): Promise<SpliceEnd> {
  return new Promise((resolve) => {
    let end: SpliceEnd = 'complete';
    let open = 2;
    /** The side that is closed by us, once it has got everything. */
    let finishing: Leg | undefined;
    const cut = (why: SpliceEnd): void => {
      if (end === 'complete') end = why;
      downstream.reset();
      upstream.reset();
    };
    const onAbort = (): void => cut('aborted');
    const onClose = (leg: Leg, other: Leg, why: SpliceEnd): void => {
      open--;
      if (leg !== finishing) {
        if (leg.broken === true || !leg.bytes.readableEnded) {
          cut(why);
        } else if (!leg.bytes.writableFinished) {
          finishing = other;
          finish(other);
        }
      }
      if (open > 0) return;
      signal?.removeEventListener('abort', onAbort);
      resolve(end);
    };
    watch(downstream, () => onClose(downstream, upstream, 'downstream-reset'));
    watch(upstream, () => onClose(upstream, downstream, 'upstream-reset'));
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener('abort', onAbort, { once: true });
    copy(downstream, upstream, (bytes) => {
      counts.sent += bytes;
    });
    copy(upstream, downstream, (bytes) => {
      counts.received += bytes;
    });
  });
}

function watch(leg: Leg, closed: () => void): void {
  leg.bytes.on('error', () => {
    // `close` follows and tells how far it came
  });
  if (leg.bytes.closed) queueMicrotask(closed);
  else leg.bytes.once('close', closed);
}

/** Its other side said all it had to say and takes no more: it gets the rest of that, and what it sends is dropped. */
function finish({ bytes }: Leg): void {
  bytes.resume();
  if (bytes.writableFinished) bytes.destroy();
  else bytes.once('finish', () => bytes.destroy());
}

/** Callbacks, not iterators: no promise and no allocation of ours per chunk. */
function copy(source: Leg, sink: Leg, count: (bytes: number) => void): void {
  const from = source.bytes;
  const to = sink.bytes;
  from.on('data', (chunk: Buffer) => {
    if (to.destroyed) return;
    count(chunk.length);
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  // accepted sockets wait paused until their way is clear
  from.resume();
  const onEnd = (): void => {
    if (source.broken !== true) to.end();
  };
  // one that was read before, e.g. for a header, may have ended while nobody listened: paused, but with nothing left
  if (from.readableEnded) onEnd();
  else from.once('end', onEnd);
}
