// How much of a SPDY/3.1 peer's credit is left, for each stream and for the connection (section 2.8). Pure bookkeeping.
// The Go library behind kubectl never grants credit and has no windows at all; so credit counts only from the first
// WINDOW_UPDATE or SETTINGS on: until a peer shows that it takes part, TCP is the only brake.

import { SETTING_INITIAL_WINDOW, type Setting } from './frames.ts';

/** Section 2.8: what every window starts with. */
export const INITIAL_WINDOW_BYTES = 64 * 1024;
const MAX_WINDOW_BYTES = 2 ** 31 - 1;

export class SendWindows {
  readonly #streams = new Map<number, number>();
  #initial = INITIAL_WINDOW_BYTES;
  #connection = INITIAL_WINDOW_BYTES;
  #takesPart = false;

  open(streamId: number): void {
    this.#streams.set(streamId, this.#initial);
  }

  forget(streamId: number): void {
    this.#streams.delete(streamId);
  }

  /** Takes up to `wanted` bytes of credit and says how much it got. */
  take(streamId: number, wanted: number): number {
    const stream = this.#streams.get(streamId) ?? 0;
    const granted = this.#takesPart
      ? Math.max(0, Math.min(wanted, stream, this.#connection))
      : wanted;
    this.#streams.set(streamId, stream - granted);
    this.#connection -= granted;
    return granted;
  }

  /** @param streamId 0 for the connection */
  grant(streamId: number, delta: number): void {
    this.#start();
    if (streamId === 0) {
      this.#connection = Math.min(this.#connection + delta, MAX_WINDOW_BYTES);
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) {
      this.#streams.set(streamId, Math.min(stream + delta, MAX_WINDOW_BYTES));
    }
  }

  configure(settings: readonly Setting[]): void {
    for (const { id, value } of settings) {
      if (id !== SETTING_INITIAL_WINDOW) continue;
      this.#start();
      const change = value - this.#initial;
      this.#initial = value;
      for (const [streamId, left] of this.#streams) this.#streams.set(streamId, left + change);
    }
  }

  #start(): void {
    this.#takesPart = true;
  }
}

/** Credit to give back for bytes that were taken in, in portions worth a frame. */
export class ReceiveWindows {
  readonly #owed = new Map<number, number>();

  /** Counts `bytes` for `id` (0: the connection); the credit to grant now, 0 for not yet. */
  consumed(id: number, bytes: number): number {
    const owed = (this.#owed.get(id) ?? 0) + bytes;
    const due = owed >= INITIAL_WINDOW_BYTES / 2;
    this.#owed.set(id, due ? 0 : owed);
    return due ? owed : 0;
  }

  forget(id: number): void {
    this.#owed.delete(id);
  }
}
