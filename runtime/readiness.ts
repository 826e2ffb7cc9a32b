// What this process still waits for before it may take traffic. Each part holds a named blocker and releases it;
// the ready endpoint lists the names. A part that becomes unready again takes a new blocker. Details tell what is worth
// knowing of a process that is ready all the same, such as a state read from disk.

export class Readiness {
  readonly #pending = new Map<symbol, string>();
  readonly #done = new Set<string>();
  readonly #details = new Map<string, () => string>();
  readonly #listeners = new Set<() => void>();

  /** Blocks readiness until the returned function is called (more calls do nothing). */
  blocker(name: string): () => void {
    const key = Symbol(name);
    this.#pending.set(key, name);
    this.#done.delete(name);
    this.#tell();
    return () => {
      if (!this.#pending.delete(key)) return;
      if (!this.pending().includes(name)) this.#done.add(name);
      this.#tell();
    };
  }

  /** A line under `name`, asked for at each report; it never blocks. */
  detail(name: string, tell: () => string): void {
    this.#details.set(name, tell);
  }

  /** The names still waited for, in the order they were taken; empty means ready. */
  pending(): string[] {
    return [...this.#pending.values()];
  }

  /** One line a part: `[+]` done, `[-]` waited for, then the details. */
  report(): string {
    const lines = [
      ...[...this.#done].map((name) => `[+] ${name}`),
      ...this.pending().map((name) => `[-] ${name}`),
      ...[...this.#details].map(([name, tell]) => `    ${name}: ${tell()}`),
    ];
    return lines.map((line) => `${line}\n`).join('');
  }

  /** Called after each change of what is pending. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
