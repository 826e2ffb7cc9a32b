// One batch of spans over HTTP to a collector. Called by exporter.ts. Invariant: the answer's body is read to its end and
// bounded, so that the connection can be used again and no collector fills our memory.

export type PostAnswer = {
  readonly status: number;
  /** What the collector asks us to wait; undefined: it says nothing. */
  readonly retryAfterMs: number | undefined;
  readonly body: Uint8Array;
};
export type Post = (body: Uint8Array, signal: AbortSignal) => Promise<PostAnswer>;

/** A partial success with a message; more is of no use to us. */
const MAX_ANSWER_BYTES = 64 * 1024;

export function httpPost(endpoint: URL, headers: Readonly<Record<string, string>>): Post {
  return async (body, signal) => {
    const response = await fetch(endpoint, {
      method: 'POST',
      // our own copy: fetch wants bytes that nobody shares
      body: new Uint8Array(body),
      headers: { ...headers, 'content-type': 'application/x-protobuf' },
      redirect: 'error',
      signal,
    });
    return {
      status: response.status,
      retryAfterMs: retryAfter(response.headers.get('retry-after')),
      body: await readBounded(response),
    };
  };
}

async function readBounded(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new RangeError(`The answer has more than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** In seconds; the form with a date is of other times. */
function retryAfter(text: string | null): number | undefined {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}
