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
  /** Only foreign control planes send it; absent is the same as empty. */
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
};

/** Matches in a clause are ORed, clauses in a rule ANDed. */
export type PolicyClause = { readonly matches: readonly PolicyMatch[] };
export type PolicyRule = { readonly clauses: readonly PolicyClause[] };

export type AuthorizationPolicy = {
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'mesh' | 'namespace' | 'workload';
  readonly action: 'allow' | 'deny';
  /** Rules are ORed; no rules means the policy never matches. */
  readonly rules: readonly PolicyRule[];
  readonly dryRun: boolean;
};

export function policyKey(policy: Pick<AuthorizationPolicy, 'namespace' | 'name'>): string {
  return `${policy.namespace}/${policy.name}`;
}
