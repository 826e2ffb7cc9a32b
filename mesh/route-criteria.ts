// One match of a route, made ready: what it asks of a request besides host and path. Made by compileRoutes() once, asked by
// matchRoute() for each request. Pure; regular expressions are RE2, whose compiler is passed in.

import { type HttpRequest, joinedHeaderOf, type RequestSource } from './http-request.ts';
import { formatIdentity } from './identity.ts';
import type { RouteMatch, SourceMatch, ValueMatch } from './route.ts';

/**
 * Makes of an RE2 pattern the question whether the *whole* of a text matches it.
 * @throws when the pattern cannot be compiled
 */
export type RegexCompiler = (pattern: string) => (text: string) => boolean;

/** Takes note of what cannot be compiled, and answers a question that is never true in its place. */
export type CompileRegex = (pattern: string, where: string) => (text: string) => boolean;

export type Criteria = {
  readonly method: string | undefined;
  readonly headers: readonly ValueTest[];
  readonly query: readonly ValueTest[];
  readonly source: SourceMatch | undefined;
  /** The rule answers preflights itself, so that one for a method it takes is its own. */
  readonly takesPreflight: boolean;
};

type ValueTest = { readonly name: string; readonly holds: (value: string) => boolean };

/** A request as criteria see it, with what is read at most once. */
export type Asked = {
  readonly request: HttpRequest;
  readonly namespace: string | undefined;
  readonly principal: () => string | undefined;
  readonly query: () => ReadonlyMap<string, string>;
  /** The method a CORS preflight asks for. */
  readonly preflightFor: string | undefined;
};

export function criteriaOf(
  match: RouteMatch,
  takesPreflight: boolean,
  compile: CompileRegex,
): Criteria {
  return {
    method: match.method,
    headers: distinct(match.headers, (name) => name.toLowerCase()).map((one) =>
      valueTest(one, `header ${one.name}`, compile),
    ),
    query: distinct(match.query, (name) => name).map((one) =>
      valueTest(one, `query parameter ${one.name}`, compile),
    ),
    source: match.source,
    takesPreflight,
  };
}

/** Of several entries with one name only the first counts (HTTPRouteMatch.headers, .queryParams). */
export function distinct(
  matches: readonly ValueMatch[],
  keyOf: (name: string) => string,
): readonly ValueMatch[] {
  const seen = new Map<string, ValueMatch>();
  for (const one of matches) {
    const name = keyOf(one.name);
    if (!seen.has(name)) seen.set(name, { ...one, name });
  }
  return [...seen.values()];
}

function valueTest({ name, type, value }: ValueMatch, where: string, compile: CompileRegex) {
  return {
    name,
    holds: type === 'exact' ? (text: string) => text === value : compile(value, where),
  };
}

export function askedOf(request: HttpRequest, { identity }: RequestSource): Asked {
  return {
    request,
    namespace: identity?.namespace,
    principal: once(() => identity && formatIdentity(identity).slice('spiffe://'.length)),
    query: once(() => readQuery(request.query)),
    preflightFor:
      request.method === 'OPTIONS'
        ? joinedHeaderOf(request, 'access-control-request-method')
        : undefined,
  };
}

/** Most matches ask for neither query nor principal, and then they are not read at all. */
function once<T>(read: () => T): () => T {
  let kept: { readonly value: T } | undefined;
  return () => {
    kept ??= { value: read() };
    return kept.value;
  };
}

export function meets(criteria: Criteria, asked: Asked): boolean {
  const { method, headers, query, source, takesPreflight } = criteria;
  const preflight = takesPreflight && asked.preflightFor !== undefined;
  if (method !== undefined && method !== asked.request.method) {
    if (!preflight || method !== asked.preflightFor) return false;
  }
  for (const { name, holds } of headers) {
    // a header that came in several lines is compared joined, as policy and backends see it
    const value = joinedHeaderOf(asked.request, name);
    if (value === undefined || !holds(value)) return false;
  }
  for (const { name, holds } of query) {
    const value = asked.query().get(name);
    if (value === undefined || !holds(value)) return false;
  }
  return source === undefined || isFrom(source, asked);
}

function isFrom({ namespaces, principals }: SourceMatch, { namespace, principal }: Asked): boolean {
  if (namespaces.length > 0 && (namespace === undefined || !namespaces.includes(namespace)))
    return false;
  if (principals.length === 0) return true;
  const name = principal();
  return name !== undefined && principals.includes(name);
}

/** The first value of each parameter, decoded as HTML forms encode them; what cannot be decoded stays as it is. */
export function readQuery(query: string | undefined): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const pair of query?.split('&') ?? []) {
    const at = pair.indexOf('=');
    const name = decoded(at < 0 ? pair : pair.slice(0, at));
    if (pair !== '' && !values.has(name))
      values.set(name, at < 0 ? '' : decoded(pair.slice(at + 1)));
  }
  return values;
}

function decoded(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
