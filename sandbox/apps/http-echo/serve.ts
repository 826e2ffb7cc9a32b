// The servers of the HTTP echo: HTTP/1.1 and h2c on one port, h2c alone, HTTPS with both versions. Every request is
// answered by answer() and nothing else, gRPC included; WebSockets return what they are sent. Called by main.ts.

import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  constants,
  createServer as createHttp2,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { Server, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { decodeText, ECHO_METHOD, encodeText } from '../grpc-message.ts';
import { eitherVersion } from '../http-version.ts';
import type { Place } from '../place.ts';
import { describeRequest, type HttpEcho } from './answer.ts';
import { readKnobs } from './knobs.ts';
import type { Tries } from './tries.ts';

export type EchoParts = {
  readonly place: Place;
  readonly tries: Tries;
  /** Called once for each request that is answered. */
  readonly onEcho: (echo: HttpEcho, status: number) => void;
  readonly sleep: (ms: number) => Promise<void>;
  readonly chance: () => number;
};

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

// what is not kept is still counted
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

/** HTTP/1.1, WebSocket and h2c, told apart by the first bytes. */
export function serveBoth(parts: EchoParts): Server {
  const http1 = createHttp1((request, response) => void answer(parts, request, response));
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  http1.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => {});
      // the first message says who answers, as everywhere else
      const echo = describeRequest(parts.place, cameBy(request, 0));
      parts.onEcho(echo, 101);
      client.send(JSON.stringify(echo));
      client.on('message', (message, binary) => client.send(message, { binary }));
    });
  });
  return eitherVersion(http1, serveH2c(parts));
}

/** Prior knowledge only: HTTP/1 is refused. */
export function serveH2c(parts: EchoParts): Server {
  const server = createHttp2((request, response) => void answer(parts, request, response));
  server.on('sessionError', () => {});
  return server;
}

export function serveTls(
  parts: EchoParts,
  certificate: { readonly cert: Buffer; readonly key: Buffer },
): Server {
  const server = createSecureServer(
    { ...certificate, allowHTTP1: true },
    (request, response) => void answer(parts, request, response),
  );
  server.on('sessionError', () => {});
  server.on('tlsClientError', () => {});
  return server;
}

async function answer(parts: EchoParts, request: Request, response: Response): Promise<void> {
  request.on('error', () => {});
  response.on('error', () => {});
  const body = await readBody(request);
  const setHeader = request.headers['x-echo-set-header'];
  const knobs = readKnobs(request.url ?? '', setHeader?.toString(), parts.chance);
  let { status, delayMs } = knobs;
  let reset = false;
  if (knobs.retry !== undefined && parts.tries.count(knobs.retry.key) <= knobs.retry.failures) {
    delayMs = Math.max(delayMs, knobs.retry.delayMs);
    status = knobs.retry.status ?? 0;
    reset = knobs.retry.status === undefined;
  }
  const echo = describeRequest(parts.place, cameBy(request, body.size));
  parts.onEcho(echo, status);
  if (delayMs > 0) await parts.sleep(delayMs);
  if (reset) resetConnection(request);
  else if (response.destroyed) return;
  else if (isGrpc(request)) answerGrpc(request, response as Http2ServerResponse, echo, body.bytes);
  else {
    response.statusCode = status;
    for (const [name, value] of knobs.setHeaders) response.appendHeader(name, value);
    response.setHeader('content-type', 'application/json');
    response.end(`${JSON.stringify(echo)}\n`);
  }
}

function cameBy(request: Request, bodyBytes: number): Parameters<typeof describeRequest>[1] {
  const isHttp2 = 'stream' in request;
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? '',
    target: request.url ?? '',
    authority: isHttp2 ? request.authority : undefined,
    rawHeaders: request.rawHeaders,
    bodyBytes,
    socket: (isHttp2 ? request.stream.session?.socket : request.socket) ?? {},
  };
}

function isGrpc(request: Request): request is Http2ServerRequest {
  const type = request.headers['content-type'] ?? '';
  return 'stream' in request && type.startsWith('application/grpc');
}

/** The answer's text is what HTTP has as body. */
function answerGrpc(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  echo: HttpEcho,
  body: Buffer,
): void {
  response.setHeader('content-type', 'application/grpc');
  const fail = (status: string, message: string): void => {
    response.setHeader('grpc-status', status);
    response.setHeader('grpc-message', encodeURIComponent(message));
    response.end();
  };
  if (request.url !== ECHO_METHOD) {
    fail('12', `There is no method ${request.url}; call ${ECHO_METHOD}`);
    return;
  }
  try {
    decodeText(body);
  } catch (error) {
    fail('13', (error as Error).message);
    return;
  }
  response.write(encodeText(JSON.stringify(echo)));
  response.addTrailers({ 'grpc-status': '0' });
  response.end();
}

function resetConnection(request: Request): void {
  if ('stream' in request) request.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  else request.socket.resetAndDestroy();
}

async function readBody(request: Request): Promise<{ bytes: Buffer; size: number }> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    }
  } catch {
    // the caller went away half way: what came is what there is
  }
  return { bytes: Buffer.concat(chunks), size };
}
