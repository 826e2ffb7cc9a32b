// Label selectors (text and object form) and field selectors: parsed once a request, then asked per object.
// A selector that cannot be honoured is refused, never ignored.

import { badRequest } from './errors.ts';
import { isRecord, type KubeObject, listAt, recordAt, stringAt } from './object.ts';

export type Requirement = {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values: readonly string[];
};
export type LabelSelector = readonly Requirement[];
export type FieldTerm = { readonly field: string; readonly equal: boolean; readonly value: string };
export type FieldSelector = readonly FieldTerm[];

/** Terms a selector may have: each costs a look-up an object. */
const MAX_TERMS = 256;
const KEY =
  /^(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

export function parseLabelSelector(text: string): LabelSelector {
  const terms = splitTerms(text);
  if (terms.length > MAX_TERMS) throw unparsable(text, `more than ${MAX_TERMS} terms`);
  return terms.map((term) => parseRequirement(term, text));
}

export function matchesLabels(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return selector.every((requirement) => matchesRequirement(requirement, labels ?? {}));
}

/** `{ matchLabels, matchExpressions }` of an object, as requirements. */
export function fromObjectSelector(selector: unknown): LabelSelector {
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(recordAt(selector, 'matchLabels'))) {
    requirements.push({ key, operator: 'In', values: [String(value)] });
  }
  for (const expression of listAt(selector, 'matchExpressions')) {
    const operator = stringAt(expression, 'operator');
    if (
      operator === 'In' ||
      operator === 'NotIn' ||
      operator === 'Exists' ||
      operator === 'DoesNotExist'
    ) {
      requirements.push({
        key: stringAt(expression, 'key') ?? '',
        operator,
        values: listAt(expression, 'values').map(String),
      });
    }
  }
  return requirements;
}

/** The text form of an object selector, as `scale.status.selector` has it. */
export function formatLabelSelector(selector: LabelSelector): string {
  return selector
    .map(({ key, operator, values }) => {
      switch (operator) {
        case 'In':
          return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
        case 'NotIn':
          return `${key} notin (${values.join(',')})`;
        case 'Exists':
          return key;
        case 'DoesNotExist':
          return `!${key}`;
        case 'Gt':
          return `${key}>${values[0]}`;
        case 'Lt':
          return `${key}<${values[0]}`;
      }
    })
    .join(',');
}

function matchesRequirement(
  { key, operator, values }: Requirement,
  labels: Readonly<Record<string, string>>,
): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
  }
}

/** Splits at commas outside parentheses. */
function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let term = '';
  for (const character of text) {
    if (character === '(') depth += 1;
    if (character === ')') depth -= 1;
    if (depth < 0 || depth > 1) throw unparsable(text, 'unbalanced parentheses');
    if (character === ',' && depth === 0) {
      terms.push(term.trim());
      term = '';
    } else term += character;
  }
  if (depth !== 0) throw unparsable(text, 'unbalanced parentheses');
  if (term.trim() !== '' || terms.length > 0) terms.push(term.trim());
  return terms;
}

function parseRequirement(term: string, whole: string): Requirement {
  const set = /^([^\s()=!<>]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set !== null) {
    const values = (set[3] ?? '').split(',').map((value) => value.trim());
    return checked(
      { key: set[1] ?? '', operator: set[2] === 'in' ? 'In' : 'NotIn', values },
      whole,
    );
  }
  const absent = /^!\s*([^\s()=!<>]+)$/.exec(term);
  if (absent !== null) {
    return checked({ key: absent[1] ?? '', operator: 'DoesNotExist', values: [] }, whole);
  }
  const compare = /^([^\s()=!<>]+)\s*(==|=|!=|>|<)\s*([^\s()=!<>]*)$/.exec(term);
  if (compare !== null) {
    const value = compare[3] ?? '';
    const sign = compare[2];
    if ((sign === '>' || sign === '<') && !/^-?\d+$/.test(value)) {
      throw unparsable(whole, `for '${sign}' the value must be an integer`);
    }
    const operator = sign === '!=' ? 'NotIn' : sign === '>' ? 'Gt' : sign === '<' ? 'Lt' : 'In';
    return checked({ key: compare[1] ?? '', operator, values: [value] }, whole);
  }
  if (/^[^\s()=!<>]+$/.test(term)) {
    return checked({ key: term, operator: 'Exists', values: [] }, whole);
  }
  throw unparsable(whole, `found '${term}', expected a label requirement`);
}

function checked(requirement: Requirement, whole: string): Requirement {
  if (!KEY.test(requirement.key) || requirement.key.length > 317) {
    throw unparsable(whole, `'${requirement.key}' is not a label key`);
  }
  for (const value of requirement.values) {
    if (!VALUE.test(value)) {
      throw unparsable(whole, `'${value}' is not a label value`);
    }
  }
  return requirement;
}

function unparsable(text: string, why: string): Error {
  return badRequest(`unable to parse requirement: label selector '${text}': ${why}`);
}

/** Fields beside metadata.name and metadata.namespace that can be selected on, by `group/Kind`. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  '/Pod': [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  '/Event': [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  'events.k8s.io/Event': [
    'regarding.kind',
    'regarding.namespace',
    'regarding.name',
    'regarding.uid',
    'reason',
    'reportingController',
    'type',
  ],
  '/Secret': ['type'],
  '/Namespace': ['status.phase'],
  '/Node': ['spec.unschedulable'],
  '/Service': ['spec.clusterIP', 'spec.type'],
  '/ReplicationController': ['status.replicas'],
  'apps/ReplicaSet': ['status.replicas'],
  'batch/Job': ['status.successful'],
};

export function parseFieldSelector(
  text: string,
  kind: { readonly group: string; readonly kind: string },
): FieldSelector {
  if (text.trim() === '') return [];
  const terms = text.split(',');
  if (terms.length > MAX_TERMS) {
    throw badRequest(`field selector has more than ${MAX_TERMS} terms`);
  }
  const known = FIELDS[`${kind.group}/${kind.kind}`] ?? [];
  return terms.flatMap((term) => {
    if (term === '') return [];
    const match = /^([^=!]+)(==|!=|=)(.*)$/.exec(term);
    if (match === null) {
      throw badRequest(`invalid field selector: "${text}"; can't understand '${term}'`);
    }
    const field = (match[1] ?? '').trim();
    if (field !== 'metadata.name' && field !== 'metadata.namespace' && !known.includes(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    return [{ field, equal: match[2] !== '!=', value: match[3] ?? '' }];
  });
}

export function matchesFields(selector: FieldSelector, object: KubeObject): boolean {
  return selector.every(
    ({ field, equal, value }) => (fieldText(object, field) === value) === equal,
  );
}

function fieldText(object: KubeObject, field: string): string {
  let value: unknown = object;
  if (field === 'source') return stringAt(object['source'], 'component') ?? '';
  for (const part of field.split('.')) value = isRecord(value) ? value[part] : undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return field === 'spec.unschedulable' || field === 'spec.hostNetwork' ? 'false' : '';
}
