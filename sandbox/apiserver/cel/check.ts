// Is a rule one that can be evaluated? Its names must be there, its fields in the schema, its result of the wanted kind,
// and its cost bounded whatever the object. Pure. Called by compile.ts when a definition is created.

import type { CelEnv, parse } from '@bufbuild/cel';
import type { Schema } from '../schema.ts';
import { escapeField } from './values.ts';

export type Ast = ReturnType<typeof parse>['expr'];

/** What is known of an expression's value: its schema, or at least its kind. */
type Known = { readonly schema?: Schema; readonly kind: Kind };
type Kind = 'bool' | 'string' | 'number' | 'list' | 'map' | 'other' | 'unknown';

export type Checked = {
  readonly kind: Kind;
  /** Steps at most, for the largest object that a request can bring. */
  readonly cost: number;
  readonly usesOldSelf: boolean;
};

export class RuleError extends Error {
  override readonly name = 'RuleError';
}

const UNKNOWN: Known = { kind: 'unknown' };
/** An API server takes requests of this size; a list without maxItems has as many members as fit. */
export const MAX_REQUEST_BYTES = 3 * 1024 * 1024;
/** The shortest member of a list or map: a digit or `""`, and a comma. */
const MIN_MEMBER_BYTES = 2;

const BOOLEAN = new Set(
  '_&&_ _||_ !_ _==_ _!=_ _<_ _<=_ _>_ _>=_ @in contains startsWith endsWith matches isSorted isIP isCIDR hasValue bool @not_strictly_false'.split(
    ' ',
  ),
);
const STRINGS = new Set(
  'string lowerAscii upperAscii trim replace substring join charAt'.split(' '),
);
const NUMBERS = new Set('size int uint double _-_ _*_ _/_ _%_ -_ indexOf lastIndexOf'.split(' '));
/** Evaluated by the planner itself, without a function behind it. */
const BUILT_IN = new Set(['_&&_', '_||_', '_?_:_', '_[_]', '@not_strictly_false', '_==_', '_!=_']);
const TYPES = new Set(
  'int uint double bool string bytes list map type null_type google.protobuf.Timestamp google'.split(
    ' ',
  ),
);

/** @throws RuleError that says what is wrong, in the words of a compiler */
export function checkRule(
  ast: Ast,
  env: CelEnv,
  variables: ReadonlyMap<string, Schema | undefined>,
): Checked {
  const scope = new Map<string, Known>();
  for (const [name, schema] of variables) scope.set(name, knownOf(schema));
  const checker = new Checker(env);
  const { kind } = checker.visit(ast, scope, 1);
  return { kind, cost: checker.cost, usesOldSelf: checker.names.has('oldSelf') };
}

class Checker {
  readonly names = new Set<string>();
  cost = 0;
  readonly #env: CelEnv;

  constructor(env: CelEnv) {
    this.#env = env;
  }

  /** `times`: how often this part is evaluated at most. */
  visit(ast: Ast | undefined, scope: ReadonlyMap<string, Known>, times: number): Known {
    if (ast === undefined) return UNKNOWN;
    this.cost += times;
    const { exprKind } = ast;
    switch (exprKind.case) {
      case 'identExpr':
        return this.#name(exprKind.value.name, scope);
      case 'constExpr':
        return constant(exprKind.value.constantKind.case);
      case 'selectExpr': {
        const { operand, field, testOnly } = exprKind.value;
        const member = select(this.visit(operand as Ast, scope, times), field);
        return testOnly ? { kind: 'bool' } : member;
      }
      case 'callExpr': {
        const { function: name, target, args } = exprKind.value;
        const of = target === undefined ? undefined : this.visit(target as Ast, scope, times);
        const given = args.map((arg) => this.visit(arg as Ast, scope, times));
        return this.#call(name, of, given);
      }
      case 'listExpr': {
        for (const element of exprKind.value.elements) this.visit(element as Ast, scope, times);
        return { kind: 'list' };
      }
      case 'structExpr': {
        for (const { keyKind, value } of exprKind.value.entries) {
          if (keyKind.case === 'mapKey') this.visit(keyKind.value as Ast, scope, times);
          this.visit(value as Ast, scope, times);
        }
        return { kind: 'map' };
      }
      case 'comprehensionExpr': {
        const { iterRange, iterVar, iterVar2, accuVar, accuInit, ...loop } = exprKind.value;
        const range = this.visit(iterRange as Ast, scope, times);
        const start = this.visit(accuInit as Ast, scope, times);
        const inner = new Map(scope).set(iterVar, memberOf(range)).set(accuVar, start);
        if (iterVar2 !== '') inner.set(iterVar2, UNKNOWN);
        const turns = times * largest(range);
        this.visit(loop.loopCondition as Ast, inner, turns);
        this.visit(loop.loopStep as Ast, inner, turns);
        return this.visit(loop.result as Ast, inner, times);
      }
      default:
        throw new RuleError('the expression is empty');
    }
  }

  #name(name: string, scope: ReadonlyMap<string, Known>): Known {
    const known = scope.get(name);
    if (known !== undefined) {
      this.names.add(name);
      return known;
    }
    if (TYPES.has(name)) return { kind: 'other' };
    throw new RuleError(`undeclared reference to '${name}' (in container '')`);
  }

  #call(name: string, target: Known | undefined, args: readonly Known[]): Known {
    if (!BUILT_IN.has(name) && this.#env.funcs.find(name) === undefined) {
      throw new RuleError(`undeclared reference to '${name}' (in container '')`);
    }
    if (name === '_?_:_') return args[1]?.kind === args[2]?.kind ? (args[1] ?? UNKNOWN) : UNKNOWN;
    if (name === '_[_]') return args[0] === undefined ? UNKNOWN : indexed(args[0]);
    if (target !== undefined && (target.kind === 'bool' || target.kind === 'number')) {
      throw new RuleError(`found no matching overload for '${name}' applied to '${target.kind}'`);
    }
    if (BOOLEAN.has(name)) return { kind: 'bool' };
    if (STRINGS.has(name)) return { kind: 'string' };
    // lists can be looked through by indexOf too, and what + makes depends on what it is given
    if (NUMBERS.has(name)) return { kind: 'number' };
    if (name === '_+_') return { kind: args[0]?.kind ?? 'unknown' };
    return UNKNOWN;
  }
}

function knownOf(schema: Schema | undefined): Known {
  if (schema === undefined || schema['x-kubernetes-int-or-string'] === true) return UNKNOWN;
  switch (schema.type) {
    case 'boolean':
      return { schema, kind: 'bool' };
    case 'integer':
    case 'number':
      return { schema, kind: 'number' };
    case 'string':
      return { schema, kind: schema.format === undefined ? 'string' : 'unknown' };
    case 'array':
      return { schema, kind: 'list' };
    case 'object':
      return { schema, kind: 'map' };
    default:
      return UNKNOWN;
  }
}

function constant(kind: string | undefined): Known {
  if (kind === 'boolValue') return { kind: 'bool' };
  if (kind === 'stringValue') return { kind: 'string' };
  return { kind: kind === 'nullValue' || kind === 'bytesValue' ? 'other' : 'number' };
}

function select(operand: Known, field: string): Known {
  const { schema, kind } = operand;
  if (kind === 'bool' || kind === 'number' || kind === 'string' || kind === 'list') {
    throw new RuleError(`type '${schema?.type ?? kind}' does not support field selection`);
  }
  if (schema === undefined) return UNKNOWN;
  if (typeof schema.additionalProperties === 'object') return knownOf(schema.additionalProperties);
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    if (escapeField(name) === field) return knownOf(member);
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return UNKNOWN;
  throw new RuleError(`undefined field '${field}'`);
}

function indexed({ schema }: Known): Known {
  if (schema?.type === 'array') return knownOf(schema.items);
  return typeof schema?.additionalProperties === 'object'
    ? knownOf(schema.additionalProperties)
    : UNKNOWN;
}

/** What a comprehension binds: members of a list, keys of a map. */
function memberOf({ schema, kind }: Known): Known {
  if (schema?.type === 'array') return knownOf(schema.items);
  return kind === 'map' ? { kind: 'string' } : UNKNOWN;
}

function largest({ schema }: Known): number {
  const bound = schema?.type === 'array' ? schema.maxItems : schema?.maxProperties;
  // of a list written in the rule, or made by one, nothing is known: it comes from something bounded
  return bound ?? (schema === undefined ? 100 : MAX_REQUEST_BYTES / MIN_MEMBER_BYTES);
}
