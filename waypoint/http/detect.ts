// What does a client speak, on a port that does not say? Read off its first bytes, which stay in the stream. Called by
// accept.ts. Bounded in time and bytes: who waits for the server to speak first is opaque TCP.

import { METHODS } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';

export type Spoken = 'http1' | 'http2' | 'opaque';

/** RFC 9113 section 3.4. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** The longest method and its blank. */
const MOST_BYTES = Math.max(PREFACE.length, ...METHODS.map((method) => method.length + 1));
/** A client that speaks first does so at once; servers that speak first (databases, mail) are held up for as long. */
const DETECT_TIMEOUT_MS = 2000;

/** Never rejects; a stream that ends or breaks is opaque. */
export function detect(
  parts: { readonly clock: Clock },
  bytes: Duplex,
  limitMs = DETECT_TIMEOUT_MS,
): Promise<Spoken> {
  return new Promise((resolve) => {
    const seen: Buffer[] = [];
    const settle = (spoken: Spoken): void => {
      timer.cancel();
      bytes.off('readable', read);
      bytes.off('end', ended);
      bytes.off('close', ended);
      const all = Buffer.concat(seen);
      if (all.length > 0 && !bytes.readableEnded) bytes.unshift(all);
      resolve(spoken);
    };
    const ended = (): void => settle('opaque');
    const read = (): void => {
      for (;;) {
        const chunk = bytes.read() as Buffer | null;
        if (chunk === null) return;
        seen.push(chunk);
        const spoken = spokenIn(Buffer.concat(seen));
        if (spoken === undefined) continue;
        settle(spoken);
        return;
      }
    };
    const timer = parts.clock.timer(limitMs, () => settle('opaque'));
    bytes.on('readable', read);
    bytes.once('end', ended);
    bytes.once('close', ended);
    read();
  });
}

/** undefined: it may still become any of them. */
export function spokenIn(bytes: Buffer): Spoken | undefined {
  const head = bytes.subarray(0, MOST_BYTES);
  if (head.length >= PREFACE.length && head.subarray(0, PREFACE.length).equals(PREFACE)) {
    return 'http2';
  }
  const preface = PREFACE.subarray(0, head.length).equals(head);
  const text = head.toString('latin1');
  const blank = text.indexOf(' ');
  if (blank >= 0 && !preface) return METHODS.includes(text.slice(0, blank)) ? 'http1' : 'opaque';
  const begins = preface || METHODS.some((method) => method.startsWith(text));
  return begins && head.length < MOST_BYTES ? undefined : 'opaque';
}
