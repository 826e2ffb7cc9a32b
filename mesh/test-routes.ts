// Routes and requests for tests, short enough to be read as tables.

import assert from 'node:assert/strict';
import { parseIp } from './address.ts';
import type { HttpRequest, RequestSource } from './http-request.ts';
import { parseIdentity } from './identity.ts';
import {
  ANY_REQUEST,
  compileRoutes,
  type Matched,
  matchRoute,
  type RouteTable,
} from './match-route.ts';
import type {
  Backend,
  GrpcMatch,
  PathMatch,
  Route,
  RouteMatch,
  RouteParent,
  RouteRule,
  SourceMatch,
  ValueMatch,
} from './route.ts';
import type { RegexCompiler } from './route-criteria.ts';

export const ECHO_80 = {
  kind: 'service',
  service: 'm/echo',
  port: 80,
  clientNamespace: undefined,
} as const;

export const ON_ECHO_80 = {
  kind: 'service',
  service: 'm/echo',
  port: 80,
  clientsOf: undefined,
} as const satisfies RouteParent;

export const ON_LISTENER = { kind: 'listener', gateway: 'm/edge', listener: 'http' } as const;

export function backendTo(service: string, weight = 1): Backend {
  return {
    target: { kind: 'service', service, port: 8080, subset: undefined },
    weight,
    filters: [],
  };
}

export function routeOf(parts: Partial<Route>): Route {
  return {
    kind: 'http',
    namespace: 'm',
    name: 'route',
    createdAt: 1,
    parents: [ON_ECHO_80],
    rules: [],
    ...parts,
  };
}

/** A rule that sends what it matches to `to`. */
export function ruleTo(to: string, ...matches: readonly RouteMatch[]): RouteRule {
  return { ...EMPTY_RULE, matches, backends: [backendTo(to)] };
}

export const EMPTY_RULE: RouteRule = {
  name: undefined,
  matches: [],
  filters: [],
  backends: [],
  requestTimeoutMs: undefined,
  backendTimeoutMs: undefined,
  retry: undefined,
  sessionPersistence: undefined,
};

/** Written as briefly as it is thought: `=/a` exact, `/a` prefix, `~/a.*` regex. */
export function matching(
  parts: {
    readonly path?: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly query?: Readonly<Record<string, string>>;
    readonly grpc?: GrpcMatch;
    readonly source?: SourceMatch;
  } = {},
): RouteMatch {
  const { path, headers = {}, query = {}, ...rest } = parts;
  return {
    ...ANY_REQUEST,
    ...rest,
    path: path === undefined ? undefined : pathMatch(path),
    headers: valueMatches(headers),
    query: valueMatches(query),
  };
}

export function pathMatch(text: string): PathMatch {
  if (text.startsWith('=')) return { type: 'exact', value: text.slice(1) };
  if (text.startsWith('~')) return { type: 'regex', value: text.slice(1) };
  return { type: 'prefix', value: text };
}

function valueMatches(values: Readonly<Record<string, string>>): readonly ValueMatch[] {
  return Object.entries(values).map(([name, value]) =>
    value.startsWith('~')
      ? { name, type: 'regex', value: value.slice(1) }
      : { name, type: 'exact', value },
  );
}

/** `target` as in a request line; header names in any case. */
export function requestTo(
  target: string,
  parts: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly host?: string;
    readonly scheme?: 'http' | 'https';
  } = {},
): HttpRequest {
  const mark = target.indexOf('?');
  return {
    method: parts.method ?? 'GET',
    scheme: parts.scheme ?? 'http',
    authority: parts.host ?? 'echo',
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? undefined : target.slice(mark + 1),
    headers: Object.entries(parts.headers ?? {}).map(([name, value]) => [
      name.toLowerCase(),
      value,
    ]),
  };
}

export const NOBODY: RequestSource = { identity: undefined, ip: parseIp('10.0.0.9') };

export function callerOf(namespace: string, account = 'web'): RequestSource {
  const identity = parseIdentity(`spiffe://cluster.local/ns/${namespace}/sa/${account}`);
  return { ...NOBODY, identity };
}

/** JavaScript's own, which for the patterns of tests means the same as RE2. */
export const REGEX: RegexCompiler = (pattern) => {
  const compiled = new RegExp(`^(?:${pattern})$`, 'u');
  return (text) => compiled.test(text);
};

/** Where a matched request goes, or 404. */
export function goesTo(matched: Matched | undefined): string {
  const target = matched?.rule.backends[0]?.target;
  return target?.kind === 'service' ? target.service : '404';
}

export type Case = readonly [
  target: string,
  to: string,
  parts?: { method?: string; headers?: Record<string, string>; host?: string },
];

/** Of one HTTPRoute to a service. */
export function tableOf(...rules: readonly RouteRule[]): RouteTable {
  return compileRoutes([routeOf({ rules })], ECHO_80, REGEX);
}

export function assertCases(table: RouteTable, cases: readonly Case[]): void {
  for (const [target, to, parts] of cases) {
    const matched = matchRoute(table, requestTo(target, parts), NOBODY);
    assert.equal(goesTo(matched), to, `${target} ${JSON.stringify(parts ?? {})}`);
  }
}
