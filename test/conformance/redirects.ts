// Redirects, for Services and Gateways alike: filters by path, and the whole Location each request must get. Run by
// mesh.test.ts and gateway-http.test.ts.

import type { Row } from './expectation.ts';
import { prefix } from './objects.ts';

export type Redirect = {
  /** The prefix of the rule. */
  readonly path: string;
  readonly filter: object;
  /** What is asked for; the prefix when left out. */
  readonly target?: string;
  readonly method?: string;
  readonly status: number;
  /** `HOST` stands for the host that was asked. */
  readonly location: string;
};

const ORG = { hostname: 'example.org' };
const replacePrefix = (value: string): object => ({
  path: { type: 'ReplacePrefixMatch', replacePrefixMatch: value },
});
const replaceFull = (value: string): object => ({
  path: { type: 'ReplaceFullPath', replaceFullPath: value },
});

export const HOST_AND_STATUS: readonly Redirect[] = [
  {
    path: '/hostname-redirect',
    filter: ORG,
    status: 302,
    location: 'http://example.org/hostname-redirect',
  },
  {
    path: '/host-and-status',
    filter: { ...ORG, statusCode: 301 },
    status: 301,
    location: 'http://example.org/host-and-status',
  },
];

export const PATHS: readonly Redirect[] = [
  {
    path: '/original-prefix',
    filter: replacePrefix('/replacement-prefix'),
    target: '/original-prefix/lemon',
    status: 302,
    location: 'http://HOST/replacement-prefix/lemon',
  },
  {
    path: '/full',
    filter: replaceFull('/full-path-replacement'),
    target: '/full/path/original',
    status: 302,
    location: 'http://HOST/full-path-replacement',
  },
  {
    path: '/path-and-host',
    filter: { ...ORG, ...replacePrefix('/replacement-prefix') },
    target: '/path-and-host/lemon',
    status: 302,
    location: 'http://example.org/replacement-prefix/lemon',
  },
  {
    path: '/path-and-status',
    filter: { statusCode: 301, ...replacePrefix('/replacement-prefix') },
    target: '/path-and-status/lemon?x=1',
    status: 301,
    location: 'http://HOST/replacement-prefix/lemon?x=1',
  },
  {
    path: '/full-path-and-host',
    filter: { ...ORG, ...replaceFull('/replacement-full') },
    target: '/full-path-and-host/lemon',
    status: 302,
    location: 'http://example.org/replacement-full',
  },
  {
    path: '/full-path-and-status',
    filter: { statusCode: 301, ...replaceFull('/replacement-full') },
    target: '/full-path-and-status/lemon',
    status: 301,
    location: 'http://HOST/replacement-full',
  },
];

export const PORTS: readonly Redirect[] = [
  { path: '/port', filter: { port: 8083 }, status: 302, location: 'http://HOST:8083/port' },
  {
    path: '/port-and-host',
    filter: { ...ORG, port: 8083 },
    status: 302,
    location: 'http://example.org:8083/port-and-host',
  },
  {
    path: '/port-and-status',
    filter: { port: 8083, statusCode: 301 },
    status: 301,
    location: 'http://HOST:8083/port-and-status',
  },
  {
    path: '/port-and-host-and-status',
    filter: { ...ORG, port: 8083, statusCode: 302 },
    status: 302,
    location: 'http://example.org:8083/port-and-host-and-status',
  },
];

export const SCHEMES: readonly Redirect[] = [
  { path: '/scheme', filter: { scheme: 'https' }, status: 302, location: 'https://HOST/scheme' },
  {
    path: '/scheme-and-host',
    filter: { ...ORG, scheme: 'https' },
    status: 302,
    location: 'https://example.org/scheme-and-host',
  },
  {
    path: '/scheme-and-status',
    filter: { scheme: 'https', statusCode: 301 },
    status: 301,
    location: 'https://HOST/scheme-and-status',
  },
  {
    path: '/scheme-and-host-and-status',
    filter: { ...ORG, scheme: 'https', statusCode: 302 },
    status: 302,
    location: 'https://example.org/scheme-and-host-and-status',
  },
];

export const STATUSES = {
  303: redirectOf('/see-other', 303, 'POST'),
  307: redirectOf('/temporary', 307, 'POST'),
  308: redirectOf('/permanent', 308, 'POST'),
} as const;

function redirectOf(path: string, status: number, method: string): Redirect {
  return { path, filter: { statusCode: status }, method, status, location: `http://HOST${path}` };
}

/** Rules that do nothing but redirect. */
export function redirectRules(redirects: readonly Redirect[]): object[] {
  return redirects.map(({ path, filter }) => ({
    matches: [prefix(path)],
    filters: [{ type: 'RequestRedirect', requestRedirect: filter }],
  }));
}

export function redirectRows(host: string, redirects: readonly Redirect[]): Row[] {
  return redirects.map(({ path, target = path, method, status, location }) => ({
    url: `http://${host}${target}`,
    ...(method === undefined ? {} : { method }),
    status,
    location: location.replace('HOST', host),
  }));
}
