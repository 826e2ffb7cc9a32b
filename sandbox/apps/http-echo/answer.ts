// What the HTTP echo says of a request: the request exactly as it came, and who answers. Written by serve.ts, read by
// the HTTP client and by tests. Invariant: headers are as on the wire, each line one pair, nothing merged or sorted.

import type { Place } from '../place.ts';

export type HttpEcho = {
  /** The pod's name. */
  readonly hostname: string;
  readonly namespace: string;
  readonly ip: string;
  /** Address and port the server sees as its caller, and the one the caller came to. */
  readonly peer: string;
  readonly local: string;
  readonly proto: 'HTTP/1.1' | 'HTTP/1.0' | 'HTTP/2.0';
  readonly method: string;
  /** The request target, query included. */
  readonly path: string;
  /** Of Host or `:authority`. */
  readonly host: string;
  /** Without pseudo headers. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyBytes: number;
  readonly tls?: { readonly alpn: string; readonly serverName: string };
};

/** What a server of any HTTP version knows of a request. */
export type Came = {
  readonly httpVersion: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string | undefined;
  /** Names and values by turns. */
  readonly rawHeaders: readonly string[];
  readonly bodyBytes: number;
  readonly socket: {
    readonly remoteAddress?: string | undefined;
    readonly remotePort?: number | undefined;
    readonly localAddress?: string | undefined;
    readonly localPort?: number | undefined;
    readonly encrypted?: boolean;
    readonly alpnProtocol?: string | false | null;
    readonly servername?: string | false | null;
  };
};

export function describeRequest(place: Place, came: Came): HttpEcho {
  const { socket } = came;
  const headers = pairs(came.rawHeaders).filter(([name]) => !name.startsWith(':'));
  return {
    hostname: place.pod,
    namespace: place.namespace,
    ip: place.ip,
    peer: joined(socket.remoteAddress, socket.remotePort),
    local: joined(socket.localAddress, socket.localPort),
    proto: came.httpVersion.startsWith('2') ? 'HTTP/2.0' : `HTTP/${came.httpVersion as '1.1'}`,
    method: came.method,
    path: came.target,
    host: came.authority ?? headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '',
    headers,
    bodyBytes: came.bodyBytes,
    ...(socket.encrypted === true
      ? { tls: { alpn: socket.alpnProtocol || '', serverName: socket.servername || '' } }
      : {}),
  };
}

export function pairs(raw: readonly string[]): [name: string, value: string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) found.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return found;
}

/** A dual-stack server sees IPv4 callers as `::ffff:1.2.3.4`. */
function joined(address = '', port = 0): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}
