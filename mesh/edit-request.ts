// What a route's filters make of a request: its header lines, host and path, or the answer that sends the client elsewhere.
// Called by the waypoint's filters. Pure: a new value, the old one untouched.
//
// Invariant: no edit can break the framing of a message. Header lines that say where a message ends or belong to one hop
// are left as they are (see UNTOUCHED), values that cannot stand in one line are left out, and `host` means the authority.

import { hostOf } from './host.ts';
import type { HeaderList, HttpRequest } from './http-request.ts';
import type { HeaderEdit, PathEdit, RouteFilter, RouteMatch } from './route.ts';

type Rewrite = Extract<RouteFilter, { kind: 'rewrite' }>;
type Redirect = Extract<RouteFilter, { kind: 'redirect' }>;
/** What the rule's match asked of the path says which part of it a `prefix` edit replaces. */
type PathMatched = { readonly match: Pick<RouteMatch, 'path'> };

/** RFC 9110 section 7.6.1 and RFC 9112 section 6: written by whoever frames the message, never by a filter. */
const UNTOUCHED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const NOT_IN_ONE_LINE = /[\u0000\n\r]/;
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?$/;
const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/**
 * Removed first, then set, then added. Names in any case; of entries with one name in `set`, or in `add`, the first counts.
 * What is set takes the place of the first line of its name; what is added is a line of its own at the end.
 */
export function editHeaders(headers: HeaderList, edit: HeaderEdit): HeaderList {
  const set = linesOf(edit.set);
  const removed = new Set(edit.remove.map((name) => name.toLowerCase()).filter(mayEdit));
  const edited: (readonly [string, string])[] = [];
  const placed = new Set<string>();
  for (const line of headers) {
    const [name] = line;
    const value = set.get(name);
    if (value === undefined) {
      if (!removed.has(name)) edited.push(line);
    } else if (!placed.has(name)) {
      edited.push([name, value]);
      placed.add(name);
    }
  }
  for (const line of set) if (!placed.has(line[0])) edited.push(line);
  edited.push(...linesOf(edit.add));
  return edited;
}

/** As {@link editHeaders}; setting `host` sets the authority, which cannot be removed or had twice. */
export function editRequestHeaders(request: HttpRequest, edit: HeaderEdit): HttpRequest {
  const [, host] = edit.set.find(([name]) => name.toLowerCase() === 'host') ?? [];
  return {
    ...request,
    authority: authorityOf(host) ?? request.authority,
    headers: editHeaders(request.headers, edit),
  };
}

/** The query stays as it is. */
export function rewriteRequest(
  request: HttpRequest,
  { hostname, path }: Pick<Rewrite, 'hostname' | 'path'>,
  matched: PathMatched,
): HttpRequest {
  return {
    ...request,
    authority: authorityOf(hostname) ?? request.authority,
    path: path === undefined ? request.path : editPath(request.path, path, matched),
  };
}

/**
 * The Location of the answer (HTTPRequestRedirectFilter); its status is the filter's. The query is kept. A port that its
 * scheme implies is left out. A request without a host (HTTP/1.0) gets a reference that is relative to it.
 * @param listenerPort of the listener or service that the request came to; not what the client wrote into Host
 */
export function redirectLocation(
  request: HttpRequest,
  filter: Pick<Redirect, 'scheme' | 'hostname' | 'path' | 'port'>,
  matched: PathMatched,
  listenerPort: number,
): string {
  const scheme = filter.scheme ?? request.scheme;
  const host = authorityOf(filter.hostname) ?? hostOf(request.authority);
  const own = filter.scheme === undefined ? listenerPort : DEFAULT_PORTS[scheme];
  const port = filter.port ?? own;
  const edited =
    filter.path === undefined ? request.path : editPath(request.path, filter.path, matched);
  const path = edited.startsWith('/') ? edited : '/';
  const target = request.query === undefined ? path : `${path}?${request.query}`;
  if (host === '') return target;
  return `${scheme}://${host}${port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}${target}`;
}

/** Begins with one slash, and has no two in a row that were not in `path`. */
function editPath(path: string, edit: PathEdit, { match }: PathMatched): string {
  const value = writtenPath(edit.value);
  if (edit.type === 'full') return value;
  // an exact path or a regex matched all of it
  const prefix =
    match.path === undefined || match.path.type === 'prefix' ? (match.path?.value ?? '/') : path;
  const rest = path.startsWith('/') ? path.slice(withoutLastSlash(prefix).length) : '';
  return `${withoutLastSlash(value)}${rest}` || '/';
}

/** A path as its author wrote it, fit to stand in a request line: what may not stand there is percent-encoded. */
function writtenPath(value: string): string {
  const encoded = value.toWellFormed().replaceAll(/[^\x21-\x7e]|[?#\\]/gu, encodeURIComponent);
  return `/${encoded}`.replaceAll(/\/{2,}/g, '/');
}

function withoutLastSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path;
}

/** undefined: nothing that could be one. */
function authorityOf(text: string | undefined): string | undefined {
  const authority = text?.toLowerCase();
  return authority !== undefined && HOST.test(authority) ? authority : undefined;
}

function linesOf(lines: HeaderEdit['set']): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  for (const [given, value] of lines) {
    const name = given.toLowerCase();
    if (mayEdit(name) && !kept.has(name) && !NOT_IN_ONE_LINE.test(value)) kept.set(name, value);
  }
  return kept;
}

function mayEdit(name: string): boolean {
  return TOKEN.test(name) && !UNTOUCHED.has(name);
}
