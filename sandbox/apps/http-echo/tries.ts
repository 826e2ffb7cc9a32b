// How often each key was tried: what makes `/retry` fail first and succeed then. One for each echo. Invariant: it holds
// MAX_KEYS at most; the key that was new the longest ago is forgotten first.

// a test has a key of its own for each case: a whole run has a few hundred
const MAX_KEYS = 10_000;

export class Tries {
  readonly #counts = new Map<string, number>();

  /** The how manyth try of this key this one is, from 1. */
  count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    if (this.#counts.size > MAX_KEYS) {
      const [oldest] = this.#counts.keys();
      if (oldest !== undefined) this.#counts.delete(oldest);
    }
    return count;
  }
}
