// The HttpPolicy resource, in JSON: policies that waypoints enforce. Called by the two ends of discovery. A part of a rule
// that cannot be read becomes an unreadable test, which makes the policy stricter; a policy of which more cannot be read is
// refused whole, and closedHttpPolicy stands in for it.

import { ipToBytes, parseIp } from '../mesh/address.ts';
import { cidrFromBytes } from '../mesh/cidr.ts';
import type {
  ExternalAuthorizer,
  HttpClause,
  HttpPolicy,
  HttpRule,
  PathPattern,
  PolicyTest,
} from '../mesh/http-policy.ts';
import { templateProblem } from '../mesh/path-template.ts';
import type { Cidr, ServiceAccountMatch, StringMatch } from '../mesh/policy.ts';
import {
  encodeJson,
  filled,
  flag,
  integer,
  list,
  maybe,
  object,
  oneOf,
  pair,
  parseJson,
  type Reader,
  record,
  text,
  union,
} from './checked-json.ts';
import {
  closedTargets,
  MAX_POLICY_BYTES,
  MAX_POLICY_ITEMS,
  policyName,
  policyTargets,
} from './policy-targets.ts';
import { DecodeError } from './protobuf.ts';

export const TYPE_HTTP_POLICY = 'type.googleapis.com/ambit.policy.HttpPolicy';

export function encodeHttpPolicy(policy: HttpPolicy): Uint8Array {
  return encodeJson(policy);
}

/** @throws DecodeError naming what of it */
export function decodeHttpPolicy(body: Uint8Array): HttpPolicy {
  return POLICY(parseJson(body, MAX_POLICY_BYTES, 'a policy'), 'policy');
}

/**
 * What stands in for a policy that {@link decodeHttpPolicy} refused: it may have been meant to forbid, so nothing is
 * allowed where it holds.
 */
export function closedHttpPolicy(resourceName: string, body: Uint8Array): HttpPolicy {
  const slash = resourceName.indexOf('/');
  const namespace = resourceName.slice(0, Math.max(slash, 0));
  return {
    namespace,
    name: resourceName.slice(slash + 1),
    targets: closedTargets(namespace, body),
    action: 'allow',
    rules: [],
    dryRun: false,
  };
}

/** What a reader makes of what it cannot read. */
function orElse<T>(read: Reader<T>, instead: (why: string) => T): Reader<T> {
  return (value, where) => {
    try {
      return read(value, where);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return instead(error.message);
    }
  };
}

const names = list(policyName, MAX_POLICY_ITEMS);
const anyText = text(MAX_POLICY_BYTES);
const port = integer(1, 65_535);

const MATCH: Reader<StringMatch> = union('kind', {
  exact: record({ kind: oneOf('exact'), value: policyName }),
  prefix: record({ kind: oneOf('prefix'), value: policyName }),
  suffix: record({ kind: oneOf('suffix'), value: policyName }),
  presence: record({ kind: oneOf('presence') }),
});

const TEMPLATE = record({ kind: oneOf('template'), value: policyName });

const PATH: Reader<PathPattern> = (value, where) => {
  if (object(value, where)['kind'] !== 'template') return MATCH(value, where);
  const template = TEMPLATE(value, where);
  const problem = templateProblem(template.value);
  if (problem !== undefined) throw new DecodeError(`${where}: ${problem}`);
  return template;
};

const RANGE = record({ ip: anyText, prefixLength: integer(0, 128) });

const CIDR: Reader<Cidr> = (value, where) => {
  const { ip, prefixLength } = RANGE(value, where);
  try {
    return cidrFromBytes(ipToBytes(parseIp(ip)), prefixLength);
  } catch (cause) {
    throw new DecodeError(`${where} is no address range`, { cause });
  }
};

const ACCOUNT: Reader<ServiceAccountMatch> = record({
  namespace: policyName,
  serviceAccount: policyName,
});

/** Any of these values, or none of them. */
function anyOf<T>(item: Reader<T>) {
  return { not: flag, values: filled(item, MAX_POLICY_ITEMS) };
}

function byText<const A extends string>(attribute: A) {
  return record({ attribute: oneOf(attribute), ...anyOf(MATCH) });
}

function byRange<const A extends string>(attribute: A) {
  return record({ attribute: oneOf(attribute), ...anyOf(CIDR) });
}

const TEST: Reader<PolicyTest> = union('attribute', {
  'source.principal': byText('source.principal'),
  'source.namespace': byText('source.namespace'),
  'source.serviceAccount': record({
    attribute: oneOf('source.serviceAccount'),
    ...anyOf(ACCOUNT),
  }),
  'source.ip': byRange('source.ip'),
  'remote.ip': byRange('remote.ip'),
  'destination.ip': byRange('destination.ip'),
  'destination.port': record({ attribute: oneOf('destination.port'), ...anyOf(port) }),
  'connection.sni': byText('connection.sni'),
  'request.host': byText('request.host'),
  'request.method': byText('request.method'),
  'request.path': record({ attribute: oneOf('request.path'), ...anyOf(PATH) }),
  'request.header': record({
    attribute: oneOf('request.header'),
    name: policyName,
    ...anyOf(MATCH),
  }),
  'request.auth.principal': byText('request.auth.principal'),
  'request.auth.audiences': byText('request.auth.audiences'),
  'request.auth.presenter': byText('request.auth.presenter'),
  'request.auth.claim': record({
    attribute: oneOf('request.auth.claim'),
    path: filled(policyName, MAX_POLICY_ITEMS),
    ...anyOf(MATCH),
  }),
  cel: record({ attribute: oneOf('cel'), ...anyOf(policyName) }),
  unreadable: record({ attribute: oneOf('unreadable'), why: anyText }),
});

function unreadable(why: string): PolicyTest {
  return { attribute: 'unreadable', why };
}

function unreadableClause(why: string): HttpClause {
  return { part: 'when', anyOf: [[unreadable(why)]] };
}

const TESTS = filled(orElse(TEST, unreadable), MAX_POLICY_ITEMS);
const CLAUSE: Reader<HttpClause> = orElse(
  record({ part: oneOf('from', 'to', 'when'), anyOf: filled(TESTS, MAX_POLICY_ITEMS) }),
  unreadableClause,
);
const RULE: Reader<HttpRule> = orElse(
  record({ clauses: list(CLAUSE, MAX_POLICY_ITEMS) }),
  (why) => ({ clauses: [unreadableClause(why)] }),
);

/** Of a minute or longer nobody waits for an answer. */
const MAX_TIMEOUT_MS = 60_000;
/** What a waypoint holds of a body at most. */
const MAX_BODY_BYTES = 1024 * 1024;

const AUTHORIZER: Reader<ExternalAuthorizer> = record({
  name: policyName,
  protocol: oneOf('grpc', 'http'),
  service: policyName,
  port,
  timeoutMs: integer(1, MAX_TIMEOUT_MS),
  failOpen: flag,
  statusOnError: integer(400, 599),
  pathPrefix: anyText,
  includeRequestHeaders: names,
  includeAdditionalHeaders: list(pair(anyText), MAX_POLICY_ITEMS),
  includeRequestBody: maybe(
    record({ maxBytes: integer(1, MAX_BODY_BYTES), allowPartial: flag, asBytes: flag }),
  ),
  headersToUpstreamOnAllow: names,
  headersToDownstreamOnAllow: names,
  headersToDownstreamOnDeny: names,
});

type Provider = (HttpPolicy & { readonly action: 'custom' })['provider'];

const UNKNOWN_PROVIDER = record({ name: policyName, why: anyText });

const PROVIDER: Reader<Provider> = (value, where) => {
  const given = object(value, where);
  if (Object.hasOwn(given, 'why')) return UNKNOWN_PROVIDER(value, where);
  const name = policyName(given['name'], `${where}.name`);
  return orElse<Provider>(AUTHORIZER, (why) => ({ name, why }))(value, where);
};

const COMMON = {
  namespace: policyName,
  name: policyName,
  targets: policyTargets,
  rules: list(RULE, MAX_POLICY_ITEMS),
  dryRun: flag,
};
const POLICY: Reader<HttpPolicy> = union('action', {
  allow: record({ ...COMMON, action: oneOf('allow') }),
  deny: record({ ...COMMON, action: oneOf('deny') }),
  audit: record({ ...COMMON, action: oneOf('audit') }),
  custom: record({ ...COMMON, action: oneOf('custom'), provider: PROVIDER }),
});
