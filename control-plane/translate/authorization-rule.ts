// One rule of an AuthorizationPolicy -> the clauses node agents evaluate, and what of it they cannot. Pure. Called by
// authorization.ts. Invariant: what cannot be read or evaluated never makes an ALLOW wider nor a DENY narrower: of an ALLOW
// the caller drops the rule; in a DENY the attribute is left open, so that it denies more.

import {
  EMPTY_MATCH,
  type PolicyClause,
  type PolicyMatch,
  type ServiceAccountMatch,
} from '../../mesh/policy.ts';
import { isEmptyMatch } from '../../mesh/policy-match.ts';
import { readAccount, readCidr, readPort, readText } from './policy-values.ts';

type Values = readonly string[];
type Fields = Readonly<Record<string, Values | undefined>>;
type When = { readonly key: string; readonly values?: Values; readonly notValues?: Values };
export type Rule = {
  readonly from?: readonly { readonly source?: Fields }[];
  readonly to?: readonly { readonly operation?: Fields }[];
  readonly when?: readonly When[];
};

export type RuleTranslation = {
  readonly clauses: readonly PolicyClause[];
  /** Paths within the rule that node agents cannot evaluate, each with why. */
  readonly unsupported: readonly string[];
};

const SOURCE_FIELDS: ReadonlySet<string> = new Set([
  'principals',
  'notPrincipals',
  'namespaces',
  'notNamespaces',
  'ipBlocks',
  'notIpBlocks',
  'serviceAccounts',
  'notServiceAccounts',
]);
const OPERATION_FIELDS: ReadonlySet<string> = new Set(['ports', 'notPorts']);

/** `namespace` is the policy's own. */
export function readRule(rule: Rule, namespace: string): RuleTranslation {
  const reader = new RuleReader(namespace);
  const from = (rule.from ?? []).map(({ source = {} }, i) =>
    reader.source(source, `from[${i}].source`),
  );
  const to = (rule.to ?? []).map(({ operation = {} }, i) =>
    reader.operation(operation, `to[${i}].operation`),
  );
  const when = (rule.when ?? []).map((condition, i) => [reader.when(condition, `when[${i}]`)]);
  const clauses = [from, to, ...when]
    // a match that lost all it had must not become "never matches": in a DENY the clause then matches everything
    .map((matches) => (matches.some(isEmptyMatch) ? [] : matches))
    .filter((matches) => matches.length > 0)
    .map((matches) => ({ matches }));
  return { clauses, unsupported: reader.unsupported };
}

/** Collects what it cannot express; a value that cannot be read counts as such. */
class RuleReader {
  readonly unsupported: string[] = [];
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  source(source: Fields, path: string): PolicyMatch {
    this.#only(source, path, SOURCE_FIELDS);
    return {
      ...EMPTY_MATCH,
      principals: this.#all(source['principals'], `${path}.principals`, readText),
      notPrincipals: this.#some(source['notPrincipals'], `${path}.notPrincipals`, readText),
      namespaces: this.#all(source['namespaces'], `${path}.namespaces`, readText),
      notNamespaces: this.#some(source['notNamespaces'], `${path}.notNamespaces`, readText),
      sourceIps: this.#all(source['ipBlocks'], `${path}.ipBlocks`, readCidr),
      notSourceIps: this.#some(source['notIpBlocks'], `${path}.notIpBlocks`, readCidr),
      ...this.#accounts(source['serviceAccounts'], source['notServiceAccounts'], {
        path: `${path}.serviceAccounts`,
        notPath: `${path}.notServiceAccounts`,
      }),
    };
  }

  operation(operation: Fields, path: string): PolicyMatch {
    this.#only(operation, path, OPERATION_FIELDS);
    return {
      ...EMPTY_MATCH,
      destinationPorts: this.#all(operation['ports'], `${path}.ports`, readPort),
      notDestinationPorts: this.#some(operation['notPorts'], `${path}.notPorts`, readPort),
    };
  }

  when({ key, values, notValues }: When, path: string): PolicyMatch {
    const [at, not] = [`${path}.values`, `${path}.notValues`];
    if ((values ?? []).length === 0 && (notValues ?? []).length === 0) {
      this.unsupported.push(`${path} (it has neither values nor notValues)`);
      return EMPTY_MATCH;
    }
    switch (key) {
      case 'source.ip':
        return {
          ...EMPTY_MATCH,
          sourceIps: this.#all(values, at, readCidr),
          notSourceIps: this.#some(notValues, not, readCidr),
        };
      case 'source.namespace':
        return {
          ...EMPTY_MATCH,
          namespaces: this.#all(values, at, readText),
          notNamespaces: this.#some(notValues, not, readText),
        };
      case 'source.principal':
        return {
          ...EMPTY_MATCH,
          principals: this.#all(values, at, readText),
          notPrincipals: this.#some(notValues, not, readText),
        };
      case 'source.serviceAccount':
        return {
          ...EMPTY_MATCH,
          ...this.#accounts(values, notValues, { path: at, notPath: not }),
        };
      case 'destination.ip':
        return {
          ...EMPTY_MATCH,
          destinationIps: this.#all(values, at, readCidr),
          notDestinationIps: this.#some(notValues, not, readCidr),
        };
      case 'destination.port':
        return {
          ...EMPTY_MATCH,
          destinationPorts: this.#all(values, at, readPort),
          notDestinationPorts: this.#some(notValues, not, readPort),
        };
      default:
        this.unsupported.push(`${path}.key ${key}`);
        return EMPTY_MATCH;
    }
  }

  #only(given: Fields, path: string, supported: ReadonlySet<string>): void {
    const used = Object.entries(given).filter(([, values]) => (values ?? []).length > 0);
    if (used.length === 0) this.unsupported.push(`${path} (it is empty)`);
    for (const [field] of used) {
      if (!supported.has(field)) this.unsupported.push(`${path}.${field}`);
    }
  }

  #accounts(
    values: Values | undefined,
    notValues: Values | undefined,
    { path, notPath }: { readonly path: string; readonly notPath: string },
  ): Pick<PolicyMatch, 'serviceAccounts' | 'notServiceAccounts'> {
    const read = (text: string): ServiceAccountMatch | undefined =>
      readAccount(text, this.#namespace);
    const not = this.#some(notValues, notPath, read);
    return {
      serviceAccounts: this.#all(values, path, read),
      ...(not.length === 0 ? {} : { notServiceAccounts: not }),
    };
  }

  /** Values of which one must hold: without all of them the attribute is left open, for the rest would match less. */
  #all<T>(values: Values | undefined, path: string, read: (text: string) => T | undefined): T[] {
    const found = this.#some(values, path, read);
    return found.length === (values ?? []).length ? found : [];
  }

  /** Values of which none may hold: without one of them more is matched. */
  #some<T>(values: Values | undefined, path: string, read: (text: string) => T | undefined): T[] {
    return (values ?? []).flatMap((text, index) => {
      const value = read(text);
      if (value === undefined) this.unsupported.push(`${path}[${index}] "${text}"`);
      return value === undefined ? [] : [value];
    });
  }
}
