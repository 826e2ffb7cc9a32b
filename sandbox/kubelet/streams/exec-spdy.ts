// exec and attach over SPDY/3.1: the client opens one stream for each channel, named by the header `streamType`.
// Called by attach.ts once the connection is upgraded. Protocol v4: the outcome goes to the stream "error" as JSON.

import type { Duplex } from 'node:stream';
import type { Clock } from '../../../runtime/clock.ts';
import type { ExecRequest } from './request.ts';
import { runExec } from './run-exec.ts';
import { StreamProtocolError, type StreamSession } from './session.ts';
import { SpdyConnection } from './spdy/connection.ts';
import type { SpdyStream } from './spdy/stream.ts';

/** A client opens all its streams at once; one that does not within this time never will. */
export const STREAMS_TIMEOUT_MS = 30_000;
/**
 * The client closes once it has read the outcome. Closing first would race with it: kubectl drops what it has not yet
 * handed on when the connection ends.
 */
const CLOSE_GRACE_MS = 5_000;

export async function execOverSpdy(
  parts: { readonly transport: Duplex; readonly clock: Clock },
  request: ExecRequest,
  exec: NonNullable<StreamSession['exec']>,
  signal: AbortSignal,
): Promise<void> {
  const { transport, clock } = parts;
  const streams = new ExpectedStreams(request);
  const gone = new AbortController();
  const connection = new SpdyConnection({ transport, onStream: (stream) => streams.add(stream) });
  const served = connection.serve(signal).finally(() => gone.abort());
  const timeout = clock.timer(STREAMS_TIMEOUT_MS, () => transport.destroy());
  const command = (async () => {
    const all = await streams.complete(gone.signal);
    timeout.cancel();
    if (all === undefined) return;
    all.error.resume();
    await runExec(
      {
        error: all.error,
        stdin: all.stdin,
        stdout: all.stdout?.resume(),
        stderr: all.stderr?.resume(),
        resize: all.resize,
      },
      request.tty,
      exec,
      gone.signal,
    );
  })();
  const ended = command.then(() => clock.timer(CLOSE_GRACE_MS, () => connection.close()));
  try {
    await served;
  } finally {
    (await ended).cancel();
  }
}

type Streams = { readonly error: SpdyStream } & {
  readonly [name in 'stdin' | 'stdout' | 'stderr' | 'resize']?: SpdyStream;
};

class ExpectedStreams {
  readonly #missing: Set<string>;
  readonly #arrived: Record<string, SpdyStream> = {};
  readonly #complete = Promise.withResolvers<Streams | undefined>();

  constructor(request: ExecRequest) {
    this.#missing = new Set(['error']);
    if (request.stdin) this.#missing.add('stdin');
    if (request.stdout) this.#missing.add('stdout');
    if (request.stderr) this.#missing.add('stderr');
    if (request.tty) this.#missing.add('resize');
  }

  add(stream: SpdyStream): void {
    const type = stream.headers.get('streamtype') ?? '';
    if (!this.#missing.delete(type)) {
      stream.destroy(new StreamProtocolError(`Cannot take stream "${type}": it was not asked for`));
      return;
    }
    this.#arrived[type] = stream;
    const { error, ...others } = this.#arrived;
    if (this.#missing.size === 0 && error !== undefined) {
      this.#complete.resolve({ error, ...others });
    }
  }

  /** Undefined when the client left before it opened them all. */
  complete(gone: AbortSignal): Promise<Streams | undefined> {
    gone.addEventListener('abort', () => this.#complete.resolve(undefined), { once: true });
    return this.#complete.promise;
  }
}
