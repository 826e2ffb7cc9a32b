// Lets a limited number of pieces of work run at once, the urgent ones first. Used by certificates.ts and enrolment.ts,
// so that a restarted agent with a hundred pods neither floods the CA nor forks a hundred programs.

type Waiting = { readonly urgent: boolean; readonly start: () => void };

export class Turns {
  readonly #limit: number;
  readonly #queue: Waiting[] = [];
  #taken = 0;

  constructor(settings: { readonly limit: number }) {
    this.#limit = settings.limit;
  }

  /** @throws what `work` throws, or `signal.reason` when aborted before its turn came */
  async run<T>(urgent: boolean, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(urgent, signal);
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#taken--;
      else next.start();
    }
  }

  #turn(urgent: boolean, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#taken < this.#limit) {
      this.#taken++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#queue.splice(this.#queue.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      const waiting: Waiting = {
        urgent,
        start: () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      const behind = urgent ? this.#queue.findIndex((other) => !other.urgent) : -1;
      this.#queue.splice(behind < 0 ? this.#queue.length : behind, 0, waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
