// The beginning of a request's body, read ahead for an authorization service that wants to see it, and given to whoever
// sends the request on. Made by guard.ts for a request. Invariant: what was read is in `read`, in order and once; the rest
// is still in the source.

import type { Readable } from 'node:stream';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { PeekBody } from './external-authorization.ts';

/** Who sends its body more slowly keeps an authorization waiting, and what is held of it in memory. */
const MAX_WAIT_MS = 15_000;

type Source = {
  readonly body: Readable;
  readonly expectsContinue: boolean;
  continue(): void;
};

export class BodyPeek {
  readonly #clock: Clock;
  readonly #source: Source;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #asked = false;

  constructor(parts: { readonly clock: Clock }, source: Source) {
    this.#clock = parts.clock;
    this.#source = source;
  }

  /** All that was taken out of the source. */
  get read(): readonly Buffer[] {
    return this.#chunks;
  }

  /** @throws HttpFailure REQUEST_INCOMPLETE; `signal.reason` */
  readonly peek: PeekBody = async (maxBytes, signal) => {
    signal.throwIfAborted();
    await this.#fill(maxBytes, signal);
    const bytes = Buffer.concat(this.#chunks).subarray(0, maxBytes);
    return { bytes, complete: this.#ended && this.#bytes <= maxBytes };
  };

  /** Until there is more than that, or the end. */
  async #fill(maxBytes: number, signal: AbortSignal): Promise<void> {
    if (this.#ended || this.#bytes > maxBytes) return;
    const { body, expectsContinue } = this.#source;
    if (body.readableEnded) {
      this.#ended = true;
      return;
    }
    if (expectsContinue && !this.#asked) {
      this.#asked = true;
      this.#source.continue();
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onData = (chunk: Buffer): void => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      if (this.#bytes > maxBytes) resolve();
    };
    const onEnd = (): void => {
      this.#ended = true;
      resolve();
    };
    const onError = (): void => reject(incomplete('it broke off'));
    const onAbort = (): void => reject(signal.reason as Error);
    const timer = this.#clock.timer(MAX_WAIT_MS, () =>
      reject(incomplete(`it took longer than ${MAX_WAIT_MS} ms`)),
    );
    body.on('data', onData).once('end', onEnd).once('error', onError).once('close', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      body.resume();
      await promise;
    } finally {
      timer.cancel();
      body.pause();
      body.off('data', onData).off('end', onEnd).off('error', onError).off('close', onError);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

function incomplete(why: string): HttpFailure {
  return new HttpFailure('REQUEST_INCOMPLETE', `Cannot show a body to its authorizer: ${why}`);
}
