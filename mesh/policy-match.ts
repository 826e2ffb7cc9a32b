// What a policy asks of a connection: the one matcher behind decisions and explanations. Called by authorize.ts, which
// only wants to know whether, and by explain-authorization.ts, which wants to know why not. Pure.

import type { IpAddress, IpPort } from './address.ts';
import { inCidr } from './cidr.ts';
import { formatIdentity, type Identity } from './identity.ts';
import type {
  AuthorizationPolicy,
  PolicyClause,
  PolicyMatch,
  ServiceAccountMatch,
  StringMatch,
} from './policy.ts';

/** What is known of a connection when it reaches its destination. */
export type Request = {
  /** From the caller's certificate; undefined for plaintext. */
  readonly peer: Identity | undefined;
  readonly source: IpPort;
  /** The pod's own address and the application's port, not the tunnel's. */
  readonly destination: IpPort;
};

/** A request as matches compare it; made once for all policies. */
export type Subject = {
  /** The peer's identity without its scheme; empty for plaintext. */
  readonly principal: string;
  readonly namespace: string;
  readonly peer: Identity | undefined;
  readonly sourceIp: IpAddress;
  readonly destinationIp: IpAddress;
  readonly port: number;
};

export type PolicyField = keyof PolicyMatch;

export function subjectOf({ peer, source, destination }: Request): Subject {
  return {
    principal: peer === undefined ? '' : formatIdentity(peer).slice('spiffe://'.length),
    namespace: peer?.namespace ?? '',
    peer,
    sourceIp: source.ip,
    destinationIp: destination.ip,
    port: destination.port,
  };
}

/** Rules are ORed; no rules means the policy never matches. */
export function policyMatches(policy: AuthorizationPolicy, subject: Subject): boolean {
  return policy.rules.some(({ clauses }) =>
    clauses.every((clause) => clauseMatches(clause, subject)),
  );
}

export function clauseMatches({ matches }: PolicyClause, subject: Subject): boolean {
  return (
    matches.length === 0 || matches.some((match) => firstMismatch(match, subject) === undefined)
  );
}

/**
 * The first field of `match` that `subject` does not meet; undefined when it meets all of them; `empty` for a match that
 * asks nothing: it is what is left of a rule whose L7 parts were taken out, and must not turn into "everything".
 */
export function firstMismatch(
  match: PolicyMatch,
  subject: Subject,
): PolicyField | 'empty' | undefined {
  if (isEmptyMatch(match)) return 'empty';
  const { principal, namespace, peer, sourceIp, destinationIp, port } = subject;
  if (!any(match.principals, (one) => textMatches(one, principal))) return 'principals';
  if (!none(match.notPrincipals, (one) => textMatches(one, principal))) return 'notPrincipals';
  if (!any(match.namespaces, (one) => textMatches(one, namespace))) return 'namespaces';
  if (!none(match.notNamespaces, (one) => textMatches(one, namespace))) return 'notNamespaces';
  if (!any(match.serviceAccounts, (one) => isAccount(one, peer))) return 'serviceAccounts';
  if (!none(match.notServiceAccounts ?? [], (one) => isAccount(one, peer)))
    return 'notServiceAccounts';
  if (!any(match.sourceIps, (range) => inCidr(sourceIp, range))) return 'sourceIps';
  if (!none(match.notSourceIps, (range) => inCidr(sourceIp, range))) return 'notSourceIps';
  if (!any(match.destinationIps, (range) => inCidr(destinationIp, range))) return 'destinationIps';
  if (!none(match.notDestinationIps, (range) => inCidr(destinationIp, range)))
    return 'notDestinationIps';
  if (!any(match.destinationPorts, (one) => one === port)) return 'destinationPorts';
  if (!none(match.notDestinationPorts, (one) => one === port)) return 'notDestinationPorts';
  return undefined;
}

export function isEmptyMatch(match: PolicyMatch): boolean {
  for (const field in match) {
    if ((match[field as PolicyField] ?? []).length > 0) return false;
  }
  return true;
}

/** An attribute without values is ignored. */
function any<T>(values: readonly T[], matches: (value: T) => boolean): boolean {
  return values.length === 0 || values.some(matches);
}

function none<T>(values: readonly T[], matches: (value: T) => boolean): boolean {
  return !values.some(matches);
}

function isAccount(account: ServiceAccountMatch, peer: Identity | undefined): boolean {
  return peer?.namespace === account.namespace && peer.serviceAccount === account.serviceAccount;
}

function textMatches(match: StringMatch, value: string): boolean {
  switch (match.kind) {
    case 'exact':
      return value === match.value;
    case 'prefix':
      return value.startsWith(match.value);
    case 'suffix':
      return value.endsWith(match.value);
    case 'presence':
      return value !== '';
  }
}
