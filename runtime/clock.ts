// Time as a part that is passed in, so that whatever waits or expires can be tested without waiting.
// systemClock is the only place (with backoff's default randomness) that reads the machine's time.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Unix milliseconds; may jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary start; never jumps. Use it for durations. */
  monotonic(): number;
  /** @throws `signal.reason` when aborted before the time is up */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs once after `ms`; does not keep the process alive. */
  timer(ms: number, run: () => void): Timer;
}

// setTimeout turns anything larger into 1 ms (Node: TimeoutOverflowWarning)
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timeout);
        reject(signal?.reason as Error);
      };
      const timeout = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        Math.min(ms, MAX_TIMEOUT_MS),
      );
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  },
  timer(ms, run) {
    const timeout = setTimeout(run, Math.min(ms, MAX_TIMEOUT_MS));
    timeout.unref();
    return { cancel: () => clearTimeout(timeout) };
  },
};
