// Keeps what a proxy knows on its disk, so that a restart while the control plane is away starts from it. Used by the
// discovery client. Invariants: the disk is never waited for, and nothing that is wrong with it is worse than a log line.

import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock, Timer } from './clock.ts';
import type { Log } from './log.ts';
import { decodeSaved, encodeSaved, type Saved, type SavedResources } from './saved-snapshot.ts';

export type SnapshotStoreSettings = {
  readonly path: string;
  readonly cluster: string;
  readonly node: string;
  /** An older one is not started from: who has an address changes with the days. */
  readonly maxAgeMs: number;
};

/** Changes come in bursts; at most this much of what was learnt is lost, and the control plane tells it again. */
const SETTLE_MS = 5000;
/** After a failure: a full disk is not mended within seconds. */
const RETRY_MS = 60_000;
/** Tens of thousands of workloads; more is most likely not ours. */
const MAX_BYTES = 256 * 1024 * 1024;

export class SnapshotStore {
  readonly #parts: { readonly clock: Clock; readonly log: Log };
  readonly #settings: SnapshotStoreSettings;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  #failures = 0;

  constructor(
    parts: { readonly clock: Clock; readonly log: Log },
    settings: SnapshotStoreSettings,
  ) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** How often it could not be written. */
  get failures(): number {
    return this.#failures;
  }

  /** What was kept; undefined when there is nothing to start from, with the reason in the log. */
  async load(): Promise<Saved | undefined> {
    const { clock, log } = this.#parts;
    const { path, cluster, node, maxAgeMs } = this.#settings;
    try {
      const { size } = await stat(path);
      if (size > MAX_BYTES) throw new Error(`it has ${size} bytes`);
      const saved = decodeSaved(await readFile(path), { cluster, node });
      const ageMs = clock.now() - saved.savedAt;
      if (ageMs > maxAgeMs) throw new Error(`it is ${Math.round(ageMs / 60_000)} minutes old`);
      return saved;
    } catch (error) {
      if (isMissing(error)) return undefined;
      log.warn('Ignored the saved snapshot: starting without it', { path, why: wordsOf(error) });
      return undefined;
    }
  }

  /** Something has changed: `read` is called when it is time to write. */
  changed(read: () => SavedResources): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#after(SETTLE_MS, read);
  }

  /** Writes nothing any more; a write under way is waited for. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#writing;
  }

  #after(ms: number, read: () => SavedResources): void {
    this.#timer = this.#parts.clock.timer(ms, () => {
      this.#writing = this.#write(read).then((done) => {
        this.#timer = undefined;
        this.#writing = undefined;
        if (!done && !this.#closed) this.#after(RETRY_MS, read);
      });
    });
  }

  async #write(read: () => SavedResources): Promise<boolean> {
    const { clock, log } = this.#parts;
    const { path, cluster, node } = this.#settings;
    // another agent of this node may write at the same time: whole files, each under a name of its own until it is done
    const part = `${path}.${randomUUID()}`;
    try {
      const bytes = encodeSaved({ cluster, node, savedAt: clock.now(), resources: read() });
      if (bytes.length > MAX_BYTES) throw new Error(`it would have ${bytes.length} bytes`);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const file = await open(part, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        // a file that has its name but not its bytes would be of no use after a crash of the machine
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(part, path);
      return true;
    } catch (error) {
      this.#failures++;
      log.warn('Cannot save the snapshot: a restart needs the control plane', {
        path,
        retryMs: RETRY_MS,
        why: wordsOf(error),
      });
      await rm(part, { force: true }).catch(() => {});
      return false;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
