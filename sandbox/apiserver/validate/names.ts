// The grammar of names, labels, annotations and finalizers.

import { type FieldError, invalidValue, tooLong } from '../errors.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const RFC1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?';

const WHOLE_LABEL = new RegExp(`^${LABEL}$`);
const WHOLE_SUBDOMAIN = new RegExp(`^${SUBDOMAIN}$`);
const WHOLE_RFC1035 = new RegExp(`^${RFC1035}$`);
const WHOLE_QUALIFIED = new RegExp(`^${QUALIFIED}$`);
const WHOLE_LABEL_VALUE = new RegExp(`^${LABEL_VALUE}$`);

/** All annotations of an object together. */
const MAX_ANNOTATION_BYTES = 256 * 1024;

export type NameRule = 'label' | 'subdomain' | 'rfc1035' | 'path';

const RULES: Readonly<
  Record<NameRule, { readonly limit: number; readonly shape: RegExp; readonly text: string }>
> = {
  label: {
    limit: 63,
    shape: WHOLE_LABEL,
    text: `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${LABEL}')`,
  },
  subdomain: {
    limit: 253,
    shape: WHOLE_SUBDOMAIN,
    text: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN}')`,
  },
  rfc1035: {
    limit: 63,
    shape: WHOLE_RFC1035,
    text: `a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '${RFC1035}')`,
  },
  path: {
    limit: 253,
    shape: /^(?!\.{1,2}$)[^/%]+$/,
    text: `may not be '.' or '..', and may not contain '/' or '%'`,
  },
};

/** Why `name` breaks `rule`; undefined if it does not. */
export function nameProblem(name: string, rule: NameRule): string | undefined {
  const { limit, shape, text } = RULES[rule];
  if (name.length > limit) return `must be no more than ${limit} characters`;
  return shape.test(name) ? undefined : text;
}

export function qualifiedNameProblem(name: string): string | undefined {
  const parts = name.split('/');
  if (parts.length > 2) {
    return `a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`;
  }
  const [prefix, local] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (prefix !== undefined) {
    if (prefix === '') return 'prefix part must be non-empty';
    const problem = nameProblem(prefix, 'subdomain');
    if (problem !== undefined) return `prefix part ${problem}`;
  }
  if (local === undefined || local === '') return 'name part must be non-empty';
  if (local.length > 63) return 'name part must be no more than 63 characters';
  if (!WHOLE_QUALIFIED.test(local)) {
    return `name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${QUALIFIED}')`;
  }
  return undefined;
}

export function labelValueProblem(value: string): string | undefined {
  if (value.length > 63) return 'must be no more than 63 characters';
  if (WHOLE_LABEL_VALUE.test(value)) return undefined;
  return `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '${LABEL_VALUE}')`;
}

export function validateLabels(
  labels: Readonly<Record<string, unknown>> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    const keyProblem = qualifiedNameProblem(key);
    if (keyProblem !== undefined) errors.push(invalidValue(path, key, keyProblem));
    const valueProblem = labelValueProblem(String(value));
    if (valueProblem !== undefined) errors.push(invalidValue(path, value, valueProblem));
  }
  return errors;
}

export function validateAnnotations(
  annotations: Readonly<Record<string, unknown>> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    const problem = qualifiedNameProblem(key.toLowerCase());
    if (problem !== undefined) errors.push(invalidValue(path, key, problem));
    bytes += key.length + Buffer.byteLength(String(value));
  }
  if (bytes > MAX_ANNOTATION_BYTES) errors.push(tooLong(path, MAX_ANNOTATION_BYTES));
  return errors;
}
