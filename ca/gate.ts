// Lets a bounded number of tasks run at once and a bounded number wait; the rest is turned away at once, so that a
// storm of requests costs the CA neither memory nor the ones it already serves.

export class GateFullError extends Error {
  override readonly name = 'GateFullError';
}

export class Gate {
  readonly #maxRunning: number;
  readonly #maxWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(settings: { readonly maxRunning: number; readonly maxWaiting: number }) {
    this.#maxRunning = settings.maxRunning;
    this.#maxWaiting = settings.maxWaiting;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** @throws GateFullError when too many wait already; `signal.reason` when aborted before its turn came */
  async pass<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#running >= this.#maxRunning) {
      if (this.#waiting.length >= this.#maxWaiting) {
        throw new GateFullError(
          `Cannot take another request: ${this.#running} run and ${this.#waiting.length} wait. Try again later`,
        );
      }
      // whoever leaves hands its place over: running does not change
      await this.#turn(signal);
    } else this.#running++;
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const start = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      // who has gone holds no place that somebody else could have
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        reject(signal.reason as Error);
      };
      this.#waiting.push(start);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
