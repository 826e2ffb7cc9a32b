// Answers to clients: the upstream's, streamed through, and our own. Called by serve.ts. Invariant: a body that broke off is
// never ended as if it were whole.

import type { HeaderList } from '../mesh/http-request.ts';
import type { Exchange } from './exchange.ts';
import { pump } from './pump.ts';
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

/** The upstream's answer, as it comes. */
export function passOn(exchange: Exchange, response: UpstreamResponse): void {
  const { status, headers, upgraded } = response;
  if (upgraded !== undefined) {
    const client = exchange.switch(headers);
    // two half-open byte streams; either's break ends the other
    pump(client, upgraded, ignore, (end) => {
      if (end === 'complete') upgraded.end();
      else upgraded.destroy();
    });
    pump(upgraded, client, ignore, (end) => {
      if (end === 'complete') client.end();
      else client.destroy();
    });
    return;
  }
  const empty = response.headOnly || exchange.method === 'HEAD' || status === 204 || status === 304;
  const sink = exchange.respond({ status, headers, empty }, () => response.trailers());
  if (empty) {
    response.body.resume();
    if (exchange.version !== '2') sink.end();
    return;
  }
  exchange.signal.addEventListener('abort', () => response.reset(), { once: true });
  pump(response.body, sink, ignore, (end) => {
    if (end === 'complete') sink.end();
    else if (end === 'reader-broke') exchange.reset();
    else response.reset();
  });
}

function ignore(): void {}
