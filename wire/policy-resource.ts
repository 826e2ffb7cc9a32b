// The Authorization resource, between Istio's message and the mesh's AuthorizationPolicy. Called by the two ends of
// discovery. A policy that cannot be read exactly is refused whole: half a policy would allow what it should not.

import { ipToBytes } from '../mesh/address.ts';
import { cidrFromBytes } from '../mesh/cidr.ts';
import type { AuthorizationPolicy, Cidr, PolicyMatch, StringMatch } from '../mesh/policy.ts';
import { SECURITY_PROTO } from './proto/security.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';

type StringMatchMessage = {
  exact?: string;
  prefix?: string;
  suffix?: string;
  presence?: object;
  matchType?: string;
};
type CidrMessage = { address: Uint8Array; length: number };
type MatchMessage = {
  namespaces: StringMatchMessage[];
  notNamespaces: StringMatchMessage[];
  principals: StringMatchMessage[];
  notPrincipals: StringMatchMessage[];
  sourceIps: CidrMessage[];
  notSourceIps: CidrMessage[];
  destinationIps: CidrMessage[];
  notDestinationIps: CidrMessage[];
  destinationPorts: number[];
  notDestinationPorts: number[];
  serviceAccounts: { namespace: string; serviceAccount: string }[];
  notServiceAccounts: { namespace: string; serviceAccount: string }[];
};
type AuthorizationMessage = {
  name: string;
  namespace: string;
  scope: string | number;
  action: string | number;
  rules: { clauses: { matches: MatchMessage[] }[] }[];
  dryRun: boolean;
  audit: string | number;
};

const AUTHORIZATION = messageType<AuthorizationMessage>(
  loadProto(SECURITY_PROTO),
  'istio.security.Authorization',
);

const SCOPES: Readonly<Record<string, AuthorizationPolicy['scope']>> = {
  GLOBAL: 'mesh',
  NAMESPACE: 'namespace',
  WORKLOAD_SELECTOR: 'workload',
};
const SCOPE_NAMES = {
  mesh: 'GLOBAL',
  namespace: 'NAMESPACE',
  workload: 'WORKLOAD_SELECTOR',
} as const;
const ACTIONS: Readonly<Record<string, AuthorizationPolicy['action']>> = {
  ALLOW: 'allow',
  DENY: 'deny',
};
const AUDITS: readonly (string | number)[] = ['NO', 'YES', 'DRY_RUN'];

/** @throws DecodeError naming the policy */
export function decodePolicy(body: Uint8Array): AuthorizationPolicy {
  const message = AUTHORIZATION.decode(body);
  const what = `policy "${message.namespace}/${message.name}"`;
  const scope = SCOPES[message.scope];
  const action = ACTIONS[message.action];
  if (message.name === '') throw new DecodeError('Cannot read policy: it has no name');
  if (scope === undefined)
    throw new DecodeError(`Cannot read ${what}: scope ${message.scope} is not known here`);
  if (action === undefined)
    throw new DecodeError(`Cannot read ${what}: action ${message.action} is not known here`);
  if (!AUDITS.includes(message.audit))
    throw new DecodeError(`Cannot read ${what}: audit ${message.audit} is not known here`);
  const audits = message.audit !== 'NO';
  return {
    name: message.name,
    namespace: message.namespace,
    scope,
    action: audits ? 'audit' : action,
    rules: message.rules.map(({ clauses }) => ({
      clauses: clauses.map(({ matches }) => ({
        matches: matches.map((match) => readMatch(match, what)),
      })),
    })),
    dryRun: audits ? message.audit === 'DRY_RUN' : message.dryRun,
  };
}

/**
 * What stands in for a policy that {@link decodePolicy} refused: it may have been meant to forbid, so nothing is allowed
 * where it holds. Of a body that is not even a message only the resource's name is known: then that is its namespace.
 */
export function closedPolicy(resourceName: string, body: Uint8Array): AuthorizationPolicy {
  const slash = resourceName.indexOf('/');
  return {
    name: resourceName.slice(slash + 1),
    namespace: resourceName.slice(0, Math.max(slash, 0)),
    scope: scopeOf(body) ?? 'namespace',
    action: 'allow',
    rules: [],
    dryRun: false,
  };
}

function scopeOf(body: Uint8Array): AuthorizationPolicy['scope'] | undefined {
  try {
    return SCOPES[AUTHORIZATION.decode(body).scope];
  } catch {
    return undefined;
  }
}

export function encodePolicy(policy: AuthorizationPolicy): Uint8Array {
  const audits = policy.action === 'audit';
  return AUTHORIZATION.encode({
    name: policy.name,
    namespace: policy.namespace,
    scope: SCOPE_NAMES[policy.scope],
    action: policy.action === 'allow' ? 'ALLOW' : 'DENY',
    rules: policy.rules.map(({ clauses }) => ({
      clauses: clauses.map(({ matches }) => ({ matches: matches.map(writeMatch) })),
    })),
    dryRun: policy.dryRun || audits,
    audit: audits ? (policy.dryRun ? 'DRY_RUN' : 'YES') : 'NO',
  });
}

function readMatch(message: MatchMessage, what: string): PolicyMatch {
  const strings = (list: StringMatchMessage[]): StringMatch[] =>
    list.map((one) => readString(one, what));
  const cidrs = (list: CidrMessage[]): Cidr[] => list.map((one) => readCidr(one, what));
  return {
    namespaces: strings(message.namespaces),
    notNamespaces: strings(message.notNamespaces),
    principals: strings(message.principals),
    notPrincipals: strings(message.notPrincipals),
    sourceIps: cidrs(message.sourceIps),
    notSourceIps: cidrs(message.notSourceIps),
    destinationIps: cidrs(message.destinationIps),
    notDestinationIps: cidrs(message.notDestinationIps),
    destinationPorts: message.destinationPorts,
    notDestinationPorts: message.notDestinationPorts,
    serviceAccounts: message.serviceAccounts,
    ...(message.notServiceAccounts.length === 0
      ? {}
      : { notServiceAccounts: message.notServiceAccounts }),
  };
}

function writeMatch(match: PolicyMatch): MatchMessage {
  return {
    namespaces: match.namespaces.map(writeString),
    notNamespaces: match.notNamespaces.map(writeString),
    principals: match.principals.map(writeString),
    notPrincipals: match.notPrincipals.map(writeString),
    sourceIps: match.sourceIps.map(writeCidr),
    notSourceIps: match.notSourceIps.map(writeCidr),
    destinationIps: match.destinationIps.map(writeCidr),
    notDestinationIps: match.notDestinationIps.map(writeCidr),
    destinationPorts: [...match.destinationPorts],
    notDestinationPorts: [...match.notDestinationPorts],
    serviceAccounts: match.serviceAccounts.map((one) => ({ ...one })),
    notServiceAccounts: (match.notServiceAccounts ?? []).map((one) => ({ ...one })),
  };
}

function readString(message: StringMatchMessage, what: string): StringMatch {
  switch (message.matchType) {
    case 'exact':
    case 'prefix':
    case 'suffix': {
      const value = message[message.matchType] ?? '';
      // a caller without an identity has an empty one: it would be let in by a match that names nobody
      if (value === '') throw new DecodeError(`Cannot read ${what}: a match of a text has none`);
      return { kind: message.matchType, value };
    }
    case 'presence':
      return { kind: 'presence' };
    default:
      throw new DecodeError(
        `Cannot read ${what}: a match says neither exact, prefix, suffix nor presence`,
      );
  }
}

function writeString(match: StringMatch): StringMatchMessage {
  return match.kind === 'presence' ? { presence: {} } : { [match.kind]: match.value };
}

function readCidr(message: CidrMessage, what: string): Cidr {
  try {
    return cidrFromBytes(message.address, message.length);
  } catch (cause) {
    throw new DecodeError(
      `Cannot read ${what}: ${message.address.length} bytes and prefix length ${message.length} are no address range`,
      { cause },
    );
  }
}

function writeCidr(cidr: Cidr): CidrMessage {
  return { address: ipToBytes(cidr.ip), length: cidr.prefixLength };
}
