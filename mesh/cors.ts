// What a route with CORS settings makes of a request from a browser: an answer to a preflight, or header lines for the
// answer of the service. Called by the waypoint's filters. Pure. After the Fetch standard, and HTTPCORSFilter.
//
// The settings are the only word on it: what the service itself says of other origins is taken out of its answers, and no
// preflight reaches it.

import { type HeaderList, type HttpRequest, headerOf, joinedHeaderOf } from './http-request.ts';
import type { CorsSettings, HeaderEdit } from './route.ts';

export type CorsDecision =
  | { readonly kind: 'preflight'; readonly status: 204; readonly headers: HeaderList }
  /** The request goes on; this is to be done to the headers of its answer. */
  | { readonly kind: 'response'; readonly edit: HeaderEdit }
  /** Not from another origin, and the answer is the same for everybody. */
  | { readonly kind: 'none' };

const ANSWER_HEADERS: readonly string[] = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-expose-headers',
  'access-control-max-age',
];
const ORIGIN =
  /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?<host>\[[0-9a-f:.]+\]|[^:/?#[\]]+)(?::(?<port>\d{1,5}))?$/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };

export function corsDecision(settings: CorsSettings, request: HttpRequest): CorsDecision {
  const origin = headerOf(request, 'origin');
  // caches must not hand what is for one origin to another
  const vary: HeaderList = answersAlike(settings) ? [] : [['vary', 'origin']];
  if (origin === undefined) {
    if (vary.length === 0) return { kind: 'none' };
    return { kind: 'response', edit: { set: [], add: vary, remove: [] } };
  }
  const granted = grantOf(settings, origin);
  const wanted = headerOf(request, 'access-control-request-method');
  if (request.method === 'OPTIONS' && wanted !== undefined) {
    const preflight = granted.length === 0 ? [] : preflightOf(settings, request, wanted);
    return { kind: 'preflight', status: 204, headers: [...granted, ...preflight, ...vary] };
  }
  const exposed = granted.length === 0 ? [] : exposedBy(settings);
  return {
    kind: 'response',
    edit: { set: [...granted, ...exposed], add: vary, remove: ANSWER_HEADERS },
  };
}

/** Everybody gets the same answer, so that it need not vary. */
function answersAlike({ allowOrigins, allowCredentials }: CorsSettings): boolean {
  return allowOrigins.includes('*') && !allowCredentials;
}

/** Empty: this origin may not read anything. */
function grantOf(settings: CorsSettings, origin: string): HeaderList {
  if (answersAlike(settings)) return [['access-control-allow-origin', '*']];
  if (!settings.allowOrigins.some((allowed) => originMatches(allowed, origin))) return [];
  // with credentials browsers refuse `*`, so that the origin is named
  const allowed = ['access-control-allow-origin', origin] as const;
  return settings.allowCredentials
    ? [allowed, ['access-control-allow-credentials', 'true']]
    : [allowed];
}

function preflightOf(settings: CorsSettings, request: HttpRequest, method: string): HeaderList {
  const { allowMethods, allowHeaders, allowCredentials, maxAgeSeconds } = settings;
  const headers = joinedHeaderOf(request, 'access-control-request-headers');
  return [
    ...listed('access-control-allow-methods', allowMethods, allowCredentials ? method : '*'),
    ...listed('access-control-allow-headers', allowHeaders, allowCredentials ? headers : '*'),
    ...exposedBy(settings),
    ['access-control-max-age', String(maxAgeSeconds)],
  ];
}

/** With credentials `*` is no wildcard to a browser, and there is nothing to echo: nothing more is exposed. */
function exposedBy({ exposeHeaders, allowCredentials }: CorsSettings): HeaderList {
  return listed('access-control-expose-headers', exposeHeaders, allowCredentials ? undefined : '*');
}

function listed(name: string, values: readonly string[], any: string | undefined): HeaderList {
  const value = values.includes('*') ? any : values.join(', ');
  return value === undefined || value === '' ? [] : [[name, value]];
}

/** `allowed`: `*`, or `scheme://host[:port]`, where the host may be or begin with `*`, which stands for any text. */
export function originMatches(allowed: string, origin: string): boolean {
  if (allowed === '*') return true;
  const pattern = ORIGIN.exec(allowed.toLowerCase())?.groups;
  const asked = ORIGIN.exec(origin.toLowerCase())?.groups;
  if (pattern === undefined || asked === undefined) return false;
  if (pattern['scheme'] !== asked['scheme'] || portOf(pattern) !== portOf(asked)) return false;
  const { host: wanted = '' } = pattern;
  const { host = '' } = asked;
  if (!wanted.startsWith('*')) return wanted === host;
  return host.length >= wanted.length && host.endsWith(wanted.slice(1));
}

function portOf(origin: Readonly<Record<string, string>>): string | undefined {
  return origin['port'] ?? DEFAULT_PORTS[origin['scheme'] ?? ''];
}
