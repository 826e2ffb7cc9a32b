// One rule of an AuthorizationPolicy -> the tests waypoints evaluate, and what of it cannot be read. Pure. Called by
// http-authorization.ts. What cannot be read is left in its place as an unreadable test, which no ALLOW passes and every
// DENY meets (mesh/request-match.ts).

import type { HttpClause, HttpRule, PathPattern, PolicyTest } from '../../mesh/http-policy.ts';
import { isTemplate, templateProblem } from '../../mesh/path-template.ts';
import { conditionProblem } from '../../runtime/condition.ts';
import type { Rule } from './authorization-rule.ts';
import { readAccount, readCidr, readPort, readText } from './policy-values.ts';

export type HttpRuleTranslation = {
  readonly rule: HttpRule;
  /** Paths within the rule that cannot be read, each with why. */
  readonly unreadable: readonly string[];
};

type Values = readonly string[];
type Fields = Readonly<Record<string, Values | undefined>>;
type ValueTest = Exclude<PolicyTest, { readonly attribute: 'unreadable' }>;

/** What a value is; undefined: no such value. A text says why. */
type ReadValue = (
  text: string,
  namespace: string,
) => { readonly value: unknown } | string | undefined;

const value = (found: unknown): { readonly value: unknown } | undefined =>
  found === undefined ? undefined : { value: found };
const TEXT: ReadValue = (text) => value(readText(text));
const CIDR: ReadValue = (text) => value(readCidr(text));
const PORT: ReadValue = (text) => value(readPort(text));
const ACCOUNT: ReadValue = (text, namespace) => value(readAccount(text, namespace));
const PATH: ReadValue = (text) => readPath(text);
const CEL: ReadValue = (text) => conditionProblem(text) ?? { value: text };

/** Without its values. */
type Attribute = {
  readonly of: Partial<ValueTest> & Pick<ValueTest, 'attribute'>;
  readonly read: ReadValue;
};

const SOURCE_FIELDS: Readonly<Record<string, Attribute>> = {
  principals: { of: { attribute: 'source.principal' }, read: TEXT },
  requestPrincipals: { of: { attribute: 'request.auth.principal' }, read: TEXT },
  namespaces: { of: { attribute: 'source.namespace' }, read: TEXT },
  serviceAccounts: { of: { attribute: 'source.serviceAccount' }, read: ACCOUNT },
  ipBlocks: { of: { attribute: 'source.ip' }, read: CIDR },
  remoteIpBlocks: { of: { attribute: 'remote.ip' }, read: CIDR },
};
const OPERATION_FIELDS: Readonly<Record<string, Attribute>> = {
  hosts: { of: { attribute: 'request.host' }, read: TEXT },
  ports: { of: { attribute: 'destination.port' }, read: PORT },
  methods: { of: { attribute: 'request.method' }, read: TEXT },
  paths: { of: { attribute: 'request.path' }, read: PATH },
};
const CONDITIONS: Readonly<Record<string, Attribute>> = {
  'source.ip': { of: { attribute: 'source.ip' }, read: CIDR },
  'remote.ip': { of: { attribute: 'remote.ip' }, read: CIDR },
  'source.namespace': { of: { attribute: 'source.namespace' }, read: TEXT },
  'source.principal': { of: { attribute: 'source.principal' }, read: TEXT },
  'source.serviceAccount': { of: { attribute: 'source.serviceAccount' }, read: ACCOUNT },
  'request.auth.principal': { of: { attribute: 'request.auth.principal' }, read: TEXT },
  'request.auth.audiences': { of: { attribute: 'request.auth.audiences' }, read: TEXT },
  'request.auth.presenter': { of: { attribute: 'request.auth.presenter' }, read: TEXT },
  'destination.ip': { of: { attribute: 'destination.ip' }, read: CIDR },
  'destination.port': { of: { attribute: 'destination.port' }, read: PORT },
  'connection.sni': { of: { attribute: 'connection.sni' }, read: TEXT },
  cel: { of: { attribute: 'cel' }, read: CEL },
};

/** `namespace` is the policy's own. */
export function readHttpRule(rule: Rule, namespace: string): HttpRuleTranslation {
  const reader = new HttpRuleReader(namespace);
  const from = (rule.from ?? []).map(({ source }, i) =>
    reader.fields(source ?? {}, `from[${i}].source`, SOURCE_FIELDS),
  );
  const to = (rule.to ?? []).map(({ operation }, i) =>
    reader.fields(operation ?? {}, `to[${i}].operation`, OPERATION_FIELDS),
  );
  const clauses: HttpClause[] = [];
  if (from.length > 0) clauses.push({ part: 'from', anyOf: from });
  if (to.length > 0) clauses.push({ part: 'to', anyOf: to });
  for (const [i, { key, values, notValues }] of (rule.when ?? []).entries()) {
    clauses.push({ part: 'when', anyOf: [reader.when(key, values, notValues, `when[${i}]`)] });
  }
  return { rule: { clauses }, unreadable: reader.unreadable };
}

class HttpRuleReader {
  readonly unreadable: string[] = [];
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** All that is asked of one source or operation: never nothing. */
  fields(given: Fields, path: string, known: Readonly<Record<string, Attribute>>): PolicyTest[] {
    const tests: PolicyTest[] = [];
    for (const [field, values = []] of Object.entries(given)) {
      if (values.length === 0) continue;
      const negated = /^not[A-Z]/.test(field);
      const name = negated ? field.charAt(3).toLowerCase() + field.slice(4) : field;
      const attribute = Object.hasOwn(known, name) ? known[name] : undefined;
      tests.push(
        attribute === undefined
          ? this.#lost(`${path}.${field}`)
          : this.#test(attribute, negated, values, `${path}.${field}`),
      );
    }
    return tests.length > 0 ? tests : [this.#lost(`${path} (it is empty)`)];
  }

  when(key: string, values: Values = [], notValues: Values = [], path: string): PolicyTest[] {
    const attribute = conditionOf(key);
    if (attribute === undefined) return [this.#lost(`${path}.key ${key}`)];
    if (values.length + notValues.length === 0) {
      return [this.#lost(`${path} (it has neither values nor notValues)`)];
    }
    return [
      ...(values.length === 0 ? [] : [this.#test(attribute, false, values, `${path}.values`)]),
      ...(notValues.length === 0
        ? []
        : [this.#test(attribute, true, notValues, `${path}.notValues`)]),
    ];
  }

  /** Without one of its values it would ask for less, or for more: it is lost as a whole. */
  #test({ of, read }: Attribute, not: boolean, texts: Values, path: string): PolicyTest {
    const found: unknown[] = [];
    const lost: string[] = [];
    for (const [index, text] of texts.entries()) {
      const one = read(text, this.#namespace);
      if (typeof one === 'object') found.push(one.value);
      else lost.push(`${path}[${index}] "${text}"${one === undefined ? '' : ` (${one})`}`);
    }
    if (lost.length > 0) return this.#lost(...lost);
    // the table pairs each attribute with the reader of its values
    return { ...of, not, values: found } as unknown as PolicyTest;
  }

  #lost(...paths: readonly string[]): PolicyTest {
    this.unreadable.push(...paths);
    return { attribute: 'unreadable', why: paths.join(', ') };
  }
}

const HEADER = /^request\.headers\[([!#$%&'*+.^_`|~0-9A-Za-z-]+)\]$/;
const CLAIM = /^request\.auth\.claims((?:\[[^[\]]+\])+)$/;

function conditionOf(key: string): Attribute | undefined {
  const header = HEADER.exec(key)?.[1];
  if (header !== undefined) {
    return { of: { attribute: 'request.header', name: header.toLowerCase() }, read: TEXT };
  }
  const claim = CLAIM.exec(key)?.[1];
  if (claim !== undefined) {
    return {
      of: { attribute: 'request.auth.claim', path: claim.slice(1, -1).split('][') },
      read: TEXT,
    };
  }
  return Object.hasOwn(CONDITIONS, key) ? CONDITIONS[key] : undefined;
}

function readPath(text: string): { readonly value: PathPattern } | string | undefined {
  if (!isTemplate(text)) {
    const match = readText(text);
    return match === undefined ? undefined : { value: match };
  }
  return templateProblem(text) ?? { value: { kind: 'template', value: text } };
}
