// A request's body on its way to an endpoint, kept while it is short, so that another endpoint can be sent the same.
// Made by forward.ts for each request. Invariant: what was let go of is never sent again as if it were whole.

import type { Readable, Writable } from 'node:stream';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { RequestBody } from './upstream.ts';

/** What a try may have to be repeated with; longer bodies go out once. */
export const REPLAY_BYTES = 64 * 1024;

export class ReplayBody implements RequestBody {
  readonly #source: Readable;
  readonly #trailers: () => HeaderList;
  readonly #watch: (chunk: Buffer) => void;
  #kept: Buffer[] | undefined = [];
  #bytes = 0;
  #ended = false;
  #to: { readonly sink: Writable; readonly trailers: (list: HeaderList) => void } | undefined;

  /** `watch` is shown each of the client's bytes once; `first` was read of the source before. */
  constructor(
    source: Readable,
    trailers: () => HeaderList,
    watch: (chunk: Buffer) => void,
    first: readonly Buffer[] = [],
  ) {
    this.#source = source;
    this.#trailers = trailers;
    this.#watch = watch;
    for (const chunk of first) this.#keep(chunk);
    this.#ended = source.readableEnded;
    source.pause();
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.once('end', () => {
      this.#ended = true;
      this.#finish();
    });
    source.pause();
  }

  /** Whether all that was sent so far can be sent again. */
  get replayable(): boolean {
    return this.#kept !== undefined;
  }

  attach(sink: Writable, trailers: (list: HeaderList) => void): () => void {
    this.#to = { sink, trailers };
    const onDrain = (): void => void this.#source.resume();
    sink.on('drain', onDrain);
    let room = true;
    for (const chunk of this.#kept ?? []) room = sink.write(chunk);
    this.#forget();
    if (this.#ended) this.#finish();
    else if (room) this.#source.resume();
    return () => {
      sink.off('drain', onDrain);
      if (this.#to?.sink !== sink) return;
      this.#to = undefined;
      if (!this.#ended) this.#source.pause();
    };
  }

  /** No further try: what is kept is let go of. */
  settle(): void {
    this.#kept = undefined;
  }

  #take(chunk: Buffer): void {
    this.#keep(chunk);
    if (this.#to !== undefined) this.#forget();
    if (this.#to === undefined || !this.#to.sink.write(chunk)) this.#source.pause();
  }

  #keep(chunk: Buffer): void {
    this.#watch(chunk);
    this.#bytes += chunk.length;
    this.#kept?.push(chunk);
  }

  /** Not before somebody was sent it. */
  #forget(): void {
    if (this.#bytes > REPLAY_BYTES) this.#kept = undefined;
  }

  #finish(): void {
    if (this.#to === undefined) return;
    this.#to.trailers(this.#trailers());
    this.#to.sink.end();
  }
}
