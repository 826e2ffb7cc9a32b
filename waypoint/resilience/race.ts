// The first good end of several runs of the same thing, each begun later than the one before. Called by forward.ts for
// requests that are hedged. Invariant: those that lose are cancelled, and one that ends after that is cancelled too.

import type { Clock, Timer } from '../../runtime/clock.ts';

export type Run<T> = { readonly end: Promise<T>; cancel(): void };

export type RaceParts<T> = {
  readonly clock: Pick<Clock, 'timer'>;
  /** How long after the latest run the next one begins; undefined: there is none. */
  readonly nextAfterMs: (runs: number) => number | undefined;
  /** undefined: it may not begin after all. */
  readonly begin: (runs: number) => Run<T> | undefined;
  readonly isGood: (end: T) => boolean;
};

/** The first good end; when there is none, the last one. */
export function race<T>(first: Run<T>, parts: RaceParts<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const running = new Set<Run<T>>();
    let count = 0;
    let timer: Timer | undefined;
    let over = false;
    const settle = (run: Run<T>, finish: () => void): void => {
      over = true;
      timer?.cancel();
      for (const other of running) if (other !== run) other.cancel();
      finish();
    };
    const add = (run: Run<T>): void => {
      running.add(run);
      count++;
      run.end.then(
        (end) => {
          running.delete(run);
          if (over) run.cancel();
          else if (parts.isGood(end) || running.size === 0) settle(run, () => resolve(end));
          else run.cancel();
        },
        (error: unknown) => {
          running.delete(run);
          if (!over && running.size === 0) settle(run, () => reject(error as Error));
        },
      );
      const afterMs = parts.nextAfterMs(count);
      if (afterMs === undefined) return;
      timer = parts.clock.timer(afterMs, () => {
        const next = over ? undefined : parts.begin(count);
        if (next !== undefined) add(next);
      });
    };
    add(first);
  });
}
