// The only place that says yes: L4 policy of the destination, evaluated in the reference's order. Called by
// node-agent/inbound.ts and passthrough.ts for each connection, and again for the open ones when policy changes. Pure.

import type { IpPort } from './address.ts';
import { inCidr } from './cidr.ts';
import { formatIdentity, type Identity } from './identity.ts';
import {
  type AuthorizationPolicy,
  type PolicyMatch,
  policyKey,
  type ServiceAccountMatch,
  type StringMatch,
} from './policy.ts';

/** What is known of a connection when it reaches its destination. */
export type Request = {
  /** From the caller's certificate; undefined for plaintext. */
  readonly peer: Identity | undefined;
  readonly source: IpPort;
  /** The pod's own address and the application's port, not the tunnel's. */
  readonly destination: IpPort;
};

export type Decision = {
  readonly verdict: 'allow' | 'deny';
  /** `namespace/name` of the policy that decided; undefined when none applied, or none of the allowing ones did. */
  readonly policy: string | undefined;
  readonly reason: string;
  /** Policies in dry run that would have matched. */
  readonly dryRun: readonly string[];
};

/**
 * Order: a matching DENY denies; without any ALLOW everything is allowed; a matching ALLOW allows; else denied.
 * Policies in dry run are only reported.
 */
export function authorize(policies: readonly AuthorizationPolicy[], request: Request): Decision {
  const dryRun = policies
    .filter((policy) => policy.dryRun && policyMatches(policy, request))
    .map(policyKey);
  const enforced = policies.filter((policy) => !policy.dryRun);
  const denying = enforced.find(
    (policy) => policy.action === 'deny' && policyMatches(policy, request),
  );
  if (denying !== undefined) {
    const policy = policyKey(denying);
    return { verdict: 'deny', policy, reason: `explicitly denied by: ${policy}`, dryRun };
  }
  const allowing = enforced.filter((policy) => policy.action === 'allow');
  if (allowing.length === 0) {
    return { verdict: 'allow', policy: undefined, reason: 'no allow policy applies', dryRun };
  }
  const allowed = allowing.find((policy) => policyMatches(policy, request));
  if (allowed === undefined) {
    const reason = 'allow policies exist, but none allowed';
    return { verdict: 'deny', policy: undefined, reason, dryRun };
  }
  const policy = policyKey(allowed);
  return { verdict: 'allow', policy, reason: `allowed by: ${policy}`, dryRun };
}

/** Rules are ORed; no rules means the policy never matches. */
function policyMatches(policy: AuthorizationPolicy, request: Request): boolean {
  return policy.rules.some(({ clauses }) =>
    clauses.every(
      ({ matches }) =>
        matches.length === 0 || matches.some((match) => matchMatches(match, request)),
    ),
  );
}

function matchMatches(match: PolicyMatch, request: Request): boolean {
  // what is left of a rule whose L7 parts were taken out: it must not turn into "everything"
  if (isEmpty(match)) return false;
  const { peer, source, destination } = request;
  const principal = peer === undefined ? '' : formatIdentity(peer).slice('spiffe://'.length);
  const namespace = peer?.namespace ?? '';
  return (
    any(match.principals, (one) => stringMatches(one, principal)) &&
    none(match.notPrincipals, (one) => stringMatches(one, principal)) &&
    any(match.namespaces, (one) => stringMatches(one, namespace)) &&
    none(match.notNamespaces, (one) => stringMatches(one, namespace)) &&
    any(match.serviceAccounts, (one) => isAccount(one, peer)) &&
    none(match.notServiceAccounts ?? [], (one) => isAccount(one, peer)) &&
    any(match.sourceIps, (range) => inCidr(source.ip, range)) &&
    none(match.notSourceIps, (range) => inCidr(source.ip, range)) &&
    any(match.destinationIps, (range) => inCidr(destination.ip, range)) &&
    none(match.notDestinationIps, (range) => inCidr(destination.ip, range)) &&
    any(match.destinationPorts, (port) => port === destination.port) &&
    none(match.notDestinationPorts, (port) => port === destination.port)
  );
}

function isEmpty(match: PolicyMatch): boolean {
  return Object.values(match).every((values: readonly unknown[]) => values.length === 0);
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

function stringMatches(match: StringMatch, value: string): boolean {
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
