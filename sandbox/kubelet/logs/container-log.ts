// A container run's output as a file in CRI form: `<RFC 3339 instant> stdout|stderr F|P <text>`. Written by the
// container's start, read by log-reader.ts. Invariants: a line is written whole or marked P (partial); at most two files
// of `maxBytes` exist; lines of one stream keep their order.

import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../../../runtime/clock.ts';
import { rfc3339Nano } from '../time.ts';

export type StreamName = 'stdout' | 'stderr';

// CRI's own limit for one entry; longer lines are several entries marked P
const MAX_LINE_BYTES = 16 * 1024;
const LINE_FEED = 0x0a;

export class ContainerLog {
  readonly path: string;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #listeners = new Set<() => void>();
  #fd: number | undefined;
  #bytes = 0;
  #generation = 0;

  constructor(
    parts: { readonly clock: Clock },
    settings: { readonly path: string; readonly maxBytes: number },
  ) {
    this.path = settings.path;
    this.#clock = parts.clock;
    this.#maxBytes = settings.maxBytes;
  }

  open(): void {
    mkdirSync(dirname(this.path), { recursive: true });
    this.#fd = openSync(this.path, 'a');
  }

  /** Where the file's bytes went before this generation: the file of the one before. */
  get rotatedPath(): string {
    return `${this.path}.1`;
  }

  /** How often the file was moved away: a reader's offset counts only within one generation. */
  get generation(): number {
    return this.#generation;
  }

  get closed(): boolean {
    return this.#fd === undefined;
  }

  /** Copies `source` line by line until it ends; resolves then. */
  async copy(stream: StreamName, source: Readable): Promise<void> {
    let pending: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of source) {
        pending = this.#writeLines(stream, Buffer.concat([pending, chunk as Buffer]));
      }
    } catch {
      // the pipe of a killed process: what was read is kept
    }
    if (pending.length > 0) this.#append([[stream, 'F', pending]]);
  }

  /** @returns what is no whole line yet */
  #writeLines(stream: StreamName, bytes: Buffer): Buffer {
    const entries: [StreamName, 'F' | 'P', Buffer][] = [];
    let start = 0;
    for (;;) {
      const end = bytes.indexOf(LINE_FEED, start);
      const length = (end < 0 ? bytes.length : end) - start;
      if (length > MAX_LINE_BYTES) {
        entries.push([stream, 'P', bytes.subarray(start, start + MAX_LINE_BYTES)]);
        start += MAX_LINE_BYTES;
        continue;
      }
      if (end < 0) break;
      entries.push([stream, 'F', bytes.subarray(start, end)]);
      start = end + 1;
    }
    this.#append(entries);
    return Buffer.from(bytes.subarray(start));
  }

  /** Synchronous: an entry is in the file before a reader is told, and the page cache takes it in microseconds. */
  #append(entries: readonly [StreamName, 'F' | 'P', Buffer][]): void {
    if (this.#fd === undefined || entries.length === 0) return;
    const stamp = rfc3339Nano(this.#clock.now());
    const text = Buffer.concat(
      entries.flatMap(([stream, tag, line]) => [
        Buffer.from(`${stamp} ${stream} ${tag} `),
        line,
        Buffer.from('\n'),
      ]),
    );
    if (this.#bytes > 0 && this.#bytes + text.length > this.#maxBytes) this.#rotate();
    if (this.#fd !== undefined) this.#bytes += writeSync(this.#fd, text);
    this.#tell();
  }

  #rotate(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    renameSync(this.path, this.rotatedPath);
    this.#fd = openSync(this.path, 'a');
    this.#bytes = 0;
    this.#generation += 1;
  }

  /** Told of each new entry and of the end. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#tell();
  }

  delete(): void {
    this.close();
    for (const path of [this.path, this.rotatedPath]) rmSync(path, { force: true });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
