// A request comes to the waypoint. The whole journey is serve(), in the words of the data path: accept (read the head),
// classify (match a route), authorize, pick endpoint, tunnel, splice (the answer). Called by app.ts for each Exchange.
// Invariant: each request is answered once, and a break on one side is a break on the other, never a clean end.

import { HTTP_FAILURES, HttpFailure } from '../mesh/http-failures.ts';
import type { Log } from '../runtime/log.ts';
import { nameOf } from './asked.ts';
import type { Exchange } from './exchange.ts';
import { forward, type ForwardSteps, type Outgoing } from './forward.ts';
import { pump } from './pump.ts';
import { ReplayBody } from './upstream/replay-body.ts';
import { endToEnd, type UpstreamResponse } from './upstream/upstream.ts';

export type ServeSteps = Omit<ForwardSteps, 'onTry'> & { readonly log: Log };

export async function serve(exchange: Exchange, steps: ServeSteps): Promise<void> {
  try {
    const outgoing = read(exchange);
    const response = await forward(outgoing, { ...steps, onTry: () => {} }, exchange.signal);
    answer(exchange, response);
  } catch (error) {
    if (exchange.signal.aborted) return;
    const failure = error instanceof HttpFailure ? error : new HttpFailure('INTERNAL', String(error));
    steps.log.warn('Request failed', { to: nameOf(exchange.inbound.asked), error });
    refuse(exchange, failure);
  }
}

function read(exchange: Exchange): Outgoing {
  const { inbound, method, target, authority, headers, version } = exchange;
  if (authority === undefined) throw new HttpFailure('BAD_REQUEST', 'The request names no host');
  const body = exchange.hasBody
    ? new ReplayBody(exchange.body, () => exchange.trailers(), () => {})
    : undefined;
  if (body === undefined) exchange.body.resume();
  return {
    inbound,
    backend: inbound.asked,
    version: version === '2' ? 'http2' : 'http1',
    body,
    request: {
      method,
      scheme: 'http',
      authority,
      target,
      headers,
      body,
      onContinue: exchange.expectsContinue ? () => exchange.continue() : undefined,
      upgrade: exchange.upgrade,
    },
  };
}

function answer(exchange: Exchange, response: UpstreamResponse): void {
  const { status, headers, upgraded } = response;
  if (upgraded !== undefined) {
    const client = exchange.switch(headers);
    // two half-open byte streams; either's break ends the other
    pump(client, upgraded, () => {}, (end) => (end === 'complete' ? upgraded.end() : upgraded.destroy()));
    pump(upgraded, client, () => {}, (end) => (end === 'complete' ? client.end() : client.destroy()));
    return;
  }
  const empty = exchange.method === 'HEAD' || status === 204 || status === 304;
  const sink = exchange.respond({ status, headers: endToEnd(headers), empty }, () => response.trailers());
  if (empty) {
    response.body.resume();
    if (exchange.version !== '2') sink.end();
    return;
  }
  exchange.signal.addEventListener('abort', () => response.reset(), { once: true });
  pump(response.body, sink, () => {}, (end) => {
    if (end === 'complete') sink.end();
    else if (end === 'reader-broke') exchange.reset();
    else response.reset();
  });
}

function refuse(exchange: Exchange, failure: HttpFailure): void {
  const { status, grpc } = HTTP_FAILURES[failure.code];
  const isGrpc = exchange.headers.some(
    ([name, value]) => name === 'content-type' && value.startsWith('application/grpc'),
  );
  exchange.body.resume();
  if (isGrpc) {
    const headers = [
      ['content-type', 'application/grpc'],
      ['grpc-status', String(grpc)],
      ['grpc-message', encodeURIComponent(failure.message)],
    ] as const;
    const sink = exchange.respond({ status: 200, headers, empty: true });
    if (exchange.version !== '2') sink.end();
    return;
  }
  const text = Buffer.from(`${failure.code.toLowerCase().replaceAll('_', ' ')}\n`);
  const headers = [
    ['content-type', 'text/plain'],
    ['content-length', String(text.length)],
  ] as const;
  const empty = exchange.method === 'HEAD';
  const sink = exchange.respond({ status, headers, empty });
  if (!empty) sink.end(text);
  else if (exchange.version !== '2') sink.end();
}
