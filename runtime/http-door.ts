// One small HTTP server with a fixed table of routes, for people, scrapers and probes. Opened by admin.ts; closed by it.
// Invariant: an answer never fails the process, and no request holds a socket longer than its time.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Log } from './log.ts';

export type RouteRequest = {
  readonly method: string;
  readonly url: URL;
  /** What the client says it reads; empty when it says nothing. */
  readonly accept: string;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
};
export type Answer = {
  readonly status?: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
};
export type Route = (request: RouteRequest) => Answer | Promise<Answer>;
export type Routes = Readonly<Record<string, Route>>;

export type Door = {
  readonly host: string;
  readonly port: number;
  /** Two processes may hold this port at once (SO_REUSEPORT): a new one opens it before the old one leaves. */
  readonly shared?: boolean;
};

/** An admin request has no body to speak of; a client that dawdles must not hold a socket for ever. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Smaller answers fit one packet anyway. */
const GZIP_FROM_BYTES = 1400;
/** Nobody looks at one agent with more eyes than this; a flood must not take descriptors from the data path. */
const MAX_CLIENTS = 64;

const compress = promisify(gzip);

export type OpenDoor = { readonly port: number; close(): Promise<void> };

/** @throws the system's error when the address is taken by somebody else */
export async function openDoor(door: Door, routes: Routes, log: Log): Promise<OpenDoor> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    void answer(routes, request, response, log);
  });
  server.maxConnections = MAX_CLIENTS;
  server.listen({ host: door.host, port: door.port, reusePort: door.shared === true });
  await once(server, 'listening');
  // an accept that fails (no descriptors left) costs that client only
  server.on('error', (error) => log.debug('An admin door could not accept', { error }));
  return { port: (server.address() as AddressInfo).port, close: () => closeServer(server) };
}

async function answer(
  routes: Routes,
  request: IncomingMessage,
  response: ServerResponse,
  log: Log,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort(new Error('The client has gone')));
  // a client that has gone has no use for the reason
  response.on('error', () => {});
  const result = await find(routes, request, gone.signal, log);
  if (response.destroyed) return;
  const headers: Record<string, string> = {
    'content-type': result.contentType ?? 'text/plain; charset=utf-8',
    ...result.headers,
  };
  let body = Buffer.from(result.body);
  if (body.length >= GZIP_FROM_BYTES && acceptsGzip(request.headers['accept-encoding'])) {
    body = await compress(body);
    headers['content-encoding'] = 'gzip';
    headers['vary'] = 'accept-encoding';
  }
  if (response.destroyed) return;
  response.writeHead(result.status ?? 200, { ...headers, 'content-length': body.length });
  response.end(request.method === 'HEAD' ? undefined : body);
}

async function find(
  routes: Routes,
  request: IncomingMessage,
  signal: AbortSignal,
  log: Log,
): Promise<Answer> {
  const target = request.url ?? '/';
  if (!URL.canParse(target, 'http://admin')) {
    return { status: 400, body: 'Cannot answer: the address cannot be read\n' };
  }
  const url = new URL(target, 'http://admin');
  const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
  if (route === undefined) {
    const here = Object.keys(routes).join(' ');
    return { status: 404, body: `Nothing at ${url.pathname}. Here: ${here}\n` };
  }
  const { method = 'GET', headers } = request;
  try {
    return await route({ method, url, accept: headers.accept ?? '', signal });
  } catch (error) {
    if (!signal.aborted) {
      log.error('Cannot answer an admin request', { path: url.pathname, error });
    }
    return { status: 500, body: 'Cannot answer: see the log\n' };
  }
}

/** RFC 9110 section 12.5.3; `gzip;q=0` is a refusal. */
function acceptsGzip(header: string | string[] | undefined): boolean {
  const offers = String(header ?? '').split(',');
  return offers.some((offer) =>
    /^\s*(gzip|\*)\s*(;\s*q=(1(\.0*)?|0\.\d*[1-9]\d*)\s*)?$/.test(offer),
  );
}

/** Answers that are under way are finished; idle connections are closed at once. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** For routes that change something: a link or an image in a page must not be able to. */
export function postOnly(route: Route): Route {
  return (request) =>
    request.method === 'POST'
      ? route(request)
      : { status: 405, headers: { allow: 'POST' }, body: 'Cannot answer: use POST here\n' };
}

export function json(value: unknown): Answer {
  return { contentType: 'application/json', body: `${JSON.stringify(value, undefined, 2)}\n` };
}
