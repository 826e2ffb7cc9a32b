// New HTTP requests at a constant rate: each on a connection of its own, so that every one asks the network to connect, or
// on connections that are kept.

import { Agent, get } from 'node:http';
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
    /** So many connections, each used in turn; 0: one for each request. */
    readonly kept?: number;
    /** How often a request is asked again whose connection broke. */
    readonly retries?: number;
  },
  stop: AbortSignal,
): Promise<void> {
  const { url, kept = 0, retries = 0 } = settings;
  const agent = kept > 0 && new Agent({ keepAlive: true, maxSockets: kept, scheduling: 'fifo' });
  const inFlight = new Set<Promise<void>>();
  const asked = async (left: number, way = agent): Promise<string> => {
    try {
      return await ask(url, way);
    } catch (error) {
      if (left === 0 || !(error instanceof BrokenError)) throw error;
      tally.requests.retried++;
      noteFault(tally, `asked again: ${error.message}`);
      // others that are kept may have broken with it
      return asked(left - 1, false);
    }
  };
  while (!stop.aborted) {
    const request = asked(retries).then(
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
  if (agent !== false) agent.destroy();
}

function isExpected(body: string, namespace: string | undefined): boolean {
  if (namespace === undefined) return true;
  try {
    return (JSON.parse(body) as { readonly namespace?: string }).namespace === namespace;
  } catch {
    return false;
  }
}

/** No whole answer came. */
class BrokenError extends Error {}

/** The body of a 200. @throws BrokenError, or Error for another status */
function ask(url: string, agent: Agent | false): Promise<string> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const broken = ({ message }: Error): void => {
      const kept = request.reusedSocket ? ' on a kept connection' : '';
      const after = Math.round(performance.now() - began);
      reject(new BrokenError(`Cannot get ${url}${kept} after ${after} ms: ${message}`));
    };
    const request = get(url, { agent, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        if (body.length < MAX_BODY_CHARS) body += text;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(body);
        else
          reject(
            new Error(`Cannot get ${url}: status ${response.statusCode} ${body.slice(0, 200)}`),
          );
      });
      response.on('error', broken);
    });
    request.on('timeout', () =>
      request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    );
    request.on('error', broken);
  });
}
