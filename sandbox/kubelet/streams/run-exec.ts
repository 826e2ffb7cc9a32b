// One command run over a client's channels, whatever protocol carries them: feeds it, waits for it, reports its end.
// Called by exec-spdy.ts and exec-websocket.ts. The outcome is reported after the last byte of output, exactly once.

import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { messageOf, outcomeStatus } from './outcome.ts';
import type { ExecOutcome, StreamSession, TerminalSize } from './session.ts';

export type ExecChannels = {
  readonly stdin?: Readable | undefined;
  readonly stdout?: Writable | undefined;
  readonly stderr?: Writable | undefined;
  /** JSON objects `{"Width":80,"Height":24}`, one after the other. */
  readonly resize?: Readable | undefined;
  /** Takes the outcome as JSON; the client may close when it has it. */
  readonly error: Writable;
};

/** A size is some thirty bytes; a client that sends more without an end is not talking about sizes. */
const MAX_SIZE_BYTES = 1024;

/** @param gone aborted when the client is gone */
export async function runExec(
  channels: ExecChannels,
  tty: boolean,
  exec: NonNullable<StreamSession['exec']>,
  gone: AbortSignal,
): Promise<void> {
  const { stdin, stdout, stderr, error } = channels;
  for (const stream of [stdin, stdout, stderr, error]) {
    // a client that leaves breaks its channels; `gone` tells the command
    stream?.on('error', () => {});
  }
  const outcome = await outcomeOf(() =>
    exec({
      ...(stdin === undefined ? {} : { stdin }),
      ...(stdout === undefined ? {} : { stdout }),
      ...(stderr === undefined ? {} : { stderr }),
      tty,
      resize: terminalSizes(channels.resize),
      signal: gone,
    }),
  );
  await Promise.all([finish(stdout), finish(stderr)]);
  if (error.writable) error.write(JSON.stringify(outcomeStatus(outcome)));
  await finish(error);
  // nobody reads what the client still types
  stdin?.resume();
}

async function outcomeOf(exec: () => Promise<ExecOutcome>): Promise<ExecOutcome> {
  try {
    return await exec();
  } catch (error) {
    return { error: messageOf(error) };
  }
}

async function finish(stream: Writable | undefined): Promise<void> {
  if (stream === undefined || stream.destroyed) return;
  stream.end();
  try {
    await finished(stream, { readable: false });
  } catch {
    // the client is gone: nothing to deliver to
  }
}

/** Remembers the last size, so that a listener that comes late starts with it. */
function terminalSizes(
  resize: Readable | undefined,
): (listener: (size: TerminalSize) => void) => void {
  const listeners: ((size: TerminalSize) => void)[] = [];
  let last: TerminalSize | undefined;
  let held = '';
  resize?.on('error', () => {});
  resize?.on('data', (chunk: Buffer) => {
    held += chunk.toString('utf8');
    const objects = held.split('}');
    held = (objects.pop() ?? '').slice(0, MAX_SIZE_BYTES);
    for (const text of objects) {
      const size = parseSize(`${text}}`);
      if (size === undefined) continue;
      last = size;
      for (const listener of listeners) listener(size);
    }
  });
  return (listener) => {
    listeners.push(listener);
    if (last !== undefined) listener(last);
  };
}

/** Undefined for what is no size: a wrong one must not end the command. */
function parseSize(text: string): TerminalSize | undefined {
  try {
    const value = JSON.parse(text) as { readonly Width?: unknown; readonly Height?: unknown };
    const { Width: width, Height: height } = value;
    if (!isDimension(width) || !isDimension(height)) return undefined;
    return { width, height };
  } catch {
    return undefined;
  }
}

function isDimension(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536;
}
