// HTTP to the Kubernetes API: one exchange, or one response read line by line. Connections are kept and reused.
// Used by client.ts only. It knows nothing of objects or verbs; a failure here means the server was not reached.

import { Agent as HttpAgent, type IncomingMessage, request as requestPlain } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions, request as requestTls } from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import type { Access } from './kubeconfig.ts';

export type Exchange = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
};
export type Reply = { readonly status: number; readonly body: string };

export interface Transport {
  exchange(exchange: Exchange, signal?: AbortSignal): Promise<Reply>;
  /**
   * Calls `onLine` for each line of a 200 answer until it ends; any other status is returned, not thrown.
   * An exception from `onLine` ends it.
   */
  lines(
    path: string,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): Promise<Reply | undefined>;
}

// The API server answers within its own 60 s request limit; beyond that nobody is there.
const EXCHANGE_TIMEOUT_MS = 65_000;
// A page of 500 of the largest objects Kubernetes stores (1.5 MB) is unlikely to be near this; a broken server may be.
const MAX_BODY_BYTES = 256 * 1024 * 1024;
// One watch event carries one object: at most 1.5 MB in etcd, a little more in JSON.
const MAX_LINE_CHARS = 8 * 1024 * 1024;
// Noticing a dead peer under an idle watch (half-open TCP) takes the kernel's probes.
const KEEP_ALIVE_MS = 15_000;

export function openTransport(access: Access): Transport {
  const plain = access.server.protocol === 'http:';
  const agent = plain
    ? new HttpAgent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS })
    : new HttpsAgent({ keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS });
  const prefix = access.server.pathname.replace(/\/$/, '');

  async function send(exchange: Exchange, signal: AbortSignal): Promise<IncomingMessage> {
    const credentials = await access.credentials();
    signal.throwIfAborted();
    const body = exchange.body === undefined ? undefined : JSON.stringify(exchange.body);
    const options: RequestOptions = {
      ...credentials,
      agent: credentials.agent ?? agent,
      host: access.server.hostname.replace(/^\[|\]$/g, ''),
      port: access.server.port || (plain ? 80 : 443),
      method: exchange.method,
      path: prefix + exchange.path,
      signal,
      headers: {
        ...(credentials.headers as Record<string, string> | undefined),
        accept: 'application/json',
        ...(body === undefined
          ? {}
          : {
              'content-type': exchange.contentType ?? 'application/json',
              'content-length': Buffer.byteLength(body),
            }),
      },
    };
    return sendOnce(plain, options, body);
  }

  return {
    async exchange(exchange, signal) {
      const deadline = AbortSignal.timeout(EXCHANGE_TIMEOUT_MS);
      const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
      const response = await send(exchange, either);
      return { status: response.statusCode ?? 0, body: await readBody(response) };
    },
    async lines(path, onLine, signal) {
      const response = await send({ method: 'GET', path }, signal);
      if (response.statusCode !== 200) {
        return { status: response.statusCode ?? 0, body: await readBody(response) };
      }
      await readLines(response, onLine);
      return undefined;
    },
  };
}

async function sendOnce(
  plain: boolean,
  options: RequestOptions,
  body: string | undefined,
): Promise<IncomingMessage> {
  const attempt = (): Promise<{ response?: IncomingMessage; lostRace?: boolean }> =>
    new Promise((resolve, reject) => {
      const request = plain ? requestPlain(options) : requestTls(options);
      request.once('response', (response) => resolve({ response }));
      request.on('error', (error: NodeJS.ErrnoException) => {
        // the server closed an idle kept connection just as we used it: nothing was processed (RFC 9112, 9.3.1)
        if (request.reusedSocket && error.code === 'ECONNRESET' && isRepeatable(options.method)) {
          resolve({ lostRace: true });
        } else reject(error);
      });
      request.end(body);
    });
  for (let tries = 0; ; tries++) {
    const { response } = await attempt();
    if (response !== undefined) return response;
    // each try takes one stale connection out of the pool; beyond a few the server itself is going away
    if (tries >= 4) {
      throw Object.assign(new Error('The connection was reset'), { code: 'ECONNRESET' });
    }
  }
}

function isRepeatable(method: string | undefined): boolean {
  return method === 'GET' || method === 'PUT' || method === 'PATCH';
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw new RangeError(`Cannot read the answer: it is larger than ${MAX_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function readLines(response: IncomingMessage, onLine: (line: string) => void): Promise<void> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE_CHARS) {
      throw new RangeError(
        `Cannot read a watch event: it is longer than ${MAX_LINE_CHARS} characters`,
      );
    }
    for (const line of lines) if (line !== '') onLine(line);
  }
}
