// AuthorizationPolicy (the reference's schema) -> the policy node agents evaluate: its L4 part. Pure. What an agent
// cannot evaluate never makes a policy more permissive: an ALLOW rule is dropped, a DENY rule gets broader.

import { type IpAddress, isIpv6, parseIp } from '../../mesh/address.ts';
import type {
  AuthorizationPolicy,
  Cidr,
  PolicyClause,
  PolicyMatch,
  PolicyRule,
  StringMatch,
} from '../../mesh/policy.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import { isUnselective, type WorkloadSelector } from './selector.ts';

type Values = readonly string[];
type Source = Readonly<Record<string, Values | undefined>>;
type Operation = Readonly<Record<string, Values | undefined>>;
type When = { readonly key: string; readonly values?: Values; readonly notValues?: Values };
type Rule = {
  readonly from?: readonly { readonly source?: Source }[];
  readonly to?: readonly { readonly operation?: Operation }[];
  readonly when?: readonly When[];
};
export type AuthorizationPolicyObject = KubeObject & {
  readonly spec?: {
    readonly selector?: WorkloadSelector;
    readonly targetRef?: unknown;
    readonly targetRefs?: readonly unknown[];
    readonly action?: string;
    readonly rules?: readonly Rule[];
  };
};

export type PolicyTranslation = {
  /** undefined: nothing of it concerns node agents. */
  readonly policy: AuthorizationPolicy | undefined;
  readonly problems: readonly Problem[];
};

const DRY_RUN = 'ambit-mesh.io/dry-run';

export const NO_MATCH: PolicyMatch = {
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

export function authorizationOf(
  object: AuthorizationPolicyObject,
  context: { readonly rootNamespace: string },
): PolicyTranslation {
  const { name = '', namespace = '' } = object.metadata;
  const spec = object.spec ?? {};
  const problems: Problem[] = [];
  const report = (reason: string, message: string, remedy: string): void => {
    problems.push({ object: `AuthorizationPolicy ${namespace}/${name}`, reason, message, remedy });
  };
  // policies for waypoints are evaluated there, with all of their L7 parts
  if (spec.targetRef !== undefined || (spec.targetRefs ?? []).length > 0) {
    return { policy: undefined, problems };
  }
  const action = spec.action ?? 'ALLOW';
  if (action !== 'ALLOW' && action !== 'DENY') {
    report(
      'UnsupportedAction',
      `Action ${action} has no effect on node agents: they know ALLOW and DENY`,
      'Use ALLOW or DENY, or attach the policy to a waypoint with targetRefs',
    );
    return { policy: undefined, problems };
  }
  const rules: PolicyRule[] = [];
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const read = readRule(rule, namespace);
    if (read.unsupported.length > 0) {
      const fields = read.unsupported.join(', ');
      report(
        'UnsupportedField',
        action === 'ALLOW'
          ? `Rule ${index} uses ${fields}, which node agents cannot evaluate: it allows nothing`
          : `Rule ${index} uses ${fields}, which node agents cannot evaluate: it denies without regard to them`,
        'Remove these fields, or attach the policy to a waypoint with targetRefs',
      );
      if (action === 'ALLOW') continue;
    }
    rules.push({ clauses: read.clauses });
  }
  const everywhere = isUnselective(spec.selector);
  return {
    policy: {
      name,
      namespace,
      scope: !everywhere ? 'workload' : namespace === context.rootNamespace ? 'mesh' : 'namespace',
      action: action === 'ALLOW' ? 'allow' : 'deny',
      rules,
      dryRun: object.metadata.annotations?.[DRY_RUN] === 'true',
    },
    problems,
  };
}

/** Collects what it cannot express; a value that cannot be read counts as such. */
class RuleReader {
  readonly unsupported = new Set<string>();
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  source(source: Source): PolicyMatch {
    this.#only(source, 'source', SOURCE_FIELDS);
    return {
      ...NO_MATCH,
      principals: this.#strings(source['principals']),
      notPrincipals: this.#strings(source['notPrincipals']),
      namespaces: this.#strings(source['namespaces']),
      notNamespaces: this.#strings(source['notNamespaces']),
      sourceIps: this.#cidrs(source['ipBlocks'], 'source.ipBlocks'),
      notSourceIps: this.#cidrs(source['notIpBlocks'], 'source.notIpBlocks'),
      serviceAccounts: this.#accounts(source['serviceAccounts']),
    };
  }

  operation(operation: Operation): PolicyMatch {
    this.#only(operation, 'operation', OPERATION_FIELDS);
    return {
      ...NO_MATCH,
      destinationPorts: this.#ports(operation['ports'], 'operation.ports'),
      notDestinationPorts: this.#ports(operation['notPorts'], 'operation.notPorts'),
    };
  }

  when({ key, values, notValues }: When): PolicyMatch {
    const name = `when[${key}]`;
    switch (key) {
      case 'source.ip':
        return {
          ...NO_MATCH,
          sourceIps: this.#cidrs(values, name),
          notSourceIps: this.#cidrs(notValues, name),
        };
      case 'source.namespace':
        return {
          ...NO_MATCH,
          namespaces: this.#strings(values),
          notNamespaces: this.#strings(notValues),
        };
      case 'source.principal':
        return {
          ...NO_MATCH,
          principals: this.#strings(values),
          notPrincipals: this.#strings(notValues),
        };
      case 'destination.ip':
        return {
          ...NO_MATCH,
          destinationIps: this.#cidrs(values, name),
          notDestinationIps: this.#cidrs(notValues, name),
        };
      case 'destination.port':
        return {
          ...NO_MATCH,
          destinationPorts: this.#ports(values, name),
          notDestinationPorts: this.#ports(notValues, name),
        };
      default:
        this.unsupported.add(name);
        return NO_MATCH;
    }
  }

  #only(given: Source | Operation, what: string, supported: ReadonlySet<string>): void {
    for (const [field, values] of Object.entries(given)) {
      if (!supported.has(field) && (values ?? []).length > 0)
        this.unsupported.add(`${what}.${field}`);
    }
  }

  #strings(values: Values = []): StringMatch[] {
    return values.map(stringMatchOf);
  }

  #cidrs(values: Values = [], name: string): Cidr[] {
    return this.#readEach(values, name, readCidr);
  }

  #ports(values: Values = [], name: string): number[] {
    return this.#readEach(values, name, (text) => {
      const port = Number(text);
      return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : undefined;
    });
  }

  /** `namespace/name`, or `name` in the policy's own namespace. */
  #accounts(values: Values = []): { namespace: string; serviceAccount: string }[] {
    return values.map((text) => {
      const [first = '', second] = text.split('/');
      return second === undefined
        ? { namespace: this.#namespace, serviceAccount: first }
        : { namespace: first, serviceAccount: second };
    });
  }

  #readEach<T>(values: Values, name: string, read: (text: string) => T | undefined): T[] {
    return values.flatMap((text) => {
      const value = read(text);
      if (value === undefined) this.unsupported.add(`${name} "${text}"`);
      return value === undefined ? [] : [value];
    });
  }
}

const SOURCE_FIELDS: ReadonlySet<string> = new Set([
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'ipBlocks',
  'notIpBlocks',
  'serviceAccounts',
]);
const OPERATION_FIELDS: ReadonlySet<string> = new Set(['ports', 'notPorts']);

function readRule(
  rule: Rule,
  namespace: string,
): { clauses: PolicyClause[]; unsupported: string[] } {
  const reader = new RuleReader(namespace);
  const from = (rule.from ?? []).map(({ source = {} }) => reader.source(source));
  const to = (rule.to ?? []).map(({ operation = {} }) => reader.operation(operation));
  const when = (rule.when ?? []).map((condition) => [reader.when(condition)]);
  const clauses = [from, to, ...when]
    // a match that lost all it had must not become "never matches": in a DENY the clause then matches everything
    .map((matches) => (matches.some(isEmpty) ? [] : matches))
    .filter((matches) => matches.length > 0)
    .map((matches) => ({ matches }));
  return { clauses, unsupported: [...reader.unsupported] };
}

function isEmpty(match: PolicyMatch): boolean {
  return Object.values(match).every((values) => values.length === 0);
}

export function stringMatchOf(text: string): StringMatch {
  if (text === '*') return { kind: 'presence' };
  if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1) };
  if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1) };
  return { kind: 'exact', value: text };
}

function readCidr(text: string): Cidr | undefined {
  const [address = '', length] = text.split('/');
  let ip: IpAddress;
  try {
    ip = parseIp(address);
  } catch {
    return undefined;
  }
  const most = isIpv6(ip) ? 128 : 32;
  const prefixLength = length === undefined ? most : Number(length);
  const valid = Number.isInteger(prefixLength) && prefixLength >= 0 && prefixLength <= most;
  return valid && length !== '' ? { ip, prefixLength } : undefined;
}
