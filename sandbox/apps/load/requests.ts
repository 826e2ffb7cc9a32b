// New HTTP requests at a constant rate, each on a connection of its own, so that every one asks the network to connect.

import { get } from 'node:http';
import { pause } from './connections.ts';
import { noteFault, type Tally } from './tally.ts';

const TIMEOUT_MS = 10_000;

/** Until aborted; then waits for the requests in flight. */
export async function keepAsking(
  tally: Tally,
  settings: { readonly url: string; readonly perSecond: number },
  stop: AbortSignal,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  while (!stop.aborted) {
    const request = ask(settings.url).then(
      () => {
        tally.requests.ok++;
      },
      (error: Error) => {
        tally.requests.failed++;
        noteFault(tally, error.message);
      },
    );
    inFlight.add(request);
    void request.finally(() => inFlight.delete(request));
    await pause(1000 / settings.perSecond, stop);
  }
  await Promise.all(inFlight);
}

function ask(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Cannot get ${url}: ${why}`));
    const request = get(url, { agent: false, timeout: TIMEOUT_MS }, (response) => {
      response.resume();
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : fail(`status ${response.statusCode}`),
      );
      response.on('error', (error) => fail(error.message));
    });
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    );
    request.on('error', (error) => fail(error.message));
  });
}
