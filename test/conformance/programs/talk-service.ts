// The gRPC service of the interoperability tests, as @grpc/grpc-js wants one: each of the four kinds of calls, messages of
// plain text. Used by talk-server.ts and talk-client.ts.

import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

export const TALK = {
  /** A text for a text. `sleep` is never answered, `fail` fails, `trailers` has trailers of its own. */
  say: method('Say', false, false),
  /** `3` is answered by 1, 2, 3; `forever` until somebody stops. */
  count: method('Count', false, true),
  /** The sum of all numbers that came. */
  sum: method('Sum', true, false),
  /** Each text comes back at once. */
  chat: method('Chat', true, true),
} satisfies ServiceDefinition;

function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): MethodDefinition<string, string> {
  return {
    path: `/ambit.test.Talk/${name}`,
    requestStream,
    responseStream,
    requestSerialize: Buffer.from,
    requestDeserialize: String,
    responseSerialize: Buffer.from,
    responseDeserialize: String,
  };
}
