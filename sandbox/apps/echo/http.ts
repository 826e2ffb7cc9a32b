// The HTTP side of the echo on one port: HTTP/1.1 and WebSocket, and HTTP/2 with prior knowledge for h2c and gRPC, told
// apart by the first bytes of a connection. Bodies are bounded; streams are echoed as they come.

import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, type ServerHttp2Stream } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { eitherVersion } from '../http-version.ts';
import type { Place } from '../place.ts';
import { describeEcho } from './answer.ts';

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const MAX_MESSAGE_BYTES = 8 * 1024 * 1024;

export function createHttpEcho(place: Place): Server {
  const http1 = createHttp((request, response) => void answerHttp1(place, request, response));
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES });
  http1.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    sockets.handleUpgrade(request, socket, head, (client) => {
      const { method = '', url: path = '', headers } = request;
      client.on('error', () => {});
      client.send(
        JSON.stringify(
          describeEcho(place, socket, { protocol: 'websocket', method, path, headers }),
        ),
      );
      client.on('message', (message, binary) => client.send(message, { binary }));
    });
  });
  const http2 = createHttp2();
  http2.on('sessionError', () => {});
  http2.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    if (String(headers['content-type']).startsWith('application/grpc')) answerGrpc(stream);
    else void answerHttp2(place, stream, headers);
  });
  return eitherVersion(http1, http2);
}

async function answerHttp1(
  place: Place,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const { method = '', url: path = '', headers, socket } = request;
  const answer = describeEcho(place, socket, { protocol: 'http/1.1', method, path, headers, body });
  if (response.destroyed) return;
  response.writeHead(statusOf(path), { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(answer)}\n`);
}

async function answerHttp2(
  place: Place,
  stream: ServerHttp2Stream,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Promise<void> {
  const body = await readBody(stream);
  const method = String(headers[':method']);
  const path = String(headers[':path']);
  const ends = stream.session?.socket ?? {};
  if (stream.destroyed) return;
  stream.respond({ ':status': statusOf(path), 'content-type': 'application/json' });
  stream.end(
    `${JSON.stringify(describeEcho(place, ends, { protocol: 'h2c', method, path, headers: { ...headers }, body }))}\n`,
  );
}

/** gRPC of every kind: each message comes back as it came; the status follows in trailers. */
function answerGrpc(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.pipe(stream);
}

/** `/status/503` answers 503; everything else 200. */
function statusOf(path: string): number {
  const status = Number(/^\/status\/([2-5]\d\d)\b/.exec(path)?.[1] ?? 200);
  return status;
}

async function readBody(from: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    }
  } catch {
    // the caller went away half way: what came is what there is
  }
  return Buffer.concat(chunks).toString('utf8');
}
