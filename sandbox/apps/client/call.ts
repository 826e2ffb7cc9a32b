// One call in any of the echo's protocols. Resolves with what came back; rejects with what went wrong. Used by the client
// app and by tests.

import { createSocket } from 'node:dgram';
import { request as requestHttp } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { WebSocket } from 'ws';

export type Called =
  | {
      readonly ok: true;
      readonly status?: number;
      readonly answer: unknown;
      readonly echo?: string;
    }
  | { readonly ok: false; readonly error: string };

const TIMEOUT_MS = 10_000;

/** @throws Error; SyntaxError for a scheme it does not know */
export function call(url: URL, body: string): Promise<Called> {
  switch (url.protocol) {
    case 'http:':
      return callHttp1(url, body);
    case 'h2c:':
      return callHttp2(url, body);
    case 'ws:':
      return callWebSocket(url, body);
    case 'tcp:':
      return callTcp(url, body);
    case 'udp:':
      return callUdp(url, body);
    default:
      throw new SyntaxError(`Cannot call ${url.href}: use http, h2c, ws, tcp or udp`);
  }
}

function callHttp1(url: URL, body: string): Promise<Called> {
  return new Promise((resolve, reject) => {
    const method = body === '' ? 'GET' : 'POST';
    const request = requestHttp(url, { agent: false, method, timeout: TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ ok: true, status: response.statusCode ?? 0, answer: parsed(text) }),
      );
    });
    request.on('timeout', () => request.destroy(tooLate()));
    request.on('error', reject);
    request.end(body);
  });
}

function callHttp2(url: URL, body: string): Promise<Called> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://${url.host}`);
    session.on('error', reject);
    session.setTimeout(TIMEOUT_MS, () => session.destroy(tooLate()));
    const stream = session.request({
      ':path': url.pathname,
      ':method': body === '' ? 'GET' : 'POST',
    });
    let [text, status] = ['', 0];
    stream.setEncoding('utf8');
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('error', reject);
    stream.on('end', () => {
      session.close();
      resolve({ ok: true, status, answer: parsed(text) });
    });
    stream.end(body);
  });
}

function callWebSocket(url: URL, body: string): Promise<Called> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { handshakeTimeout: TIMEOUT_MS });
    let answer: unknown;
    socket.on('error', reject);
    socket.on('message', (message: Buffer) => {
      if (answer === undefined) {
        answer = parsed(message.toString('utf8'));
        socket.send(body);
        return;
      }
      socket.close();
      resolve({ ok: true, answer, echo: message.toString('utf8') });
    });
  });
}

/** Reads the greeting, sends the body, ends its side, and reads to the end: the half-close must come back. */
function callTcp(url: URL, body: string): Promise<Called> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostOf(url), port: Number(url.port), allowHalfOpen: true });
    let text = '';
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(tooLate()));
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.end(body));
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('end', () => {
      const at = text.indexOf('\n');
      if (at < 0) reject(new Error('the connection ended before a greeting came'));
      else resolve({ ok: true, answer: parsed(text.slice(0, at)), echo: text.slice(at + 1) });
    });
  });
}

function callUdp(url: URL, body: string): Promise<Called> {
  return new Promise((resolve, reject) => {
    const host = hostOf(url);
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const timer = setTimeout(() => fail(tooLate()), TIMEOUT_MS);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.close();
      reject(error);
    };
    socket.on('error', fail);
    socket.on('message', (message) => {
      clearTimeout(timer);
      socket.close();
      resolve({ ok: true, answer: parsed(message.toString('utf8')) });
    });
    socket.send(body, Number(url.port), host);
  });
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function tooLate(): Error {
  return new Error(`no answer within ${TIMEOUT_MS / 1000} s`);
}
