// One HTTP/1.1 request of the HTTP client, on a connection of its own. Redirects are an answer like any other.

import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { pairs } from '../http-echo/answer.ts';
import { type Answered, readEcho } from './result.ts';
import type { Order } from './words.ts';

export function askHttp1(order: Order, signal: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const isTls = order.scheme === 'https';
    const request = (isTls ? requestHttps : requestHttp)({
      host: order.host,
      port: order.port,
      method: order.method,
      path: order.target === '' ? '/' : order.target,
      // as a list, so that lines and their order stay as they are
      headers: headersOf(order),
      agent: false,
      signal,
      ...(isTls ? tlsOptions(order) : {}),
    });
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          ok: true,
          status: response.statusCode ?? 0,
          headers: pairs(response.rawHeaders),
          ...readEcho(text),
        }),
      );
    });
    request.on('error', reject);
    request.end(order.body);
  });
}

/** Certificates and names, for whatever speaks TLS. */
export function tlsOptions({ caFile, serverName, authority }: Order): {
  readonly servername: string;
  readonly rejectUnauthorized: boolean;
  readonly ca?: Buffer;
} {
  return {
    servername: serverName ?? authority.replace(/:\d+$/, ''),
    rejectUnauthorized: caFile !== undefined,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
  };
}

function headersOf({ headers, authority, body }: Order): string[] {
  const has = (name: string): boolean => headers.some(([key]) => key.toLowerCase() === name);
  const size = Buffer.byteLength(body);
  return [
    ...(has('host') ? [] : ['Host', authority]),
    ...headers.flat(),
    ...(size === 0 || has('content-length') ? [] : ['Content-Length', String(size)]),
  ];
}
