// The HTTPS front: one request at a time from socket to route(), errors as Status objects, an orderly end.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { ANONYMOUS, authenticate } from '../auth/authenticate.ts';
import type { KeyPair } from '../auth/certificates.ts';
import { badRequest, internalError, noSuchPath, StatusError } from '../errors.ts';
import { hasSubresource } from '../kinds.ts';
import { type Exchange, send } from './exchange.ts';
import type { RouteParts } from './parts.ts';
import { MAX_URL_LENGTH, parseApiPath } from './path.ts';
import { proxyUpgrade } from './proxy.ts';
import { permit, route } from './route.ts';
import { asWatchError } from './watch.ts';

export type ListenOn =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }
  | { readonly fd: number };

export interface Front {
  /** The addresses really bound, in the order asked. */
  readonly addresses: readonly (AddressInfo | string | null)[];
  close(): Promise<void>;
}

/** Sockets open at once: two nodes' kubelets, controllers and agents hold a few dozen watches. */
const MAX_CONNECTIONS = 4_096;
const MAX_HEADER_BYTES = 64 * 1024;
/** A kept-alive connection closes after this, longer than the clients' own limit, so that they close first. */
const KEEP_ALIVE_MS = 120_000;

export async function startFront(
  parts: RouteParts,
  tls: { readonly serving: KeyPair; readonly caPem: string },
  listenOn: readonly ListenOn[],
): Promise<Front> {
  const stopping = new AbortController();
  const sockets = new Set<Duplex>();
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    stopping.abort();
    const closed = servers.map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
  };
  try {
    for (const where of listenOn) {
      const server = createServer({
        cert: tls.serving.certPem,
        key: tls.serving.keyPem,
        ca: tls.caPem,
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.2',
        ALPNProtocols: ['http/1.1'],
        maxHeaderSize: MAX_HEADER_BYTES,
        keepAliveTimeout: KEEP_ALIVE_MS,
        noDelay: true,
      });
      server.maxConnections = MAX_CONNECTIONS;
      // a client that breaks its handshake or its request is its own concern
      server.on('tlsClientError', () => {});
      server.on('clientError', (_error, socket) => socket.destroy());
      server.on('connection', (socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      server.on(
        'request',
        (request, response) => void serve(parts, request, response, stopping.signal),
      );
      server.on(
        'upgrade',
        (request, socket, head) =>
          void serveUpgrade(parts, request, { socket, head }, stopping.signal),
      );
      await listen(server, where);
      servers.push(server);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses: servers.map((server) => server.address()), close };
}

function listen(server: Server, where: ListenOn): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new Error(`Listening of the API server on ${JSON.stringify(where)}: ${error.message}`, {
          cause: error,
        }),
      );
    });
    server.listen(where, () => resolve());
  });
}

async function serve(
  parts: RouteParts,
  request: IncomingMessage,
  response: ServerResponse,
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.on('error', () => gone.abort());
  let exchange: Exchange = begin(
    parts,
    request,
    response,
    AbortSignal.any([gone.signal, stopping]),
  );
  try {
    checkUrl(request);
    const user = await authenticate(parts, request);
    exchange = { ...exchange, url: urlOf(request), user };
    await route(parts, exchange);
  } catch (error) {
    answerError(parts, exchange, error);
  }
}

function begin(
  parts: RouteParts,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Exchange {
  return {
    request,
    response,
    url: new URL('https://apiserver/'),
    user: ANONYMOUS,
    now: () => parts.cluster.clock.now(),
    signal,
    warnings: [],
  };
}

function checkUrl(request: IncomingMessage): void {
  if ((request.url ?? '').length > MAX_URL_LENGTH) {
    throw new StatusError(
      414,
      'RequestURITooLong',
      `the URL is longer than ${MAX_URL_LENGTH} characters`,
    );
  }
}

function urlOf(request: IncomingMessage): URL {
  try {
    return new URL(`https://apiserver${request.url ?? '/'}`);
  } catch {
    throw badRequest('the URL is malformed');
  }
}

function answerError(parts: RouteParts, exchange: Exchange, error: unknown): void {
  const { response } = exchange;
  const status = asStatusError(parts, exchange.request, error);
  if (response.headersSent) {
    if (!response.writableEnded && !response.destroyed) response.end(asWatchError(status));
    return;
  }
  const retry = status.details?.retryAfterSeconds;
  if (retry !== undefined) response.setHeader('Retry-After', retry);
  send(exchange, status.code, status.toStatus());
  // what is left of a refused body is not read: the connection cannot be used again
  if (!exchange.request.complete) response.once('finish', () => exchange.request.destroy());
}

function asStatusError(parts: RouteParts, request: IncomingMessage, error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (!request.destroyed) {
    parts.cluster.log.error('request failed unexpectedly', {
      method: request.method,
      path: request.url,
      error,
    });
  }
  return internalError(error instanceof Error ? error.message : String(error));
}

async function serveUpgrade(
  parts: RouteParts,
  request: IncomingMessage,
  client: { readonly socket: Duplex; readonly head: Buffer },
  stopping: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  client.socket.once('close', () => gone.abort());
  client.socket.on('error', () => client.socket.destroy());
  try {
    checkUrl(request);
    const user = await authenticate(parts, request);
    const url = urlOf(request);
    const path = parseApiPath(url.pathname);
    const exchange: Exchange = {
      request,
      // an upgraded request has no response object; errors are written by refuseUpgrade
      response: undefined as unknown as ServerResponse,
      url,
      user,
      now: () => parts.cluster.clock.now(),
      signal: AbortSignal.any([gone.signal, stopping]),
      warnings: [],
    };
    permit(parts, exchange, path);
    if (path.is !== 'resource' || path.subresource === undefined)
      throw badRequest('this path does not upgrade');
    const kind = parts.cluster.kinds.find(path.group, path.version, path.resource);
    if (kind === undefined || !hasSubresource(kind, path.subresource)) throw noSuchPath();
    await proxyUpgrade(parts, exchange, kind, path, client);
  } catch (error) {
    refuseUpgrade(client.socket, asStatusError(parts, request, error));
  }
}

function refuseUpgrade(socket: Duplex, error: StatusError): void {
  const body = Buffer.from(JSON.stringify(error.toStatus()));
  socket.end(
    `HTTP/1.1 ${error.code} ${error.reason}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString()}`,
  );
}
