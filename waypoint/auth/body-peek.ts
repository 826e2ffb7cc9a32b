// The beginning of a request's body, read ahead for an authorization service that wants to see it, and given to whoever
// sends the request on. Made by guard.ts for a request. Invariants: what was read is in `read`, in order and once, and the
// rest is still in the source; what all requests hold together is bounded.

import type { Readable } from 'node:stream';
import { HttpFailure } from '../../mesh/http-failures.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { PeekBody } from './external-authorization.ts';

/** Who sends its body more slowly keeps an authorization waiting, and what is held of it in memory. */
const MAX_WAIT_MS = 15_000;

/** Of all requests of a waypoint: what it may spend on waiting for authorization services. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** What the requests of one waypoint hold of their bodies together. */
export class PeekBudget {
  readonly #maxBytes: number;
  #held = 0;

  constructor(maxBytes = MAX_HELD_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** @throws HttpFailure OVERLOADED */
  take(bytes: number): void {
    if (this.#held + bytes > this.#maxBytes) {
      throw new HttpFailure(
        'OVERLOADED',
        `Cannot show a body to its authorizer: ${this.#held} bytes of others wait already`,
      );
    }
    this.#held += bytes;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

type Source = {
  readonly body: Readable;
  readonly expectsContinue: boolean;
  continue(): void;
};

export class BodyPeek {
  readonly #clock: Clock;
  readonly #budget: PeekBudget;
  readonly #source: Source;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  /** Of the budget. */
  #taken = 0;
  #ended = false;
  #asked = false;

  constructor(parts: { readonly clock: Clock; readonly budget: PeekBudget }, source: Source) {
    this.#clock = parts.clock;
    this.#budget = parts.budget;
    this.#source = source;
  }

  /** All that was taken out of the source. */
  get read(): readonly Buffer[] {
    return this.#chunks;
  }

  /** Once the request has ended. */
  release(): void {
    this.#budget.give(this.#taken);
    this.#taken = 0;
  }

  /** @throws HttpFailure REQUEST_INCOMPLETE, OVERLOADED; `signal.reason` */
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
      try {
        this.#budget.take(chunk.length);
        this.#taken += chunk.length;
      } catch (error) {
        reject(error as Error);
        return;
      }
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
