// What a client is answered when its request ends in a failure. Called by serve.ts, which writes it in the client's HTTP
// version. Invariants: nothing of the mesh's inside is told (no address, no policy's name, no message of an error), and a
// gRPC client gets an answer of gRPC: status 200 whose only headers are its trailers.

import { HTTP_FAILURES, type HttpFailure } from '../../mesh/http-failures.ts';
import type { HeaderList } from '../../mesh/http-request.ts';
import type { RequestProtocol } from '../telemetry/request-facts.ts';

export type FailureAnswer = {
  readonly status: number;
  /** Without content-length, which is the writer's. */
  readonly headers: HeaderList;
  readonly body: string;
  readonly grpcStatus: number | undefined;
};

/** undefined: the client has gone, there is nobody to be answered. */
export function answerFor(
  failure: HttpFailure,
  protocol: RequestProtocol,
): FailureAnswer | undefined {
  const { status } = failure;
  if (status === undefined) return undefined;
  const words = failure.options.body ?? HTTP_FAILURES[failure.code].says;
  const marks = [...marksOf(failure), ...(failure.options.headers ?? [])];
  if (protocol === 'grpc') {
    const { grpcStatus } = failure;
    const headers: HeaderList = [
      ['content-type', 'application/grpc'],
      ['grpc-status', String(grpcStatus)],
      ['grpc-message', encodeGrpcMessage(words)],
      // these speak of a body that a trailers-only answer has not got
      ...marks.filter(([name]) => !name.startsWith('content-')),
    ];
    return { status: 200, headers, body: '', grpcStatus };
  }
  const typed = marks.some(([name]) => name === 'content-type');
  const headers: HeaderList = typed ? marks : [['content-type', 'text/plain'], ...marks];
  return { status, headers, body: words, grpcStatus: undefined };
}

/** gRPC over HTTP/2, "Status-Message": percent-encoded UTF-8, all but printable ASCII and `%` itself. */
export function encodeGrpcMessage(text: string): string {
  return text.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]/gu, encodeURIComponent);
}

/** Headers by which clients that know Envoy tell these apart. */
function marksOf({ code }: HttpFailure): HeaderList {
  if (code === 'UPSTREAM_OVERFLOW' || code === 'OVERLOADED')
    return [['x-envoy-overloaded', 'true']];
  if (code === 'RATE_LIMITED') return [['x-envoy-ratelimited', 'true']];
  return [];
}
