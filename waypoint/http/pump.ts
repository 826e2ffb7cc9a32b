// Moves bytes from a reader to a writer, one way: bodies in either direction. Called by the two servers' answers and the
// upstream clients. No promise and no allocation per chunk; a slow writer pauses the reader.

import type { Readable, Writable } from 'node:stream';

export type PumpEnd = 'complete' | 'reader-broke' | 'writer-closed';

/** `ended` is called once; `watch` sees each chunk. The writer is not ended: whoever asked does that, after `complete`. */
export function pump(
  from: Readable,
  to: Writable,
  watch: (chunk: Buffer) => void,
  ended: (end: PumpEnd) => void,
): void {
  let over = false;
  const settle = (end: PumpEnd): void => {
    if (over) return;
    over = true;
    from.off('data', onData);
    to.off('drain', onDrain);
    ended(end);
  };
  const onData = (chunk: Buffer): void => {
    watch(chunk);
    if (!to.write(chunk)) from.pause();
  };
  const onDrain = (): void => void from.resume();
  from.on('error', () => settle('reader-broke'));
  to.on('error', () => settle('writer-closed'));
  from.once('end', () => settle('complete'));
  from.once('close', () => settle(from.readableEnded ? 'complete' : 'reader-broke'));
  to.once('close', () => settle('writer-closed'));
  to.on('drain', onDrain);
  if (from.readableEnded) settle('complete');
  else if (from.destroyed) settle('reader-broke');
  else from.on('data', onData);
}
