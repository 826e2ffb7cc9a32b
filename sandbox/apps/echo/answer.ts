// What an echo says of a request: the request as it came, who answers, and whom the answerer sees. The same for every
// protocol, so that a test reads one shape.

import type { Place } from '../place.ts';

export type EchoAnswer = {
  readonly protocol: 'http/1.1' | 'h2c' | 'websocket' | 'tcp' | 'udp';
  readonly pod: string;
  readonly namespace: string;
  readonly ip: string;
  /** Address and port the server sees as its caller. */
  readonly peer: string;
  /** Address and port the caller connected to, as the server sees it. */
  readonly local: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly body?: string;
};

export type Ends = {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
};

export function describeEcho(
  place: Place,
  ends: Ends,
  rest: Omit<EchoAnswer, 'pod' | 'namespace' | 'ip' | 'peer' | 'local'>,
): EchoAnswer {
  return {
    ...rest,
    ...place,
    peer: join(ends.remoteAddress, ends.remotePort),
    local: join(ends.localAddress, ends.localPort),
  };
}

/** A dual-stack server sees IPv4 callers as `::ffff:1.2.3.4`. */
function join(address = '', port = 0): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}
