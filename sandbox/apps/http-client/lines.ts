// What the HTTP client asks where nothing is a request: a WebSocket (a text and a binary message must come back) and raw
// TCP (the echo greets, and returns what it is sent, half-close included).

import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { pairs } from '../http-echo/answer.ts';
import { type Answered, type HeaderLines, readEcho } from './result.ts';
import type { Order } from './words.ts';

const TEXT = 'a text message';
const BINARY = Buffer.from([0, 1, 2, 0xfe, 0xff]);

export function askWebSocket(order: Order, signal: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {};
    for (const [name, value] of order.headers) headers[name] = value;
    const socket = new WebSocket(`ws://${order.authority}${order.target}`, {
      headers,
      createConnection: () => connect({ host: order.host, port: order.port }),
    });
    const onAbort = (): void => socket.terminate();
    signal.addEventListener('abort', onAbort, { once: true });
    let head: HeaderLines = [];
    let first: string | undefined;
    const returned: string[] = [];
    socket.on('upgrade', (response) => {
      head = pairs(response.rawHeaders);
    });
    socket.on('unexpected-response', (request, response) => {
      response.resume();
      request.destroy();
      resolve({ ok: true, status: response.statusCode ?? 0, headers: pairs(response.rawHeaders) });
    });
    socket.on('message', (message: Buffer, isBinary) => {
      if (first === undefined) {
        first = message.toString('utf8');
        socket.send(TEXT);
        socket.send(BINARY);
        return;
      }
      returned.push(isBinary ? message.toString('hex') : message.toString('utf8'));
      if (returned.length === 2) socket.close();
    });
    socket.on('error', reject);
    socket.on('close', (code) => {
      signal.removeEventListener('abort', onAbort);
      if (returned.join() === [TEXT, BINARY.toString('hex')].join()) {
        resolve({ ok: true, status: 101, headers: head, ...readEcho(first ?? ''), returned });
      } else
        reject(new Error(`the WebSocket closed with ${code} after ${JSON.stringify(returned)}`));
    });
  });
}

export function askTcp(order: Order, signal: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const { host, port, body } = order;
    const socket = connect({ host, port, allowHalfOpen: true, signal });
    let text = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.end(body));
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('end', () => {
      const at = text.indexOf('\n');
      if (at < 0) reject(new Error('the connection ended before a greeting came'));
      // the greeting is the raw echo's, which says `pod` where the HTTP echo says `hostname`
      const { pod, ...rest } = JSON.parse(text.slice(0, at)) as { pod: string };
      const greeting = JSON.stringify({ ...rest, hostname: pod });
      const returned = [text.slice(at + 1)];
      resolve({ ok: true, status: 0, headers: [], ...readEcho(greeting), returned });
    });
  });
}
