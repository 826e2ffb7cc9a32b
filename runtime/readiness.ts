// What this process still waits for before it may take traffic. Each part holds a named blocker and releases it;
// the ready endpoint lists the names. A part that becomes unready again takes a new blocker.

export class Readiness {
  readonly #pending = new Map<symbol, string>();

  /** Blocks readiness until the returned function is called (more calls do nothing). */
  blocker(name: string): () => void {
    const key = Symbol(name);
    this.#pending.set(key, name);
    return () => {
      this.#pending.delete(key);
    };
  }

  /** The names still waited for, in the order they were taken; empty means ready. */
  pending(): string[] {
    return [...this.#pending.values()];
  }
}
