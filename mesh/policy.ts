// Authorization policies in the form proxies evaluate: the reference's nesting of rules, clauses and matches.
// Translated from AuthorizationPolicy and PeerAuthentication by the control plane; decided on by authorize.ts.

import type { IpAddress } from './address.ts';

export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly value: string }
  | { readonly kind: 'presence' };

export type Cidr = { readonly ip: IpAddress; readonly prefixLength: number };

export type ServiceAccountMatch = { readonly namespace: string; readonly serviceAccount: string };

/** Different attributes are ANDed, values of one attribute ORed; an attribute without values is ignored. */
export type PolicyMatch = {
  readonly namespaces: readonly StringMatch[];
  readonly notNamespaces: readonly StringMatch[];
  readonly principals: readonly StringMatch[];
  readonly notPrincipals: readonly StringMatch[];
  readonly sourceIps: readonly Cidr[];
  readonly notSourceIps: readonly Cidr[];
  readonly destinationIps: readonly Cidr[];
  readonly notDestinationIps: readonly Cidr[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
  readonly serviceAccounts: readonly ServiceAccountMatch[];
  /** Absent is the same as empty. */
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
};

/** Asks nothing: what {@link PolicyMatch}es are made from. */
export const EMPTY_MATCH: PolicyMatch = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
  serviceAccounts: [],
};

/** Matches in a clause are ORed, clauses in a rule ANDed. */
export type PolicyClause = { readonly matches: readonly PolicyMatch[] };
export type PolicyRule = { readonly clauses: readonly PolicyClause[] };

export type AuthorizationPolicy = {
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'mesh' | 'namespace' | 'workload';
  /** An `audit` policy is reported when it matches and never decides. */
  readonly action: 'allow' | 'deny' | 'audit';
  /** Rules are ORed; no rules means the policy never matches. */
  readonly rules: readonly PolicyRule[];
  /** Evaluated and reported, but never decides. */
  readonly dryRun: boolean;
};

/** Whether the policy takes part in decisions; the others are only reported. */
export function isEnforced({ action, dryRun }: AuthorizationPolicy): boolean {
  return action !== 'audit' && !dryRun;
}

export function policyKey(policy: Pick<AuthorizationPolicy, 'namespace' | 'name'>): string {
  return `${policy.namespace}/${policy.name}`;
}

// The wire has no bit for "mutual TLS only": PeerAuthentications become DENY policies under the reference's names.
const STATIC_STRICT = 'istio_converted_static_strict';
const CONVERTED = 'converted_peer_authentication_';

/** The name of the one policy that stands for "mutual TLS on every port". */
export const STRICT_POLICY_NAME = STATIC_STRICT;

/** The name of the policy made of the port-level settings of a PeerAuthentication. */
export function convertedPolicyName(peerAuthentication: string): string {
  return CONVERTED + peerAuthentication;
}

/** Whether the policy of this name was made of a PeerAuthentication: what it denies is plain text. */
export function standsForPeerAuthentication(name: string): boolean {
  return name === STATIC_STRICT || name.startsWith(CONVERTED);
}
