// The three small HTTP doors every component has: admin (loopback only, for people and the cli), metrics and readiness.
// Started by each composition root; closed by it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Readiness } from './readiness.ts';

export type Answer = {
  readonly status?: number;
  readonly contentType?: string;
  readonly body: string;
};
export type Route = (request: {
  readonly method: string;
  readonly url: URL;
}) => Answer | Promise<Answer>;
export type Door = { readonly host: string; readonly port: number };

export type Admin = {
  readonly ports: { readonly admin: number; readonly metrics: number; readonly ready: number };
  close(): Promise<void>;
};

// An admin request has no body to speak of; a client that dawdles must not hold a socket for ever.
const REQUEST_TIMEOUT_MS = 10_000;

export async function startAdmin(
  parts: { readonly log: Log; readonly metrics: Metrics; readonly readiness: Readiness },
  settings: { readonly admin: Door; readonly metrics: Door; readonly ready: Door },
  routes: Readonly<Record<string, Route>> = {},
): Promise<Admin> {
  const scrape: Route = async () => ({
    contentType: parts.metrics.contentType,
    body: await parts.metrics.text(),
  });
  const ready: Route = ({ method }) => readyAnswer(method, parts.readiness.pending());
  const servers: Server[] = [];
  const open = async (door: Door, table: Readonly<Record<string, Route>>): Promise<number> => {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void answer(table, request, response, parts.log);
    });
    await listen(server, door);
    servers.push(server);
    return (server.address() as AddressInfo).port;
  };
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closeServer));
  };
  try {
    return {
      ports: {
        admin: await open(settings.admin, {
          '/ready': ready,
          '/metrics': scrape,
          '/logging': loggingRoute(parts.log),
          ...routes,
        }),
        metrics: await open(settings.metrics, { '/metrics': scrape, '/stats/prometheus': scrape }),
        ready: await open(settings.ready, { '/healthz/ready': ready }),
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** 200 `ready`, 500 with the blockers, 405 for anything but GET: as the reference node proxy answers. */
function readyAnswer(method: string, pending: readonly string[]): Answer {
  if (method !== 'GET') return { status: 405, body: 'Cannot answer: only GET is served here\n' };
  if (pending.length === 0) return { body: 'ready\n' };
  return { status: 500, body: `not ready, pending: ${pending.join(', ')}\n` };
}

function loggingRoute(log: Log): Route {
  return ({ method, url }) => {
    const level = url.searchParams.get('level');
    if (method !== 'POST')
      return { status: 405, body: 'Cannot answer: use POST /logging?level=debug\n' };
    if (level !== 'debug' && level !== 'info' && level !== 'warn' && level !== 'error') {
      return {
        status: 400,
        body: `Cannot set log level "${level}": use debug, info, warn or error\n`,
      };
    }
    log.setLevel(level);
    return { body: `log level is ${level}\n` };
  };
}

async function answer(
  table: Readonly<Record<string, Route>>,
  request: IncomingMessage,
  response: ServerResponse,
  log: Log,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://admin');
  const route = Object.hasOwn(table, url.pathname) ? table[url.pathname] : undefined;
  let result: Answer;
  try {
    result =
      route === undefined
        ? {
            status: 404,
            body: `Nothing at ${url.pathname}. Here: ${Object.keys(table).join(' ')}\n`,
          }
        : await route({ method: request.method ?? 'GET', url });
  } catch (error) {
    log.error('Cannot answer an admin request', { path: url.pathname, error });
    result = { status: 500, body: 'Cannot answer: see the log\n' };
  }
  response.writeHead(result.status ?? 200, {
    'content-type': result.contentType ?? 'text/plain; charset=utf-8',
  });
  response.end(result.body);
}

function listen(server: Server, door: Door): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(door.port, door.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
