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
  decodeJson,
  encodeJson,
  type Read,
  readBoolean,
  readInteger,
  readList,
  readName,
  readObject,
  readOneOf,
  readOptional,
  readString,
  recordOf,
} from './json-fields.ts';
import { closedTargets, readTargets } from './policy-targets.ts';
import { DecodeError } from './protobuf.ts';

export const TYPE_HTTP_POLICY = 'type.googleapis.com/ambit.policy.HttpPolicy';

export function encodeHttpPolicy(policy: HttpPolicy): Uint8Array {
  return encodeJson(policy);
}

/** @throws DecodeError naming what of it */
export function decodeHttpPolicy(body: Uint8Array): HttpPolicy {
  const value = decodeJson(body);
  const action = readAction(recordOf(value, 'policy')['action'], 'policy.action');
  if (action === 'custom') {
    return readObject(value, 'policy', {
      ...COMMON,
      action: readOneOf(action),
      provider: readProvider,
    });
  }
  return readObject(value, 'policy', { ...COMMON, action: readOneOf(action) });
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

const readAction = readOneOf('allow', 'deny', 'audit', 'custom');

const COMMON = {
  namespace: readName,
  name: readName,
  targets: readTargets,
  rules: readList(readRule),
  dryRun: readBoolean,
};

/** What a reader makes of what it cannot read. */
function orElse<T>(read: Read<T>, instead: (why: string) => T): Read<T> {
  return (value, at) => {
    try {
      return read(value, at);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return instead(error.message);
    }
  };
}

function unreadableClause(why: string): HttpClause {
  return { part: 'when', anyOf: [[{ attribute: 'unreadable', why }]] };
}

function readRule(value: unknown, at: string): HttpRule {
  const read: Read<HttpRule> = (one) => readObject(one, at, { clauses: readList(readClause) });
  return orElse(read, (why) => ({ clauses: [unreadableClause(why)] }))(value, at);
}

function readClause(value: unknown, at: string): HttpClause {
  const read: Read<HttpClause> = (one) =>
    readObject<HttpClause>(one, at, {
      part: readOneOf('from', 'to', 'when'),
      anyOf: filled(readList(filled(readList(orElse(readTest, unreadable))))),
    });
  return orElse(read, unreadableClause)(value, at);
}

function unreadable(why: string): PolicyTest {
  return { attribute: 'unreadable', why };
}

/** An empty list would match nothing, or everything: neither is what anybody wrote. */
function filled<T>(read: Read<T[]>): Read<T[]> {
  return (value, at) => {
    const list = read(value, at);
    if (list.length === 0) throw new DecodeError(`Cannot read ${at}: it is empty`);
    return list;
  };
}

const readMatchKind = readOneOf('exact', 'prefix', 'suffix', 'presence', 'template');

const readPath: Read<PathPattern> = (value, at) => {
  const kind = readMatchKind(recordOf(value, at)['kind'], `${at}.kind`);
  if (kind === 'presence') return readObject(value, at, { kind: readOneOf(kind) });
  const match = readObject(value, at, { kind: readOneOf(kind), value: readName });
  const problem = match.kind === 'template' ? templateProblem(match.value) : undefined;
  if (problem !== undefined) throw new DecodeError(`Cannot read ${at}: ${problem}`);
  return match;
};

const readText: Read<StringMatch> = (value, at) => {
  const match = readPath(value, at);
  if (match.kind === 'template')
    throw new DecodeError(`Cannot read ${at}: only paths have templates`);
  return match;
};

const readCidr: Read<Cidr> = (value, at) => {
  const { ip, prefixLength } = readObject<{ ip: string; prefixLength: number }>(value, at, {
    ip: readString,
    prefixLength: readInteger(0, 128),
  });
  try {
    return cidrFromBytes(ipToBytes(parseIp(ip)), prefixLength);
  } catch (cause) {
    throw new DecodeError(`Cannot read ${at}: ${ip}/${prefixLength} is no address range`, {
      cause,
    });
  }
};

const readAccount: Read<ServiceAccountMatch> = (value, at) =>
  readObject<ServiceAccountMatch>(value, at, { namespace: readName, serviceAccount: readName });

const readPort = readInteger(1, 65_535);

const readTest: Read<PolicyTest> = (value, at) => {
  const attribute = readAttribute(recordOf(value, at)['attribute'], `${at}.attribute`);
  const of = <T>(read: Read<T>): { not: Read<boolean>; values: Read<T[]> } => ({
    not: readBoolean,
    values: filled(readList(read)),
  });
  switch (attribute) {
    case 'unreadable':
      return readObject(value, at, { attribute: readOneOf(attribute), why: readString });
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip':
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readCidr) });
    case 'request.path':
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readPath) });
    case 'request.header':
      return readObject(value, at, {
        attribute: readOneOf(attribute),
        name: readName,
        ...of(readText),
      });
    case 'request.auth.claim':
      return readObject(value, at, {
        attribute: readOneOf(attribute),
        path: filled(readList(readName)),
        ...of(readText),
      });
    case 'source.serviceAccount':
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readAccount) });
    case 'destination.port':
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readPort) });
    case 'cel':
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readName) });
    default:
      return readObject(value, at, { attribute: readOneOf(attribute), ...of(readText) });
  }
};

const readAttribute = readOneOf<PolicyTest['attribute']>(
  'source.principal',
  'source.namespace',
  'source.serviceAccount',
  'source.ip',
  'remote.ip',
  'destination.ip',
  'destination.port',
  'connection.sni',
  'request.host',
  'request.method',
  'request.path',
  'request.header',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'request.auth.claim',
  'cel',
  'unreadable',
);

/** Of a minute or longer nobody waits for an answer. */
const MAX_TIMEOUT_MS = 60_000;
/** What a waypoint holds of a body at most. */
const MAX_BODY_BYTES = 1024 * 1024;

const readPair: Read<readonly [string, string]> = (value, at) => {
  const [name, text, ...more] = readList(readString)(value, at);
  if (name === undefined || text === undefined || more.length > 0) {
    throw new DecodeError(`Cannot read ${at}: it is no pair`);
  }
  return [name, text];
};

const readAuthorizer: Read<ExternalAuthorizer> = (value, at) =>
  readObject<ExternalAuthorizer>(value, at, {
    name: readName,
    protocol: readOneOf('grpc', 'http'),
    service: readName,
    port: readPort,
    timeoutMs: readInteger(1, MAX_TIMEOUT_MS),
    failOpen: readBoolean,
    statusOnError: readInteger(400, 599),
    pathPrefix: readString,
    includeRequestHeaders: readList(readName),
    includeAdditionalHeaders: readList(readPair),
    includeRequestBody: readOptional((body, where) =>
      readObject<NonNullable<ExternalAuthorizer['includeRequestBody']>>(body, where, {
        maxBytes: readInteger(1, MAX_BODY_BYTES),
        allowPartial: readBoolean,
        asBytes: readBoolean,
      }),
    ),
    headersToUpstreamOnAllow: readList(readName),
    headersToDownstreamOnAllow: readList(readName),
    headersToDownstreamOnDeny: readList(readName),
  });

type Provider = (HttpPolicy & { readonly action: 'custom' })['provider'];

const readProvider: Read<Provider> = (value, at) => {
  const given = recordOf(value, at);
  if (Object.hasOwn(given, 'why')) {
    return readObject<{ name: string; why: string }>(value, at, {
      name: readName,
      why: readString,
    });
  }
  const name = readName(given['name'], `${at}.name`);
  return orElse<Provider>(readAuthorizer, (why) => ({ name, why }))(value, at);
};
