// What a request is expected to come to, as a row of a table, and what is wrong with what it did come to. Pure; called by
// requests.ts. Invariant: what a row leaves out is not left unchecked: an answer of a backend must show the request
// unchanged (path, method, host), in the backend's namespace, in the HTTP version of the request.

import type { Result } from '../../sandbox/apps/http-client/result.ts';
import { placeOf, readOrder, type Scheme } from '../../sandbox/apps/http-client/words.ts';

export type Headers = Readonly<Record<string, string>>;

export type Row = {
  /** `http://front/path?query`; any scheme of the client. */
  readonly url: string;
  readonly method?: string;
  readonly headers?: Headers;
  readonly body?: string;
  /** More words for the client. */
  readonly words?: readonly string[];
  /** Who asks: a pod of the stage; its own client when left out. */
  readonly from?: string;
  /** Of these one; 200 when left out. */
  readonly status?: number | readonly number[];
  /** How the name of the pod that answers begins; left out: any. */
  readonly backend?: string;
  readonly seen?: Seen;
  readonly response?: { readonly headers?: Headers; readonly absent?: readonly string[] };
  /** Of a redirect: the whole of it, its port left out where it is the scheme's own. */
  readonly location?: string;
  /** `grpc-status`; 0 when left out. */
  readonly grpc?: number;
};

/** Of the request as the backend saw it. */
export type Seen = {
  readonly path?: string;
  readonly host?: string;
  readonly namespace?: string;
  readonly proto?: 'HTTP/1.1' | 'HTTP/2.0';
  /** All lines of a name, joined with "," and nothing else. */
  readonly headers?: Headers;
  readonly absent?: readonly string[];
};

/** What the backends are asked in, when no row says otherwise. */
const BACKEND_PROTO: Readonly<Record<Scheme, 'HTTP/1.1' | 'HTTP/2.0' | undefined>> = {
  http: 'HTTP/1.1',
  https: 'HTTP/1.1',
  ws: 'HTTP/1.1',
  grpc: 'HTTP/2.0',
  // h2c may become HTTP/1.1 on the way to a backend that says it is `http`
  h2c: undefined,
  h2: undefined,
  tcp: undefined,
};

export function wordsOf(row: Row): string[] {
  return [
    row.url,
    ...(row.method === undefined ? [] : [`--method=${row.method}`]),
    ...Object.entries(row.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    ...(row.body === undefined ? [] : [`--body=${row.body}`]),
    ...(row.words ?? []),
  ];
}

/** Everything that is wrong, each as a sentence; none: it is as expected. */
export function mismatches(row: Row, result: Result, namespace: string): string[] {
  if (!result.ok) return [`it failed: ${result.error}`];
  const order = readOrder(wordsOf(row));
  const expectedStatus = statusesOf(row, order.scheme);
  const found: string[] = [];
  const differ = (what: string, actual: unknown, expected: unknown): void => {
    if (actual !== expected) found.push(`${what} is ${show(actual)}, expected ${show(expected)}`);
  };
  if (!expectedStatus.includes(result.status)) {
    found.push(
      `status is ${result.status}, expected ${expectedStatus.join(' or ')}; body ${show(result.body)}`,
    );
  }
  if (order.scheme === 'grpc') differ('grpc-status', result.grpc?.status, row.grpc ?? 0);
  if (row.location !== undefined) differ('location', locationOf(row, result.headers), row.location);
  for (const [name, value] of Object.entries(row.response?.headers ?? {})) {
    differ(`response header ${name}`, joined(result.headers, name), value);
  }
  for (const name of row.response?.absent ?? []) {
    differ(`response header ${name}`, joined(result.headers, name), undefined);
  }
  const isAnswered = expectedStatus.every((status) => status === 200 || status < 200);
  if (found.length > 0 || !isAnswered || (row.grpc ?? 0) !== 0) return found;
  const { echo } = result;
  if (echo === undefined) return [`no echo answered: ${show(result.body)}`];
  const seen = row.seen ?? {};
  if (row.backend !== undefined && !echo.hostname.startsWith(row.backend)) {
    found.push(`${echo.hostname} answered, expected ${row.backend}`);
  }
  differ('namespace of the backend', echo.namespace, seen.namespace ?? namespace);
  if (order.scheme === 'tcp') return found;
  const isCall = order.scheme === 'grpc';
  differ(
    'path',
    echo.path,
    seen.path ?? (isCall ? '/proto.EchoTestService/Echo' : order.target || '/'),
  );
  differ('method', echo.method, isCall ? 'POST' : order.method);
  differ('host', echo.host, seen.host ?? givenHost(row) ?? order.authority);
  const proto = seen.proto ?? BACKEND_PROTO[order.scheme];
  if (proto !== undefined) differ('protocol', echo.proto, proto);
  for (const [name, value] of Object.entries(seen.headers ?? {})) {
    differ(`request header ${name}`, joined(echo.headers, name), value);
  }
  for (const name of seen.absent ?? []) {
    differ(`request header ${name}`, joined(echo.headers, name), undefined);
  }
  return found;
}

function statusesOf({ status }: Row, scheme: Scheme): readonly number[] {
  if (status !== undefined) return typeof status === 'number' ? [status] : status;
  return [scheme === 'ws' ? 101 : scheme === 'tcp' ? 0 : 200];
}

function givenHost({ headers = {} }: Row): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'host')?.[1];
}

/** Its lines joined as the Gateway API's own tests do: a line that a proxy made out of two with ", " is another value. */
function joined(lines: readonly (readonly [string, string])[], name: string): string | undefined {
  const values = lines.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  return values.length === 0 ? undefined : values.map(([, value]) => value).join(',');
}

/** Absolute, without the scheme's own port. A relative one says: the same scheme, host and port. */
function locationOf(row: Row, headers: readonly (readonly [string, string])[]): string | undefined {
  const text = joined(headers, 'location');
  if (text === undefined) return undefined;
  const { scheme, authority } = readOrder(wordsOf(row));
  const { host, port } = placeOf(givenHost(row) ?? authority, 0);
  try {
    return new URL(text, `${scheme}://${host}${port === 0 ? '' : `:${port}`}`).href;
  } catch {
    return text;
  }
}

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
