// One order of the HTTP client: so many requests, some at once, all within one time. Called by main.ts and by tests.
// Invariant: each request has exactly one result, and none comes after the time is up.

import { askHttp1 } from './http1.ts';
import { askGrpc, askHttp2, openSession } from './http2.ts';
import { askTcp, askWebSocket } from './lines.ts';
import type { Answered, Result } from './result.ts';
import type { Order } from './words.ts';

// as the Gateway API's own client does it
const AT_ONCE = 20;

export async function ask(
  order: Order,
  onResult: (request: number, result: Result) => void,
): Promise<void> {
  const late = AbortSignal.timeout(order.timeoutMs);
  const session = order.scheme === 'grpc' ? openSession(order) : undefined;
  const one = (): Promise<Answered> => {
    if (late.aborted) return Promise.reject(late.reason as Error);
    if (session !== undefined) return askGrpc(order, session, late);
    switch (order.scheme) {
      case 'h2c':
      case 'h2':
        return askHttp2(order, late);
      case 'ws':
        return askWebSocket(order, late);
      case 'tcp':
        return askTcp(order, late);
      default:
        return askHttp1(order, late);
    }
  };
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < order.count) {
      const request = next++;
      const result = await one().catch((error: unknown): Result => {
        const why = late.aborted
          ? `no answer within ${order.timeoutMs} ms`
          : ((error as Error).message ?? String(error));
        return { ok: false, error: why };
      });
      onResult(request, result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, order.count) }, worker));
  session?.close();
}
