// Policies in the JSON of /config_dump, both ways: written by the node agent, read back by the cli, which explains
// decisions with what the agent really has. What is read is not trusted to be whole: half a policy would explain wrongly.

import { formatCidr, parseCidr } from '../mesh/cidr.ts';
import type {
  AuthorizationPolicy,
  Cidr,
  PolicyMatch,
  ServiceAccountMatch,
  StringMatch,
} from '../mesh/policy.ts';
import type { PolicyDump, PolicyMatchDump, StringMatchDump } from './config-dump.ts';
import { DecodeError } from './protobuf.ts';

const SCOPES = { mesh: 'Global', namespace: 'Namespace', workload: 'WorkloadSelector' } as const;
const ACTIONS = { allow: 'Allow', deny: 'Deny', audit: 'Audit' } as const;
const KINDS = { exact: 'Exact', prefix: 'Prefix', suffix: 'Suffix' } as const;

export function dumpPolicy(policy: AuthorizationPolicy): PolicyDump {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: SCOPES[policy.scope],
    action: ACTIONS[policy.action],
    dryRun: policy.dryRun,
    rules: policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(dumpMatch))),
  };
}

/** @throws DecodeError naming the policy when something of it is not understood */
export function readPolicyDump(dump: PolicyDump): AuthorizationPolicy {
  const what = `policy "${dump.namespace}/${dump.name}" of the dump`;
  return {
    name: dump.name,
    namespace: dump.namespace,
    scope: keyOf(SCOPES, dump.scope, what),
    action: keyOf(ACTIONS, dump.action, what),
    dryRun: dump.dryRun,
    rules: dump.rules.map((clauses) => ({
      clauses: clauses.map((matches) => ({
        matches: matches.map((match) => readMatch(match, what)),
      })),
    })),
  };
}

function dumpMatch(match: PolicyMatch): PolicyMatchDump {
  const attributes: Record<keyof PolicyMatch, readonly unknown[]> = {
    namespaces: match.namespaces.map(dumpString),
    notNamespaces: match.notNamespaces.map(dumpString),
    principals: match.principals.map(dumpString),
    notPrincipals: match.notPrincipals.map(dumpString),
    sourceIps: match.sourceIps.map(formatCidr),
    notSourceIps: match.notSourceIps.map(formatCidr),
    destinationIps: match.destinationIps.map(formatCidr),
    notDestinationIps: match.notDestinationIps.map(formatCidr),
    destinationPorts: match.destinationPorts,
    notDestinationPorts: match.notDestinationPorts,
    serviceAccounts: match.serviceAccounts,
    notServiceAccounts: match.notServiceAccounts ?? [],
  };
  return Object.fromEntries(Object.entries(attributes).filter(([, values]) => values.length > 0));
}

function readMatch(dump: PolicyMatchDump, what: string): PolicyMatch {
  const values = <T>(field: keyof PolicyMatch, read: (value: unknown) => T | undefined): T[] =>
    (dump[field] ?? []).map((value) => {
      const found = read(value);
      if (found !== undefined) return found;
      throw unreadable(what, `${JSON.stringify(value)} in ${field}`);
    });
  const { notServiceAccounts } = dump;
  const match: PolicyMatch = {
    namespaces: values('namespaces', readString),
    notNamespaces: values('notNamespaces', readString),
    principals: values('principals', readString),
    notPrincipals: values('notPrincipals', readString),
    sourceIps: values('sourceIps', readCidr),
    notSourceIps: values('notSourceIps', readCidr),
    destinationIps: values('destinationIps', readCidr),
    notDestinationIps: values('notDestinationIps', readCidr),
    destinationPorts: values('destinationPorts', readPort),
    notDestinationPorts: values('notDestinationPorts', readPort),
    serviceAccounts: values('serviceAccounts', readAccount),
    ...(notServiceAccounts === undefined
      ? {}
      : { notServiceAccounts: values('notServiceAccounts', readAccount) }),
  };
  const strange = Object.keys(dump).find((field) => !(field in match));
  if (strange !== undefined) throw unreadable(what, strange);
  return match;
}

function dumpString(match: StringMatch): StringMatchDump {
  return match.kind === 'presence' ? { Presence: null } : { [KINDS[match.kind]]: match.value };
}

function readString(value: unknown): StringMatch | undefined {
  const [entry, ...more] = Object.entries(value ?? {});
  if (entry === undefined || more.length > 0) return undefined;
  const [name, text] = entry as [string, unknown];
  if (name === 'Presence') return { kind: 'presence' };
  for (const kind of ['exact', 'prefix', 'suffix'] as const) {
    if (KINDS[kind] === name && typeof text === 'string') return { kind, value: text };
  }
  return undefined;
}

function readCidr(value: unknown): Cidr | undefined {
  const text = String(value);
  try {
    return text.includes('/') ? parseCidr(text) : undefined;
  } catch {
    return undefined;
  }
}

function readPort(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
}

function readAccount(value: unknown): ServiceAccountMatch | undefined {
  const { namespace, serviceAccount } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof namespace === 'string' && typeof serviceAccount === 'string'
    ? { namespace, serviceAccount }
    : undefined;
}

function keyOf<K extends string>(
  words: Readonly<Record<K, string>>,
  word: string,
  what: string,
): K {
  for (const key in words) if (words[key] === word) return key;
  throw unreadable(what, word);
}

function unreadable(what: string, part: string): DecodeError {
  return new DecodeError(`Cannot read ${what}: ${part} is not known here`);
}
