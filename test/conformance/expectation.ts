// What a request is expected to come to, as a row of a table, and what is wrong with what it did come to. Pure; called by
// requests.ts. Invariant: what a row leaves out is not left unchecked: an answer of a backend must show the request
// unchanged (path, method, host), in the backend's namespace, in the HTTP version of the request.

import { ECHO_METHOD } from '../../sandbox/apps/grpc-message.ts';
import type { Answered, HeaderLines, Result } from '../../sandbox/apps/http-client/result.ts';
import {
  type Order,
  placeOf,
  readOrder,
  type Scheme,
} from '../../sandbox/apps/http-client/words.ts';
import type { HttpEcho } from '../../sandbox/apps/http-echo/answer.ts';

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
  const wrong = [...responseProblems(row, result), ...callProblems(row, order, result)];
  if (wrong.length > 0 || !isAnswer(statusesOf(row, order.scheme)) || (row.grpc ?? 0) !== 0) {
    return wrong;
  }
  if (result.echo === undefined) return [`no echo answered: ${show(result.body)}`];
  return backendProblems(row, order, result.echo, namespace);
}

function responseProblems(row: Row, result: Answered): string[] {
  const { headers = {}, absent = [] } = row.response ?? {};
  const statuses = statusesOf(row, readOrder(wordsOf(row)).scheme);
  const wanted = statuses.join(' or ');
  return [
    ...(statuses.includes(result.status)
      ? []
      : [`status is ${result.status}, expected ${wanted}; body ${show(result.body)}`]),
    ...(row.location === undefined
      ? []
      : differing('location', locationOf(row, result.headers), row.location)),
    ...headerProblems('response', result.headers, headers, absent),
  ];
}

function callProblems(row: Row, { scheme }: Order, { grpc }: Answered): string[] {
  return scheme === 'grpc' ? differing('grpc-status', grpc?.status, row.grpc ?? 0) : [];
}

/** Of the request as the backend saw it, and of who that was. */
function backendProblems(row: Row, order: Order, echo: HttpEcho, namespace: string): string[] {
  const { seen = {}, backend = '' } = row;
  const who = [
    ...(echo.hostname.startsWith(backend)
      ? []
      : [`${echo.hostname} answered, expected ${backend}`]),
    ...differing('namespace of the backend', echo.namespace, seen.namespace ?? namespace),
  ];
  if (order.scheme === 'tcp') return who;
  const sent =
    order.scheme === 'grpc'
      ? { path: ECHO_METHOD, method: 'POST' }
      : { path: order.target || '/', method: order.method };
  const proto = seen.proto ?? BACKEND_PROTO[order.scheme] ?? echo.proto;
  return [
    ...who,
    ...differing('path', echo.path, seen.path ?? sent.path),
    ...differing('method', echo.method, sent.method),
    ...differing('host', echo.host, seen.host ?? givenHost(row) ?? order.authority),
    ...differing('protocol', echo.proto, proto),
    ...headerProblems('request', echo.headers, seen.headers ?? {}, seen.absent ?? []),
  ];
}

function headerProblems(
  whose: 'request' | 'response',
  lines: HeaderLines,
  values: Headers,
  absent: readonly string[],
): string[] {
  const wanted: readonly (readonly [string, string | undefined])[] = [
    ...Object.entries(values),
    ...absent.map((name) => [name, undefined] as const),
  ];
  return wanted.flatMap(([name, value]) =>
    differing(`${whose} header ${name}`, joined(lines, name), value),
  );
}

function differing(what: string, actual: unknown, expected: unknown): string[] {
  return actual === expected ? [] : [`${what} is ${show(actual)}, expected ${show(expected)}`];
}

/** Whether all of these statuses say that a backend did what it was asked. */
function isAnswer(statuses: readonly number[]): boolean {
  return statuses.every((status) => status <= 200);
}

function statusesOf({ status }: Row, scheme: Scheme): readonly number[] {
  if (status !== undefined) return typeof status === 'number' ? [status] : status;
  return [scheme === 'ws' ? 101 : scheme === 'tcp' ? 0 : 200];
}

function givenHost({ headers = {} }: Row): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === 'host')?.[1];
}

/** Its lines joined as the Gateway API's own tests do: a line that a proxy made out of two with ", " is another value. */
function joined(lines: HeaderLines, name: string): string | undefined {
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
