// Waiting with an AbortSignal beside what is awaited. Called by whoever waits for something that may never come.

/** Resolves when the signal is aborted; at once when it is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** What `promise` gives, or the signal's reason as soon as it is aborted. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return Promise.race([
    promise,
    aborted(signal).then(() => {
      throw signal.reason;
    }),
  ]);
}
