// Where the matches of one hostname are found by path: exact paths and prefixes by their text, so that looking one up among
// ten thousand routes touches only those the path leads to. Made by compileRoutes(), walked by matchRoute(). Pure.
// Invariant: the groups come in the order of route-precedence.ts, and so do the matches in each.

import type { Criteria } from './route-criteria.ts';
import type { PlacedMatch } from './route-precedence.ts';

export type Candidate = PlacedMatch & {
  readonly criteria: Criteria;
  /** What the index alone cannot say of the path: its regular expression. */
  readonly pathHolds: ((path: string) => boolean) | undefined;
  /** Where it stands among all matches of the table. */
  readonly order: number;
};

type Group = readonly Candidate[];

export type HostIndex = {
  /** gRPC, by `service/method`, either of which may be empty; regexes; any call. */
  readonly calls: ReadonlyMap<string, Group>;
  readonly callRegexes: Group;
  readonly anyCall: Group;
  readonly exactPaths: ReadonlyMap<string, Group>;
  /** Regexes that can only match below one first segment, by that segment. */
  readonly regexesBelow: ReadonlyMap<string, Group>;
  readonly otherRegexes: Group;
  /** By the prefix without its last slash. */
  readonly prefixes: ReadonlyMap<string, Group>;
  /** How many segments the prefixes have, the most first. */
  readonly prefixDepths: readonly number[];
  /** Of TLSRoutes and TCPRoutes: whole connections. */
  readonly streams: Group;
};

const GRPC_PATH = /^\/([^/]+)\/([^/]+)$/;
const NONE: Group = [];

/** `candidates` are in order of precedence. */
export function indexOf(candidates: readonly Candidate[]): HostIndex {
  const calls = new Map<string, Candidate[]>();
  const callRegexes: Candidate[] = [];
  const anyCall: Candidate[] = [];
  const exactPaths = new Map<string, Candidate[]>();
  const regexesBelow = new Map<string, Candidate[]>();
  const otherRegexes: Candidate[] = [];
  const prefixes = new Map<string, Candidate[]>();
  const streams: Candidate[] = [];
  for (const candidate of candidates) {
    const { route, match } = candidate;
    const { grpc, path } = match;
    if (route.kind === 'tls' || route.kind === 'tcp') streams.push(candidate);
    else if (route.kind === 'grpc') {
      const service = grpc?.service ?? '';
      const method = grpc?.method ?? '';
      if (service === '' && method === '') anyCall.push(candidate);
      else if (grpc?.type === 'regex') callRegexes.push(candidate);
      else put(calls, `${service}/${method}`, candidate);
    } else if (path?.type === 'exact') put(exactPaths, path.value, candidate);
    else if (path?.type === 'regex') {
      const segment = onlySegment(path.value);
      if (segment === undefined) otherRegexes.push(candidate);
      else put(regexesBelow, segment, candidate);
    } else put(prefixes, withoutLastSlash(path?.value ?? '/'), candidate);
  }
  const depths = new Set([...prefixes.keys()].map((prefix) => prefix.split('/').length - 1));
  return {
    calls,
    callRegexes,
    anyCall,
    exactPaths,
    regexesBelow,
    otherRegexes,
    prefixes,
    prefixDepths: [...depths].toSorted((a, b) => b - a),
    streams,
  };
}

function put(groups: Map<string, Candidate[]>, key: string, candidate: Candidate): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [candidate]);
  else group.push(candidate);
}

/** Everything that may match `path`, nothing that the index knows not to. */
export function* groupsFor(index: HostIndex, path: string): Generator<Group, void> {
  yield* callGroups(index, path);
  yield index.exactPaths.get(path) ?? NONE;
  const end = path.indexOf('/', 1);
  const segment = path.slice(1, end < 0 ? undefined : end);
  yield merged(index.regexesBelow.get(segment) ?? NONE, index.otherRegexes);
  const slashes = slashesIn(path, index.prefixDepths[0] ?? 0);
  for (const depth of index.prefixDepths) {
    const cut = slashes[depth];
    // the root's prefix is met by every path, `*` too
    const prefix = depth === 0 ? '' : cut === undefined ? undefined : path.slice(0, cut);
    if (prefix !== undefined) yield index.prefixes.get(prefix) ?? NONE;
  }
}

function* callGroups(index: HostIndex, path: string): Generator<Group, void> {
  const [, service, method] = GRPC_PATH.exec(path) ?? [];
  if (service !== undefined && method !== undefined && index.calls.size > 0) {
    yield index.calls.get(`${service}/${method}`) ?? NONE;
    yield index.calls.get(`${service}/`) ?? NONE;
    yield index.calls.get(`/${method}`) ?? NONE;
  }
  yield index.callRegexes;
  yield index.anyCall;
}

/** `/service/method`, or undefined: not a gRPC call's path. */
export function callOf(path: string): { service: string; method: string } | undefined {
  const [, service, method] = GRPC_PATH.exec(path) ?? [];
  return service === undefined || method === undefined ? undefined : { service, method };
}

/** Where each segment of `path` ends, up to the `most`th: a path of many slashes costs no more than the longest prefix. */
function slashesIn(path: string, most: number): readonly number[] {
  const ends: number[] = [];
  if (!path.startsWith('/')) return ends;
  for (let at = 0; at >= 0 && ends.length <= most; at = path.indexOf('/', at + 1)) ends.push(at);
  if (ends.length <= most) ends.push(path.length);
  return ends;
}

function withoutLastSlash(prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix;
}

function merged(a: Group, b: Group): Group {
  if (a.length === 0 || b.length === 0) return a.length === 0 ? b : a;
  return [...a, ...b].toSorted((one, other) => one.order - other.order);
}

/**
 * The first path segment every match of `pattern` has, if the pattern spells it out: `/api/v[0-9]+` can match nothing but
 * what begins with `/api/`. Cautious: undefined whenever it takes more than a look to say.
 */
function onlySegment(pattern: string): string | undefined {
  if (pattern.includes('|')) return undefined;
  const [literal = ''] = /^[A-Za-z0-9/_~-]*/.exec(pattern) ?? [];
  const next = pattern[literal.length];
  // what a quantifier stands behind may be absent
  const sure = next !== undefined && '*+?{'.includes(next) ? literal.slice(0, -1) : literal;
  if (!sure.startsWith('/')) return undefined;
  const end = sure.indexOf('/', 1);
  if (end > 0) return sure.slice(1, end);
  return sure.length === pattern.length ? sure.slice(1) : undefined;
}
