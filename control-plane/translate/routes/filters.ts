// Filters of routes -> mesh RouteFilter, in the order their author wrote them. Called by rules.ts for rules and backends. A
// filter that cannot be applied is kept as `broken`: requests end with 500, they never go on without it.

import type { HeaderEdit, PathEdit, RouteFilter } from '../../../mesh/route.ts';
import type {
  HeaderModifier,
  PathModifier,
  RouteFilterSpec,
} from '../../../runtime/kubernetes/route-objects.ts';
import { type ReferenceContext, targetOf } from './backends.ts';
import { badValue, RouteFault, unknownWord, wholeNumber } from './faults.ts';

// RFC 9110 section 5.6.2.
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HOSTNAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/i;
// What may stand in a path that we write into a request or a Location: no space, control, query or fragment.
const PATH = /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/;
const CORS_MAX_AGE = 5;

const HTTP_FILTERS = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestRedirect',
  'URLRewrite',
  'RequestMirror',
  'CORS',
  'ExternalAuth',
  'ExtensionRef',
];
const GRPC_FILTERS = [
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'ExtensionRef',
];

/** @throws RouteFault */
export function filtersOf(
  specs: readonly RouteFilterSpec[] | undefined,
  context: ReferenceContext,
): RouteFilter[] {
  const filters = (specs ?? []).map((spec) => filterOf(spec, context));
  const kinds = filters.map(({ kind }) => kind);
  if (kinds.includes('redirect') && kinds.includes('rewrite')) {
    const message = 'RequestRedirect and URLRewrite cannot be together: a redirect is not sent on';
    throw new RouteFault('rule', message, 'IncompatibleFilters');
  }
  return filters;
}

function filterOf(spec: RouteFilterSpec, context: ReferenceContext): RouteFilter {
  const known = context.source.kind === 'grpc' ? GRPC_FILTERS : HTTP_FILTERS;
  if (!known.includes(spec.type)) unknownWord('Filter type', spec.type, known);
  switch (spec.type) {
    case 'RequestHeaderModifier':
      return { kind: 'request-headers', ...headerEdit(present(spec, 'requestHeaderModifier')) };
    case 'ResponseHeaderModifier':
      return { kind: 'response-headers', ...headerEdit(present(spec, 'responseHeaderModifier')) };
    case 'RequestRedirect':
      return redirectOf(present(spec, 'requestRedirect'));
    case 'URLRewrite': {
      const { hostname, path } = present(spec, 'urlRewrite');
      return { kind: 'rewrite', hostname: hostnameOf(hostname), path: pathEdit(path) };
    }
    case 'RequestMirror':
      return mirrorOf(present(spec, 'requestMirror'), context);
    case 'CORS':
      return corsOf(present(spec, 'cors'));
    case 'ExternalAuth':
      return externalAuthOf(present(spec, 'externalAuth'), context);
    default:
      return extensionOf(spec, context);
  }
}

/** No extension is known here yet. */
function extensionOf({ extensionRef }: RouteFilterSpec, context: ReferenceContext): RouteFilter {
  const { group = '', kind = '', name = '' } = extensionRef ?? {};
  const message = `Filter ${group}/${kind} ${name} is not known: requests that should pass it end with 500`;
  context.broken.push({ reason: 'InvalidKind', message });
  return { kind: 'broken', why: message };
}

function present<K extends keyof RouteFilterSpec>(
  spec: RouteFilterSpec,
  field: K,
): NonNullable<RouteFilterSpec[K]> {
  return spec[field] ?? badValue(`Filter ${spec.type} needs the field ${field}`);
}

function headerEdit({ set = [], add = [], remove = [] }: HeaderModifier): HeaderEdit {
  const pair = ({ name, value }: { name: string; value: string }): readonly [string, string] => {
    // a line break would be a header of the value's own
    if (!TOKEN.test(name) || !isFieldValue(value)) {
      badValue(`Header "${name}" cannot be set to ${JSON.stringify(value)}`);
    }
    return [name.toLowerCase(), value];
  };
  return {
    set: set.map(pair),
    add: add.map(pair),
    remove: remove.map((name) => name.toLowerCase()),
  };
}

/** RFC 9110 section 5.5: no controls but the tab, and one byte a character. */
function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f || code > 0xff) return false;
  }
  return true;
}

function redirectOf(spec: NonNullable<RouteFilterSpec['requestRedirect']>): RouteFilter {
  const { scheme, hostname, path, port, statusCode = 302 } = spec;
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    unknownWord('Redirect scheme', scheme, ['http', 'https']);
  }
  if (port !== undefined) wholeNumber('Redirect port', port, { min: 1, max: 65_535 });
  switch (statusCode) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return {
        kind: 'redirect',
        scheme,
        hostname: hostnameOf(hostname),
        path: pathEdit(path),
        port,
        status: statusCode,
      };
    default:
      return unknownWord('Redirect status', String(statusCode), [
        '301',
        '302',
        '303',
        '307',
        '308',
      ]);
  }
}

function hostnameOf(hostname: string | undefined): string | undefined {
  if (hostname !== undefined && !HOSTNAME.test(hostname)) {
    badValue(`"${hostname}" is not a hostname`);
  }
  return hostname?.toLowerCase();
}

function pathEdit(path: PathModifier | undefined): PathEdit | undefined {
  if (path === undefined) return undefined;
  const { type, replaceFullPath, replacePrefixMatch } = path;
  if (type !== 'ReplaceFullPath' && type !== 'ReplacePrefixMatch') {
    return unknownWord('Path modifier', type, ['ReplaceFullPath', 'ReplacePrefixMatch']);
  }
  // an empty replacement leaves the root
  const value = (type === 'ReplaceFullPath' ? replaceFullPath : replacePrefixMatch) || '/';
  if (!PATH.test(value)) badValue(`"${value}" is not a path to replace another with`);
  return { type: type === 'ReplaceFullPath' ? 'full' : 'prefix', value };
}

function mirrorOf(
  { backendRef, percent, fraction }: NonNullable<RouteFilterSpec['requestMirror']>,
  context: ReferenceContext,
): RouteFilter {
  const numerator = fraction?.numerator ?? percent ?? 100;
  const denominator = fraction === undefined ? 100 : (fraction.denominator ?? 100);
  wholeNumber('Denominator of a mirror', denominator, { min: 1 });
  wholeNumber('Share of a mirror', numerator, { max: denominator });
  return { kind: 'mirror', target: targetOf(backendRef, context), numerator, denominator };
}

function corsOf(cors: NonNullable<RouteFilterSpec['cors']>): RouteFilter {
  return {
    kind: 'cors',
    allowOrigins: cors.allowOrigins ?? [],
    allowCredentials: cors.allowCredentials ?? false,
    allowMethods: cors.allowMethods ?? [],
    allowHeaders: cors.allowHeaders ?? [],
    exposeHeaders: cors.exposeHeaders ?? [],
    maxAgeSeconds: wholeNumber('cors.maxAge', cors.maxAge ?? CORS_MAX_AGE),
  };
}

function externalAuthOf(
  auth: NonNullable<RouteFilterSpec['externalAuth']>,
  context: ReferenceContext,
): RouteFilter {
  const { protocol, backendRef, http, grpc, forwardBody } = auth;
  if (protocol !== 'HTTP' && protocol !== 'GRPC') {
    return unknownWord('Protocol of external authorization', protocol, ['HTTP', 'GRPC']);
  }
  const lower = (names: readonly string[] = []): string[] => names.map((one) => one.toLowerCase());
  return {
    kind: 'external-auth',
    protocol: protocol === 'HTTP' ? 'http' : 'grpc',
    target: targetOf(backendRef, context),
    pathPrefix: http?.path ?? '',
    allowedHeaders: lower(protocol === 'HTTP' ? http?.allowedHeaders : grpc?.allowedHeaders),
    allowedResponseHeaders: lower(http?.allowedResponseHeaders),
    maxBodyBytes: wholeNumber('forwardBody.maxSize', forwardBody?.maxSize ?? 0),
  };
}
