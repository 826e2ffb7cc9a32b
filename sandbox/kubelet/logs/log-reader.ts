// Reads a container's log as `kubectl logs` wants it: from a line, an instant, cut at a size, and on as it grows.
// Called by server.ts. Text leaves as the container wrote it: partial entries are joined again.

import { open, readFile } from 'node:fs/promises';
import { parseTime } from '../time.ts';
import type { ContainerLog } from './container-log.ts';

export type LogOptions = {
  readonly follow: boolean;
  readonly timestamps: boolean;
  /** Last lines to begin with; undefined: all there is. */
  readonly tailLines?: number;
  /** Unix milliseconds. */
  readonly since?: number;
  readonly limitBytes?: number;
};

/** Ends with the container's run, or at once when not following. */
export async function* readLog(
  log: ContainerLog,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  const cut = (bytes: Buffer): Buffer => {
    const part = bytes.subarray(0, Math.min(left, bytes.length));
    left -= part.length;
    return part;
  };
  const changes = watchChanges(log, signal);
  try {
    const position = { generation: log.generation, offset: 0 };
    const rotated = await readFile(log.rotatedPath).catch(() => Buffer.alloc(0));
    const first = await rest(log, position);
    const kept = lastEntries(splitEntries(Buffer.concat([rotated, first])), options);
    const begin = cut(format(kept, options));
    if (begin.length > 0) yield begin;

    while (options.follow && left > 0) {
      // in this order: a line between the two is seen by the next turn
      const isLast = log.closed;
      const bytes = await rest(log, position);
      const more = cut(format(splitEntries(bytes), options));
      if (more.length > 0) yield more;
      if (isLast || left === 0 || signal.aborted) return;
      await changes.next();
    }
  } finally {
    changes.stop();
  }
}

type Changes = { next(): Promise<void>; stop(): void };

/** Remembers a change that came while nobody was waiting. */
function watchChanges(log: ContainerLog, signal: AbortSignal): Changes {
  let gate = Promise.withResolvers<void>();
  const open = (): void => gate.resolve();
  const unsubscribe = log.subscribe(open);
  signal.addEventListener('abort', open, { once: true });
  return {
    async next() {
      if (!signal.aborted) await gate.promise;
      gate = Promise.withResolvers<void>();
    },
    stop() {
      unsubscribe();
      signal.removeEventListener('abort', open);
    },
  };
}

type Position = { generation: number; offset: number };

/** What was written after `position`, which moves on. Two rotations between two reads lose what was between them. */
async function rest(log: ContainerLog, position: Position): Promise<Buffer> {
  const parts: Buffer[] = [];
  if (position.generation !== log.generation) {
    parts.push(await readFrom(log.rotatedPath, position.offset));
    position.generation = log.generation;
    position.offset = 0;
  }
  const bytes = await readFrom(log.path, position.offset);
  position.offset += bytes.length;
  parts.push(bytes);
  return Buffer.concat(parts);
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.max(0, size - offset));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

type Entry = { readonly stamp: string; readonly partial: boolean; readonly text: Buffer };

/** Exported for its test: the inverse of what ContainerLog writes. */
export function splitEntries(bytes: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let start = 0; start < bytes.length; ) {
    const found = bytes.indexOf(0x0a, start);
    const end = found < 0 ? bytes.length : found;
    const line = bytes.subarray(start, end);
    const afterStamp = line.indexOf(0x20);
    const afterStream = line.indexOf(0x20, afterStamp + 1);
    entries.push({
      stamp: line.subarray(0, afterStamp).toString(),
      partial: line[afterStream + 1] === 0x50,
      text: line.subarray(afterStream + 3),
    });
    start = end + 1;
  }
  return entries;
}

function lastEntries(entries: readonly Entry[], options: LogOptions): readonly Entry[] {
  const { since, tailLines } = options;
  const recent =
    since === undefined ? entries : entries.filter(({ stamp }) => (parseTime(stamp) ?? 0) >= since);
  if (tailLines === undefined) return recent;
  let lines = 0;
  for (let index = recent.length - 1; index >= 0; index--) {
    if (recent[index]?.partial === false) lines += 1;
    if (lines > tailLines) return recent.slice(index + 1);
  }
  return tailLines === 0 ? [] : recent;
}

function format(entries: readonly Entry[], options: LogOptions): Buffer {
  const parts: Buffer[] = [];
  let midLine = false;
  for (const { stamp, partial, text } of entries) {
    if (options.timestamps && !midLine) parts.push(Buffer.from(`${stamp} `));
    parts.push(text);
    if (!partial) parts.push(Buffer.from('\n'));
    midLine = partial;
  }
  return Buffer.concat(parts);
}
