// Waiting with an AbortSignal beside what is awaited. Called by whoever waits for something that may never come.

/** Resolves when the signal is aborted; at once when it is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * What `promise` gives, or the signal's reason as soon as it is aborted. Who gives up only stops waiting: others may wait
 * for the same answer. Nothing stays on a signal that outlives the wait.
 */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
