import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { httpPost, type PostAnswer } from './post.ts';

async function answerOf(listener: RequestListener): Promise<PostAnswer> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    const post = httpPost(new URL(`http://127.0.0.1:${port}/v1/traces`), {});
    return await post(new Uint8Array([1]), new AbortController().signal);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe('a post to a collector', () => {
  test('gives status, body and how long to wait', async () => {
    const answer = await answerOf((_, response) => {
      response.writeHead(503, { 'retry-after': '7' }).end('busy');
    });
    assert.equal(answer.status, 503);
    assert.equal(answer.retryAfterMs, 7000);
    assert.equal(Buffer.from(answer.body).toString(), 'busy');
  });

  test('a date to wait for is as good as none', async () => {
    const answer = await answerOf((_, response) => {
      response.writeHead(429, { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }).end();
    });
    assert.equal(answer.retryAfterMs, undefined);
  });

  test('an answer without end is not read, and nobody is led elsewhere', async () => {
    await assert.rejects(
      answerOf((_, response) => response.end(Buffer.alloc(70_000))),
      RangeError,
    );
    await assert.rejects(
      answerOf((_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1' }).end()),
      TypeError,
    );
  });
});
