// The authorization services that CUSTOM policies may name: one ConfigMap in the mesh's own namespace, a key a provider, its
// value the reference's provider in YAML (envoyExtAuthzGrpc or envoyExtAuthzHttp). Pure. Called by http-policies.ts.
// Invariant: a provider that cannot be read is known all the same, with why: what its policies match is denied.

import { parse } from 'yaml';
import type { ExternalAuthorizer } from '../../mesh/http-policy.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import { durationMs } from './routes/durations.ts';

/** A provider by its name; one that cannot be used says why. */
export type Providers = ReadonlyMap<
  string,
  ExternalAuthorizer | { readonly name: string; readonly why: string }
>;

export const PROVIDERS_CONFIG_MAP = 'ambit-extension-providers';

/** Where a provider does not say: longer than any that works, shorter than a client's patience. */
const DEFAULT_TIMEOUT_MS = 5000;
const MAX_TIMEOUT_MS = 60_000;
/** What a waypoint holds of a body for a question at most. */
const MAX_BODY_BYTES = 1024 * 1024;
/** What a client gets when nobody answers. */
const DEFAULT_ERROR_STATUS = 403;

type Provider = NonNullable<ReturnType<Providers['get']>>;

/** `services`: every one of the mesh; a provider is asked through it. */
export function providersOf(
  object: ConfigMap | undefined,
  services: readonly Service[],
): Map<string, Provider> {
  const named = Object.entries(object?.data ?? {});
  if (named.length === 0) return new Map();
  const byHostname = Map.groupBy(services, ({ hostname }) => hostname);
  return new Map(named.map(([name, text]) => [name, providerOf(name, text, byHostname)]));
}

export function providerProblems(
  object: ConfigMap | undefined,
  providers: ReadonlyMap<string, Provider>,
): Problem[] {
  const { namespace, name } = object?.metadata ?? {};
  return [...providers.values()].flatMap((provider) =>
    'why' in provider
      ? {
          object: `ConfigMap ${namespace}/${name}`,
          reason: 'ProviderUnusable',
          message: `Provider "${provider.name}" cannot be asked: ${provider.why}`,
          remedy: `kubectl edit configmap ${name} -n ${namespace}`,
        }
      : [],
  );
}

function providerOf(
  name: string,
  text: string,
  services: ReadonlyMap<string, readonly Service[]>,
): Provider {
  try {
    return read(name, text, services);
  } catch (error) {
    return { name, why: error instanceof Error ? error.message : String(error) };
  }
}

/** @throws Error that says what is wrong, and with which field */
function read(
  name: string,
  text: string,
  services: ReadonlyMap<string, readonly Service[]>,
): ExternalAuthorizer {
  const kinds = fieldsOf(parse(text), 'it', ['envoyExtAuthzGrpc', 'envoyExtAuthzHttp']);
  const [kind, ...more] = Object.keys(kinds);
  if (kind === undefined || more.length > 0) {
    throw new Error('it must have either envoyExtAuthzGrpc or envoyExtAuthzHttp');
  }
  const http = kind === 'envoyExtAuthzHttp';
  const given = fieldsOf(kinds[kind], kind, http ? [...SHARED, ...HTTP_ONLY] : SHARED);
  const port = integer(given['port'], 'port', 1, 65_535);
  const timeout = given['timeout'];
  const body = given['includeRequestBodyInCheck'];
  return {
    name,
    protocol: http ? 'http' : 'grpc',
    service: serviceOf(string(given['service'], 'service'), port, services),
    port,
    timeoutMs: timeout === undefined ? DEFAULT_TIMEOUT_MS : timeoutOf(string(timeout, 'timeout')),
    failOpen: boolean(given['failOpen'], 'failOpen'),
    statusOnError: integer(
      // the reference has it as text
      Number(given['statusOnError'] ?? DEFAULT_ERROR_STATUS),
      'statusOnError',
      400,
      599,
    ),
    pathPrefix: given['pathPrefix'] === undefined ? '' : string(given['pathPrefix'], 'pathPrefix'),
    includeRequestHeaders: [
      ...headers(given, 'includeRequestHeadersInCheck'),
      ...headers(given, 'includeHeadersInCheck'),
    ],
    includeAdditionalHeaders: Object.entries(
      fieldsOf(given['includeAdditionalHeadersInCheck'] ?? {}, 'includeAdditionalHeadersInCheck'),
    ).map(([key, value]) => [key.toLowerCase(), string(value, key)]),
    includeRequestBody: body === undefined ? undefined : bodyOf(body),
    headersToUpstreamOnAllow: headers(given, 'headersToUpstreamOnAllow'),
    headersToDownstreamOnAllow: headers(given, 'headersToDownstreamOnAllow'),
    headersToDownstreamOnDeny: headers(given, 'headersToDownstreamOnDeny'),
  };
}

const SHARED = [
  'service',
  'port',
  'timeout',
  'failOpen',
  'statusOnError',
  'includeRequestBodyInCheck',
];
const HTTP_ONLY = [
  'pathPrefix',
  'includeHeadersInCheck',
  'includeRequestHeadersInCheck',
  'includeAdditionalHeadersInCheck',
  'headersToUpstreamOnAllow',
  'headersToDownstreamOnAllow',
  'headersToDownstreamOnDeny',
];

/** `hostname` or `namespace/hostname`: the key of the mesh's service. */
function serviceOf(
  text: string,
  port: number,
  services: ReadonlyMap<string, readonly Service[]>,
): string {
  const slash = text.indexOf('/');
  const namespace = slash < 0 ? undefined : text.slice(0, slash);
  const hostname = text.slice(slash + 1).toLowerCase();
  const found = (services.get(hostname) ?? []).filter(
    (service) => namespace === undefined || service.namespace === namespace,
  );
  // with the name alone: of the Service object, else of whoever is alone in having it
  const service = found.find(({ canonical }) => canonical) ?? found[0];
  if (service === undefined) throw new Error(`the mesh has no service ${text}`);
  if (found.length > 1 && !service.canonical) {
    throw new Error(`several namespaces have a service ${text}: write namespace/hostname`);
  }
  if (!service.ports.some(({ servicePort }) => servicePort === port)) {
    throw new Error(`service ${text} has no port ${port}`);
  }
  return serviceKey(service);
}

function timeoutOf(text: string): number {
  let ms: number;
  try {
    ms = durationMs(text, 'timeout');
  } catch {
    throw new Error(`timeout "${text}" is not a duration: write it like 500ms or 5s`);
  }
  return integer(ms, 'timeout in ms', 1, MAX_TIMEOUT_MS);
}

function bodyOf(value: unknown): NonNullable<ExternalAuthorizer['includeRequestBody']> {
  const known = ['maxRequestBytes', 'allowPartialMessage', 'packAsBytes'];
  const given = fieldsOf(value, 'includeRequestBodyInCheck', known);
  return {
    maxBytes: integer(given['maxRequestBytes'], 'maxRequestBytes', 1, MAX_BODY_BYTES),
    allowPartial: boolean(given['allowPartialMessage'], 'allowPartialMessage'),
    asBytes: boolean(given['packAsBytes'], 'packAsBytes'),
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** `known`: nothing else may be there, for it might have been meant to make it stricter. */
function fieldsOf(value: unknown, what: string, known?: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${what} is not a mapping of fields`);
  }
  const stray = Object.keys(value).find((key) => known?.includes(key) === false);
  if (stray !== undefined) throw new Error(`${what} has a field ${stray}, which is not known here`);
  return value as Fields;
}

function headers(given: Fields, field: string): string[] {
  const value = given[field] ?? [];
  if (!Array.isArray(value)) throw new Error(`${field} is not a list`);
  return value.map((one) => string(one, field).toLowerCase());
}

function string(value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${field} is not a text`);
  return value;
}

function boolean(value: unknown, field: string): boolean {
  if (value === undefined || typeof value === 'boolean') return value === true;
  throw new Error(`${field} is neither true nor false`);
}

function integer(value: unknown, field: string, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) {
    return value;
  }
  throw new Error(`${field} is not a number from ${least} to ${most}`);
}
