// A collector of traces as a test needs it: a real HTTP server that takes OTLP and keeps the spans. Used by tests of
// tracing in every component; who starts it closes it.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type Attributes, decodeSpans, type SpanRecord } from '../../wire/otlp.ts';

export type Collected = SpanRecord & { readonly resource: Attributes };

export type TestCollector = AsyncDisposable & {
  readonly endpoint: URL;
  readonly spans: Collected[];
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** What the next posts are answered; 200 after those. */
  readonly statuses: number[];
  /** Resolves when so many spans are here. */
  holds(spans: number): Promise<void>;
};

export async function startCollector(): Promise<TestCollector> {
  const spans: Collected[] = [];
  const requests: TestCollector['requests'] = [];
  const statuses: number[] = [];
  let came = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      requests.push({ path: request.url ?? '', headers: request.headers });
      const status = statuses.shift() ?? 200;
      if (status === 200) {
        for (const batch of decodeSpans(body)) {
          spans.push(...batch.spans.map((span) => ({ ...span, resource: batch.resource })));
        }
      }
      response.writeHead(status, { 'content-type': 'application/x-protobuf' }).end();
      came.resolve();
      came = Promise.withResolvers();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: new URL(`http://127.0.0.1:${port}/v1/traces`),
    spans,
    requests,
    statuses,
    async holds(wanted) {
      while (spans.length < wanted) await came.promise;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
