// Answers to clients: the upstream's, streamed through, and our own. Called by serve.ts. Invariant: a body that broke off is
// never ended as if it were whole.

import type { Writable } from 'node:stream';
import { HttpFailure } from '../mesh/http-failures.ts';
import type { HeaderList } from '../mesh/http-request.ts';
import { GrpcMessageCounter } from '../wire/grpc-messages.ts';
import { grpcStatusIn } from './attempt.ts';
import type { Exchange, ResponseHead } from './http/exchange.ts';
import { type PumpEnd, pump } from './http/pump.ts';
import type { RequestTrail } from './telemetry/request-trail.ts';
import type { UpstreamResponse } from './upstream/upstream.ts';

/** An answer of our own. */
export function answerWith(
  exchange: Exchange,
  status: number,
  headers: HeaderList,
  text: string,
): void {
  exchange.body.resume();
  const bytes = Buffer.from(text);
  const sized: HeaderList = [...headers, ['content-length', String(bytes.length)]];
  // a length has no place in an answer that has no body by its status (RFC 9110 section 8.6)
  const list = status === 204 || status === 304 ? headers : sized;
  const empty = exchange.method === 'HEAD' || bytes.length === 0;
  const sink = exchange.respond({ status, headers: list, empty });
  if (!empty) sink.end(bytes);
  else if (exchange.version !== '2') sink.end();
}

export type AnswerEnd = {
  readonly by: 'client' | 'upstream';
  readonly failure?: HttpFailure;
  readonly grpcStatus?: number | undefined;
};

/** The upstream's answer, as it comes; resolves when it has gone through, or broken off on either side. */
export function passOn(
  exchange: Exchange,
  response: UpstreamResponse,
  trail: RequestTrail,
): Promise<AnswerEnd> {
  const { status, headers, upgraded } = response;
  if (upgraded !== undefined) {
    trail.answered(status);
    return tunnelled(exchange, response, upgraded, trail);
  }
  const empty = response.headOnly || exchange.method === 'HEAD' || status === 204 || status === 304;
  const head = { status, headers: status === 204 ? withoutLength(headers) : headers, empty };
  const sink = begin(exchange, head, response);
  trail.answered(status);
  const isGrpc = trail.facts.protocol === 'grpc';
  const grpcStatus = (): number | undefined =>
    isGrpc ? grpcStatusIn(response.headOnly ? headers : response.trailers()) : undefined;
  if (empty) {
    response.body.resume();
    if (exchange.version !== '2') sink.end();
    return Promise.resolve({ by: 'upstream', grpcStatus: grpcStatus() });
  }
  const { counts } = trail;
  const messages = isGrpc ? new GrpcMessageCounter() : undefined;
  const watch = (chunk: Buffer): void => {
    counts.bytesSent += chunk.length;
    if (messages === undefined) return;
    messages.add(chunk);
    counts.responseMessages = messages.count;
  };
  return new Promise((resolve) => {
    pump(response.body, sink, watch, (end) => {
      if (end === 'complete') sink.end();
      else if (end === 'writer-closed') response.reset();
      else exchange.reset();
      resolve(endOf(end, grpcStatus()));
    });
  });
}

/** @throws HttpFailure UPSTREAM_PROTOCOL: what one version of HTTP carries, another may have no words for */
function begin(exchange: Exchange, head: ResponseHead, response: UpstreamResponse): Writable {
  try {
    return exchange.respond(head, () => response.trailers());
  } catch (cause) {
    response.reset();
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HttpFailure('UPSTREAM_PROTOCOL', `Cannot pass an answer on: ${why}`, { cause });
  }
}

/** RFC 9110 section 8.6. */
function withoutLength(headers: HeaderList): HeaderList {
  return headers.filter(([name]) => name !== 'content-length');
}

/** Two half-open byte streams; either's break ends the other. */
function tunnelled(
  exchange: Exchange,
  { headers }: UpstreamResponse,
  upgraded: NonNullable<UpstreamResponse['upgraded']>,
  { counts }: RequestTrail,
): Promise<AnswerEnd> {
  const client = exchange.switch(headers);
  const cut = (): void => {
    upgraded.destroy();
    client.destroy();
  };
  exchange.signal.addEventListener('abort', cut, { once: true });
  const sent = (chunk: Buffer): void => {
    counts.bytesReceived += chunk.length;
  };
  const received = (chunk: Buffer): void => {
    counts.bytesSent += chunk.length;
  };
  const one = new Promise<PumpEnd>((resolve) => {
    pump(client, upgraded, sent, (end) => {
      if (end === 'complete') upgraded.end();
      else upgraded.destroy();
      resolve(end);
    });
  });
  const other = new Promise<PumpEnd>((resolve) => {
    pump(upgraded, client, received, (end) => {
      if (end === 'complete') client.end();
      else client.destroy();
      resolve(end);
    });
  });
  return Promise.all([one, other]).then(([, end]) => endOf(end, undefined));
}

function endOf(end: PumpEnd, grpcStatus: number | undefined): AnswerEnd {
  if (end === 'complete') return { by: 'upstream', grpcStatus };
  return end === 'writer-closed'
    ? { by: 'client', failure: new HttpFailure('DOWNSTREAM_RESET', 'The client has gone') }
    : {
        by: 'upstream',
        failure: new HttpFailure('UPSTREAM_RESET', 'The upstream broke its answer off'),
      };
}
