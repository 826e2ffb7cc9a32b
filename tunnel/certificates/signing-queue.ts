// Who asks the CA next: a bounded number of requests under way, and of those that wait the most urgent first. Called by
// held-certificate.ts. Invariant: never more than the limit run, and one that became more urgent moves ahead.

/** realtime: a connection waits for it. warmup: a pod is about to need it. background: a renewal, long before the end. */
export type Priority = 'realtime' | 'warmup' | 'background';

const ORDER = ['realtime', 'warmup', 'background'] as const satisfies Priority[];

type Waiting = { readonly start: () => void };

export type Ticket<T> = {
  readonly done: Promise<T>;
  /** Moves it ahead while it waits; never back. */
  promote(priority: Priority): void;
};

export class SigningQueue {
  readonly #limit: number;
  readonly #waiting: Record<Priority, Set<Waiting>> = {
    realtime: new Set(),
    warmup: new Set(),
    background: new Set(),
  };
  #running = 0;

  constructor(settings: { readonly limit: number }) {
    this.#limit = settings.limit;
  }

  get running(): number {
    return this.#running;
  }

  waiting(priority: Priority): number {
    return this.#waiting[priority].size;
  }

  /** `done` rejects with what `work` throws, or with `signal.reason` when aborted before its turn came. */
  run<T>(priority: Priority, work: () => Promise<T>, signal: AbortSignal): Ticket<T> {
    const { turn, promote } = this.#line(priority, signal);
    const done = turn.then(async () => {
      try {
        return await work();
      } finally {
        this.#next();
      }
    });
    return { done, promote };
  }

  #line(
    priority: Priority,
    signal: AbortSignal,
  ): { turn: Promise<void>; promote: (priority: Priority) => void } {
    const nothing = (): void => {};
    if (signal.aborted) {
      return { turn: Promise.reject(signal.reason as Error), promote: nothing };
    }
    if (this.#running < this.#limit) {
      this.#running++;
      return { turn: Promise.resolve(), promote: nothing };
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let place = priority;
    const onAbort = (): void => {
      this.#waiting[place].delete(waiting);
      reject(signal.reason as Error);
    };
    const waiting: Waiting = {
      start: () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      },
    };
    this.#waiting[place].add(waiting);
    signal.addEventListener('abort', onAbort, { once: true });
    return {
      turn: promise,
      promote: (to) => {
        if (ORDER.indexOf(to) >= ORDER.indexOf(place)) return;
        if (!this.#waiting[place].delete(waiting)) return;
        this.#waiting[to].add(waiting);
        place = to;
      },
    };
  }

  /** Whoever leaves hands its place to the next: the number that runs does not change. */
  #next(): void {
    for (const priority of ORDER) {
      const [first] = this.#waiting[priority];
      if (first === undefined) continue;
      this.#waiting[priority].delete(first);
      first.start();
      return;
    }
    this.#running--;
  }
}
