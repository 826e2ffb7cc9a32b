// One small HTTP request to a pod's loopback port, through the API server's port-forward. Used by gather.ts and agent.ts.

import type { KubeClient } from '../../runtime/kubernetes/client.ts';

export type PodUrl = {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly path: string;
  /** GET without it. */
  readonly method?: 'GET' | 'POST';
};

// Metrics of an agent with many workloads are some megabytes; a hundred is a fault at the other end.
const MAX_ANSWER_BYTES = 100 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 10_000;

/** The body of a 200 answer. @throws Error with status line and body otherwise, or when nothing comes in time */
export async function getThroughPod(client: KubeClient, url: PodUrl): Promise<string> {
  return (await bytesThroughPod(client, url)).toString('utf8');
}

/** As {@link getThroughPod}, for bodies that are not text. */
export async function bytesThroughPod(client: KubeClient, url: PodUrl): Promise<Buffer> {
  const stream = await client.portForward(url.namespace, url.pod, url.port);
  const timeout = setTimeout(
    () => stream.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`)),
    ANSWER_TIMEOUT_MS,
  );
  try {
    // HTTP/1.0: the answer ends with the connection and is never chunked, so reading it needs no parser
    stream.write(`${url.method ?? 'GET'} ${url.path} HTTP/1.0\r\nHost: localhost\r\n\r\n`);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES)
        throw new Error(`answer is longer than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
    return bodyOf(Buffer.concat(chunks));
  } finally {
    clearTimeout(timeout);
    stream.destroy();
  }
}

function bodyOf(answer: Buffer): Buffer {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) {
    const nothing = answer.length === 0;
    throw new Error(nothing ? 'the connection ended without an answer' : 'the answer is not HTTP');
  }
  const head = answer.toString('latin1', 0, end);
  const body = answer.subarray(end + 4);
  const [status = ''] = head.split('\r\n');
  if (/^HTTP\/1\.[01] 200 /.test(status)) return body;
  // what it says of the reason is short, or a page nobody wants to read here
  throw new Error(`the answer is "${status}": ${body.toString('utf8', 0, 500).trim()}`);
}
