// Matches of HTTPRoutes and GRPCRoutes -> mesh RouteMatch. Called by rules.ts.
//
// Ours besides the Gateway API: who asks. A header match on one of two reserved names, type Exact, is not about a header:
//   x-ambit-source-namespace: the namespace of the caller's identity
//   x-ambit-source-principal: the whole identity, `spiffe://cluster.local/ns/a/sa/b`, with or without the scheme
// Several values are several matches. A waypoint takes both from the caller's certificate, never from what was sent.

import type {
  GrpcMatch,
  PathMatch,
  RouteMatch,
  SourceMatch,
  ValueMatch,
} from '../../../mesh/route.ts';
import type {
  GrpcMatchSpec,
  HttpMatchSpec,
  ValueMatchSpec,
} from '../../../runtime/kubernetes/route-objects.ts';
import { badValue, unknownWord } from './faults.ts';

const SOURCE_NAMESPACE = 'x-ambit-source-namespace';
const SOURCE_PRINCIPAL = 'x-ambit-source-principal';

const PATH_TYPES: Readonly<Record<string, PathMatch['type']>> = {
  Exact: 'exact',
  PathPrefix: 'prefix',
  RegularExpression: 'regex',
};
const VALUE_TYPES: Readonly<Record<string, ValueMatch['type']>> = {
  Exact: 'exact',
  RegularExpression: 'regex',
};
// Of the Gateway API; longer ones cannot be in the cluster.
const MAX_PATTERN_CHARS = 4096;

/** Says why a regular expression cannot be used, undefined when it can. */
export type CheckRegex = (pattern: string) => string | undefined;

/** @throws RouteFault */
export function httpMatchOf(spec: HttpMatchSpec, check: CheckRegex): RouteMatch {
  return {
    // what the API server fills in, for objects that came without
    path: pathOf(spec.path ?? {}, check),
    method: spec.method,
    ...headersOf(spec.headers, check),
    query: distinct(spec.queryParams ?? [], (name) => name).map((one) =>
      valueOf(one, one.name, 'Query parameter', check),
    ),
    grpc: undefined,
  };
}

/** @throws RouteFault */
export function grpcMatchOf(spec: GrpcMatchSpec, check: CheckRegex): RouteMatch {
  return {
    path: undefined,
    method: undefined,
    ...headersOf(spec.headers, check),
    query: [],
    grpc: spec.method === undefined ? undefined : grpcMethodOf(spec.method, check),
  };
}

function pathOf(
  { type = 'PathPrefix', value = '/' }: NonNullable<HttpMatchSpec['path']>,
  check: CheckRegex,
): PathMatch {
  const known = PATH_TYPES[type] ?? unknownWord('Path match type', type, Object.keys(PATH_TYPES));
  if (known === 'regex') checkPattern('Path', value, check);
  else if (!value.startsWith('/')) badValue(`Path "${value}" must begin with /`);
  return { type: known, value };
}

function headersOf(
  specs: readonly ValueMatchSpec[] | undefined,
  check: CheckRegex,
): { headers: ValueMatch[]; source: SourceMatch | undefined } {
  const headers: ValueMatch[] = [];
  let source: SourceMatch | undefined;
  for (const spec of distinct(specs ?? [], (name) => name.toLowerCase())) {
    const name = spec.name.toLowerCase();
    if (name !== SOURCE_NAMESPACE && name !== SOURCE_PRINCIPAL) {
      headers.push(valueOf(spec, name, 'Header', check));
      continue;
    }
    const { type = 'Exact', value } = spec;
    if (type !== 'Exact') badValue(`Match on ${name} must be Exact: it is not of type ${type}`);
    source ??= { namespaces: [], principals: [] };
    source =
      name === SOURCE_NAMESPACE
        ? { ...source, namespaces: [value] }
        : { ...source, principals: [value.replace(/^spiffe:\/\//, '')] };
  }
  return { headers, source };
}

function valueOf(spec: ValueMatchSpec, name: string, what: string, check: CheckRegex): ValueMatch {
  const { type = 'Exact', value } = spec;
  const known =
    VALUE_TYPES[type] ?? unknownWord(`${what} match type`, type, Object.keys(VALUE_TYPES));
  if (known === 'regex') checkPattern(`${what} ${spec.name}`, value, check);
  return { name, type: known, value };
}

function grpcMethodOf(
  { type = 'Exact', service, method }: NonNullable<GrpcMatchSpec['method']>,
  check: CheckRegex,
): GrpcMatch {
  const known =
    VALUE_TYPES[type] ?? unknownWord('Method match type', type, Object.keys(VALUE_TYPES));
  if (known === 'regex') {
    for (const text of [service, method]) {
      if (text !== undefined) checkPattern('Method', text, check);
    }
  }
  return { type: known, service, method };
}

function checkPattern(what: string, pattern: string, check: CheckRegex): void {
  if (pattern.length > MAX_PATTERN_CHARS) {
    badValue(`${what}: a regular expression of ${pattern.length} characters is too long`);
  }
  const why = check(pattern);
  if (why !== undefined) badValue(`${what}: "${pattern}" cannot be matched: ${why}`);
}

/** Of those with one name the first counts. */
function distinct(
  specs: readonly ValueMatchSpec[],
  nameOf: (name: string) => string,
): ValueMatchSpec[] {
  const seen = new Set<string>();
  return specs.filter(({ name }) => {
    const key = nameOf(name);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
