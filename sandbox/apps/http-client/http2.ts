// Requests of the HTTP client over HTTP/2: h2c with prior knowledge, h2 over TLS, gRPC. A connection of its own for each
// request, but for gRPC, whose calls all share one, as those of a gRPC channel do.

import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from 'node:http2';
import { decodeText, ECHO_METHOD, encodeText } from '../grpc-message.ts';
import { tlsOptions } from './http1.ts';
import { type Answered, type HeaderLines, readEcho } from './result.ts';
import type { Order } from './words.ts';

export async function askHttp2(order: Order, signal: AbortSignal): Promise<Answered> {
  const session = openSession(order);
  try {
    const headers = { ...headersOf(order), ':method': order.method, ':path': order.target || '/' };
    const { text, ...answer } = await exchange(session, headers, Buffer.from(order.body), signal);
    return { ...answer, ...readEcho(text.toString('utf8')) };
  } finally {
    session.close();
  }
}

/** @param session shared by all calls of an order */
export async function askGrpc(
  order: Order,
  session: ClientHttp2Session,
  signal: AbortSignal,
): Promise<Answered> {
  const headers = {
    ...headersOf(order),
    ':method': 'POST',
    ':path': order.target === '' || order.target === '/' ? ECHO_METHOD : order.target,
    'content-type': 'application/grpc',
    te: 'trailers',
  };
  const { text, trailers, ...answer } = await exchange(
    session,
    headers,
    encodeText(order.body),
    signal,
  );
  const ended = (name: string): string | undefined =>
    [...answer.headers, ...trailers].findLast(([key]) => key === name)?.[1];
  const status = ended('grpc-status');
  if (status === undefined) {
    throw new Error(`A response with status ${answer.status} and without grpc-status`);
  }
  const grpc = { status: Number(status), message: decoded(ended('grpc-message') ?? '') };
  return { ...answer, grpc, ...(grpc.status === 0 ? readEcho(decodeText(text)) : {}) };
}

export function openSession(order: Order): ClientHttp2Session {
  const isTls = order.scheme === 'h2';
  const host = order.host.includes(':') ? `[${order.host}]` : order.host;
  const session = connect(
    `${isTls ? 'https' : 'http'}://${host}:${order.port}`,
    isTls ? tlsOptions(order) : {},
  );
  // each of its streams fails with the same error
  session.on('error', () => {});
  return session;
}

type Exchanged = Answered & { readonly text: Buffer; readonly trailers: HeaderLines };

function exchange(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: Buffer,
  signal: AbortSignal,
): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { signal, endStream: body.length === 0 });
    const chunks: Buffer[] = [];
    let status = 0;
    let lines: HeaderLines = [];
    let trailers: HeaderLines = [];
    stream.on('response', (response) => {
      status = Number(response[':status']);
      lines = linesOf(response);
    });
    stream.on('trailers', (found) => {
      trailers = linesOf(found);
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      if (status === 0) reject(new Error(`the stream was reset with code ${stream.rstCode}`));
      const text = Buffer.concat(chunks);
      resolve({ ok: true, status, headers: lines, text, trailers });
    });
    if (body.length > 0) stream.end(body);
  });
}

/** Node has a name's lines as a list where it does not join them. */
function linesOf(
  headers: Readonly<Record<string, string | string[] | number | undefined>>,
): HeaderLines {
  return Object.entries(headers)
    .filter(([name]) => !name.startsWith(':'))
    .flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((line): [string, string] => [
        name,
        String(line),
      ]),
    );
}

/** A name that is there twice stays two lines. */
function headersOf({ headers, authority }: Order): OutgoingHttpHeaders {
  const lines: Record<string, string[]> = {};
  let host = authority;
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (key === 'host') host = value;
    else lines[key] = [...(lines[key] ?? []), value];
  }
  const single = Object.entries(lines).map(([name, values]): [string, string | string[]] => [
    name,
    values.length === 1 ? (values[0] ?? '') : values,
  ]);
  return { ...Object.fromEntries(single), ':authority': host };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
