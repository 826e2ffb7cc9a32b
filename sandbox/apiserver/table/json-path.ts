// The part of Kubernetes' JSONPath that printer columns of custom kinds use: fields, indexes, `[*]`, and filters on
// equality. Parsed once a column; looking up never throws.

import { isRecord } from '../object.ts';

export type JsonPath = readonly Step[];

type Step =
  | { readonly is: 'field'; readonly name: string }
  | { readonly is: 'index'; readonly index: number }
  | { readonly is: 'all' }
  | {
      readonly is: 'filter';
      readonly path: JsonPath;
      readonly equal: boolean;
      readonly value: unknown;
    };

/** A column's path is a handful of steps; the limits keep a hostile one from costing anything. */
const MAX_TEXT = 1024;
const MAX_RESULTS = 1000;

const FIELD = /^\.?((?:\\.|[^.[\]\\\s])+)/;
const INDEX = /^\[(-?\d+)\]/;
const QUOTED = /^\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]/;
const FILTER =
  /^\[\?\(\s*@((?:\\.|[^=!\s])*)\s*(==|!=)\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s)]+)\s*\)\]/;

/** @throws SyntaxError */
export function parseJsonPath(text: string): JsonPath {
  if (text.length > MAX_TEXT) throw new SyntaxError(`JSON path is longer than ${MAX_TEXT}`);
  const steps: Step[] = [];
  let rest = text
    .trim()
    .replace(/^\{(.*)\}$/s, '$1')
    .replace(/^\$/, '');
  if (rest === '.') return [];
  while (rest !== '') {
    const { step, length } = parseStep(rest, text);
    steps.push(step);
    rest = rest.slice(length);
  }
  return steps;
}

function parseStep(rest: string, whole: string): { readonly step: Step; readonly length: number } {
  if (rest.startsWith('[*]')) return { step: { is: 'all' }, length: 3 };
  const index = INDEX.exec(rest);
  if (index !== null) {
    return { step: { is: 'index', index: Number(index[1]) }, length: index[0].length };
  }
  const quoted = QUOTED.exec(rest);
  if (quoted !== null) {
    const name = unescape(quoted[1] ?? quoted[2] ?? '');
    return { step: { is: 'field', name }, length: quoted[0].length };
  }
  const filter = FILTER.exec(rest);
  if (filter !== null) {
    const step: Step = {
      is: 'filter',
      path: parseJsonPath(filter[1] ?? ''),
      equal: filter[2] === '==',
      value: literal(filter[3] ?? ''),
    };
    return { step, length: filter[0].length };
  }
  const field = rest.startsWith('[') ? null : FIELD.exec(rest);
  if (field === null) throw new SyntaxError(`JSON path "${whole}" cannot be read at "${rest}"`);
  const name = unescape(field[1] ?? '');
  return { step: name === '*' ? { is: 'all' } : { is: 'field', name }, length: field[0].length };
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, '$1');
}

function literal(text: string): unknown {
  if (/^['"]/.test(text)) return unescape(text.slice(1, -1));
  if (text === 'true' || text === 'false') return text === 'true';
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

/** Everything the path leads to, in order. */
export function findAll(value: unknown, path: JsonPath): unknown[] {
  let found: unknown[] = [value];
  for (const step of path) {
    found = found.flatMap((item) => follow(item, step)).slice(0, MAX_RESULTS);
  }
  return found;
}

function follow(value: unknown, step: Step): unknown[] {
  switch (step.is) {
    case 'field':
      return isRecord(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case 'index': {
      const item: unknown = Array.isArray(value) ? value.at(step.index) : undefined;
      return item === undefined ? [] : [item];
    }
    case 'all':
      return members(value);
    case 'filter':
      return members(value).filter((item) => {
        const [first] = findAll(item, step.path);
        return (first === step.value) === step.equal;
      });
  }
}

function members(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  return isRecord(value) ? Object.values(value) : [];
}
