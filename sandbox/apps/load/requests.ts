// New HTTP requests at a constant rate, each on a connection of its own, so that every one asks the network to connect.

import { get } from 'node:http';
import { pause } from './connections.ts';
import { noteFault, type Tally } from './tally.ts';

const TIMEOUT_MS = 10_000;
// What an echo says of itself comes first.
const MAX_BODY_CHARS = 64 * 1024;

/** Until aborted; then waits for the requests in flight. */
export async function keepAsking(
  tally: Tally,
  settings: {
    readonly url: string;
    readonly perSecond: number;
    /** The namespace of the echo that must answer. */
    readonly expect?: string | undefined;
  },
  stop: AbortSignal,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  while (!stop.aborted) {
    const request = ask(settings.url).then(
      (body) => {
        if (isExpected(body, settings.expect)) tally.requests.ok++;
        else {
          tally.requests.wrong++;
          noteFault(tally, `The answer is of somebody else: ${body.slice(0, 200)}`);
        }
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

function isExpected(body: string, namespace: string | undefined): boolean {
  if (namespace === undefined) return true;
  try {
    return (JSON.parse(body) as { readonly namespace?: string }).namespace === namespace;
  } catch {
    return false;
  }
}

/** The body of a 200. */
function ask(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`Cannot get ${url}: ${why}`));
    const request = get(url, { agent: false, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        if (body.length < MAX_BODY_CHARS) body += text;
      });
      response.on('end', () =>
        response.statusCode === 200 ? resolve(body) : fail(`status ${response.statusCode}`),
      );
      response.on('error', (error) => fail(error.message));
    });
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    );
    request.on('error', (error) => fail(error.message));
  });
}
