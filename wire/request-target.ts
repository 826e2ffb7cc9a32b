// The target of a request (RFC 9112 section 3.2; `:path` of HTTP/2) in any of its four forms, taken apart. Called by the
// waypoint on every request, before anything is decided about it. Strict: it comes from a peer. Never throws: what is
// refused comes back with the reason, and ends with its status.

import type { Authority } from '../mesh/address.ts';
import { readAuthority } from './authority.ts';
import { DEFAULT_PATH_RULES, type PathRefusal, type PathRules, readPath } from './request-path.ts';

export type TargetRules = PathRules & {
  /** Path and query together; longer ones end with 414. As much as the header block of a request may have (64 KiB). */
  readonly maxTargetLength: number;
};

export const DEFAULT_TARGET_RULES: TargetRules = { ...DEFAULT_PATH_RULES, maxTargetLength: 65_536 };

export type RequestTarget =
  /** `/path?query` */
  | ({ readonly form: 'origin' } & Resource)
  /** `http://host/path?query`: its authority counts, not the Host header. Only in HTTP/1. */
  | ({
      readonly form: 'absolute';
      readonly scheme: 'http' | 'https';
      readonly authority: string;
    } & Resource)
  /** `*`, of the server as a whole. */
  | ({ readonly form: 'asterisk' } & Resource)
  /** `host:port` of a CONNECT. */
  | { readonly form: 'authority'; readonly authority: Authority }
  | Refused;

export type Resource = {
  /** As decisions see it: normalised, or `*`. */
  readonly path: string;
  /** What goes into the request line in its place: see request-path.ts. A filter that edits `path` makes it void. */
  readonly forwarded: string;
  /** As the client wrote it, without `?`; undefined: there was none. */
  readonly query: string | undefined;
};

export type TargetRefusal =
  | PathRefusal
  | 'target-too-long'
  | 'fragment'
  | 'bad-query'
  | 'bad-scheme'
  | 'bad-host'
  | 'form-of-another-method';

export type Refused = {
  readonly form: 'refused';
  readonly reason: TargetRefusal;
  readonly status: 400 | 414;
};

const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is;

export function readRequestTarget(
  method: string,
  target: string,
  rules: TargetRules = DEFAULT_TARGET_RULES,
): RequestTarget {
  if (target.length > rules.maxTargetLength) return refused('target-too-long');
  if (method === 'CONNECT') {
    const authority = readAuthority(target);
    return authority === undefined ? refused('bad-host') : { form: 'authority', authority };
  }
  if (target.includes('#')) return refused('fragment');
  if (target === '*') {
    if (method !== 'OPTIONS') return refused('form-of-another-method');
    return { form: 'asterisk', ...ASTERISK };
  }
  const [, scheme, host, rest = ''] = ABSOLUTE.exec(target) ?? [];
  if (scheme === undefined || host === undefined) {
    const resource = readResource(target, rules);
    return 'form' in resource ? resource : { form: 'origin', ...resource };
  }
  const lower = scheme.toLowerCase();
  if (lower !== 'http' && lower !== 'https') return refused('bad-scheme');
  const authority = readHost(host);
  if (authority === undefined) return refused('bad-host');
  const resource = readAbsolutePath(method, rest, rules);
  return 'form' in resource
    ? resource
    : { form: 'absolute', scheme: lower, authority, ...resource };
}

const ASTERISK: Resource = { path: '*', forwarded: '*', query: undefined };

/** RFC 9112 sections 3.2.1 and 3.2.4: an empty path is `/`, but for OPTIONS without a query, where it is `*`. */
function readAbsolutePath(method: string, rest: string, rules: TargetRules): Resource | Refused {
  if (rest === '' && method === 'OPTIONS') return ASTERISK;
  return readResource(rest.startsWith('/') ? rest : `/${rest}`, rules);
}

function readResource(text: string, rules: TargetRules): Resource | Refused {
  const mark = text.indexOf('?');
  const query = mark < 0 ? undefined : text.slice(mark + 1);
  const read = readPath(mark < 0 ? text : text.slice(0, mark), rules);
  if (read.kind === 'refused') return refused(read.reason);
  // what stands in a query is the application's; it only must not end the request line
  if (query !== undefined && !/^[\x21-\x7e]*$/.test(query)) return refused('bad-query');
  return { path: read.path, forwarded: read.forwarded, query };
}

function refused(reason: TargetRefusal): Refused {
  const status = reason === 'too-long' || reason === 'target-too-long' ? 414 : 400;
  return { form: 'refused', reason, status };
}

/**
 * `host` or `host:port` of a Host header, `:authority` or absolute form: in lower case, without the dot of the DNS root.
 * undefined: anything else, user names and empty ports included.
 */
export function readHost(text: string): string | undefined {
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(:\d{1,5})?$/s.exec(text) ?? [];
  const name = host.toLowerCase().replace(/\.$/, '');
  return readAuthority(`${name}${port === '' ? ':1' : port}`) === undefined
    ? undefined
    : `${name}${port}`;
}
