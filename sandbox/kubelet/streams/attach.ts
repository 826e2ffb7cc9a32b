// The door to exec, attach and port-forward: the kubelet's HTTPS server hands each upgrade request to attachStreams(),
// which picks the protocol the client speaks and serves it until either side is done. It never throws a client's fault.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { systemClock } from '../../../runtime/clock.ts';
import { execOverSpdy } from './exec-spdy.ts';
import { execOverWebSocket } from './exec-websocket.ts';
import { forwardOverSpdy } from './forward-spdy.ts';
import { forwardOverWebSocket } from './forward-websocket.ts';
import { parseExecRequest, parsePorts } from './request.ts';
import type { StreamSession } from './session.ts';

const EXEC_SPDY = ['v4.channel.k8s.io'];
const EXEC_WEBSOCKET = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];
const FORWARD_SPDY = ['portforward.k8s.io'];
const FORWARD_TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const FORWARD_WEBSOCKET = [FORWARD_TUNNEL, 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];
/** Clients send some 32 KiB a message; a larger one than this is refused before it is held in memory. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/**
 * Serves one upgrade request and resolves when the client is done or gone.
 * @param session exactly one of `exec` (also for attach) and `dial`
 * @throws StreamProtocolError when the client breaks the protocol, after telling it
 */
export async function attachStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  session: StreamSession,
  signal: AbortSignal,
): Promise<void> {
  // a client that breaks off is an end, not a fault; the protocols see it as the end of their streams
  socket.on('error', () => {});
  const upgrade = (request.headers.upgrade ?? '').toLowerCase();
  if (upgrade !== 'websocket' && upgrade !== 'spdy/3.1') {
    refuse(socket, 400, `Cannot upgrade to "${upgrade}": use WebSocket or SPDY/3.1`);
    return;
  }
  try {
    if (upgrade === 'websocket') await overWebSocket(request, socket, head, session, signal);
    else await overSpdy(request, socket, head, session, signal);
  } catch (error) {
    if (error instanceof RangeError) refuse(socket, 400, error.message);
    else throw error;
  }
}

function queryOf(request: IncomingMessage): URLSearchParams {
  return new URL(request.url ?? '/', 'https://kubelet').searchParams;
}

async function overWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  session: StreamSession,
  signal: AbortSignal,
): Promise<void> {
  const { exec, dial } = session;
  const offered = listed(request.headers['sec-websocket-protocol']);
  const known = dial === undefined ? EXEC_WEBSOCKET : FORWARD_WEBSOCKET;
  const protocol = offered.find((name) => known.includes(name));
  if (protocol === undefined) {
    refuse(socket, 400, cannotNegotiate(offered, known));
    return;
  }
  const isChannels = dial !== undefined && protocol !== FORWARD_TUNNEL;
  const ports = isChannels ? parsePorts(queryOf(request)) : [];
  const webSocket = await handshake(request, socket, head, protocol);
  if (webSocket === undefined) return;
  const settings = {
    base64: protocol.includes('base64'),
    closeSignal: protocol.startsWith('v5.'),
  };
  if (exec !== undefined) {
    const asked = parseExecRequest(queryOf(request));
    await execOverWebSocket({ socket: webSocket, settings }, asked, exec, signal);
  } else if (dial !== undefined && isChannels) {
    await forwardOverWebSocket({ socket: webSocket, settings }, ports, dial, signal);
  } else if (dial !== undefined) {
    const transport = createWebSocketStream(webSocket);
    await forwardOverSpdy({ transport, clock: systemClock }, dial, signal);
  }
}

/** Undefined when the client does not go through with it; `ws` has then answered it. */
async function handshake(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): Promise<WebSocket | undefined> {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // what is sent is short, local and often compressed already
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  // kubectl's tunnel protocol has a slash, which no subprotocol may have and `ws` refuses: it is answered by hand
  const { 'sec-websocket-protocol': _, ...headers } = request.headers;
  const withoutProtocol = Object.create(request, {
    headers: { value: headers },
  }) as IncomingMessage;
  server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  return new Promise((resolve) => {
    server.once('wsClientError', (error: Error) => {
      refuse(socket, 400, error.message);
      resolve(undefined);
    });
    socket.once('close', () => resolve(undefined));
    server.handleUpgrade(withoutProtocol, socket, head, resolve);
  });
}

async function overSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  session: StreamSession,
  signal: AbortSignal,
): Promise<void> {
  const { exec, dial } = session;
  const offered = listed(request.headers['x-stream-protocol-version']);
  const known = dial === undefined ? EXEC_SPDY : FORWARD_SPDY;
  const protocol = offered.find((name) => known.includes(name));
  if (protocol === undefined) {
    const accepted = known.map((name) => `X-Accepted-Stream-Protocol-Versions: ${name}`);
    refuse(socket, 403, cannotNegotiate(offered, known), accepted);
    return;
  }
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  const parts = { transport: socket, clock: systemClock };
  if (exec !== undefined) {
    await execOverSpdy(parts, parseExecRequest(queryOf(request)), exec, signal);
  } else if (dial !== undefined) {
    await forwardOverSpdy(parts, dial, signal);
  }
}

function listed(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function cannotNegotiate(offered: readonly string[], known: readonly string[]): string {
  return `Cannot negotiate a protocol: the client offers [${offered.join(', ')}], served are [${known.join(', ')}]`;
}

function refuse(
  socket: Duplex,
  status: 400 | 403,
  message: string,
  headers: readonly string[] = [],
): void {
  const reason = status === 400 ? 'Bad Request' : 'Forbidden';
  const lines = [
    `HTTP/1.1 ${status} ${reason}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(message)}`,
    ...headers,
  ];
  if (socket.writable) socket.end(`${lines.join('\r\n')}\r\n\r\n${message}`);
}
