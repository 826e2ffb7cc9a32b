// The language of validation rules: CEL with the functions Kubernetes adds to it. Made once for each definition by
// compile.ts. Functions that only Kubernetes' own evaluator has (url, quantity, semver, formats) are not known here, and
// a rule that calls one is refused when its definition is created.

import { isIP } from 'node:net';
import {
  type CelEnv,
  CelScalar,
  celEnv,
  celFunc,
  celMethod,
  isCelError,
  listType,
  parse,
  plan,
} from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';

const DYN_LIST = listType(CelScalar.DYN);
const { BOOL, DYN, INT, STRING } = CelScalar;

export function ruleEnvironment(): CelEnv {
  return celEnv({ funcs: [...strings, ...LISTS, ...SEARCHES, ...OPTIONALS, ...ADDRESSES] });
}

type Comparable = bigint | number | string | boolean;

const LISTS = [
  celMethod('isSorted', DYN_LIST, [], BOOL, function () {
    const values = [...this] as Comparable[];
    return values.every((value, i) => i === 0 || (values[i - 1] as Comparable) <= value);
  }),
  celMethod('sum', DYN_LIST, [], DYN, function () {
    const values = [...this] as (bigint | number)[];
    if (values.some((value) => typeof value === 'number')) {
      return values.reduce<number>((total, value) => total + Number(value), 0);
    }
    return values.reduce<bigint>((total, value) => total + BigInt(value), 0n);
  }),
  celMethod('min', DYN_LIST, [], DYN, function () {
    return extreme([...this] as Comparable[], (a, b) => a < b);
  }),
  celMethod('max', DYN_LIST, [], DYN, function () {
    return extreme([...this] as Comparable[], (a, b) => a > b);
  }),
];

function extreme(
  values: readonly Comparable[],
  better: (a: Comparable, b: Comparable) => boolean,
): Comparable {
  const [first, ...rest] = values;
  if (first === undefined) throw new Error('min and max need a list that is not empty');
  return rest.reduce((best, value) => (better(value, best) ? value : best), first);
}

/** An optional (`oldSelf` under `optionalOldSelf`) is a list of one value or none. */
const OPTIONALS = [
  celMethod('hasValue', DYN_LIST, [], BOOL, function () {
    return this.size > 0;
  }),
  celMethod('value', DYN_LIST, [], DYN, function () {
    const [value] = [...this];
    if (value === undefined) throw new Error('optional.none() dereference');
    return value;
  }),
  celMethod('orValue', DYN_LIST, [DYN], DYN, function (fallback) {
    const [value] = [...this];
    return value ?? fallback;
  }),
];

const ADDRESSES = [
  celFunc('isIP', [STRING], BOOL, (text) => isIP(text) !== 0),
  celFunc('isCIDR', [STRING], BOOL, isCidr),
];

const SEARCHES = [
  celMethod('indexOf', DYN_LIST, [DYN], INT, function (wanted) {
    return BigInt([...this].indexOf(wanted));
  }),
];

function isCidr(text: string): boolean {
  const [address = '', length = '', ...more] = text.split('/');
  const family = isIP(address);
  const fits = /^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= (family === 6 ? 128 : 32);
  return family !== 0 && more.length === 0 && fits;
}

/** `timestamp` or `duration` of a text; the text itself when it is none. */
export function typedText(env: CelEnv, type: 'timestamp' | 'duration'): (text: string) => unknown {
  const convert = plan(env, parse(`${type}(text)`)) as (variables: object) => unknown;
  return (text) => {
    const value = convert({ text });
    return isCelError(value) ? text : value;
  };
}
