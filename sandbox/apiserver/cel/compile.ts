// The validation rules of a definition's schema, ready to be evaluated. Called by crd/strategy.ts, which refuses a
// definition with rules that do not compile, and by crd/register.ts for the kinds it serves.

import { type CelEnv, parse, plan } from '@bufbuild/cel';
import { type FieldError, invalidValue, required } from '../errors.ts';
import { isRecord, listAt, stringAt } from '../object.ts';
import type { Schema } from '../schema.ts';
import { type Checked, checkRule, MAX_REQUEST_BYTES } from './check.ts';
import { ruleEnvironment, typedText } from './environment.ts';
import type { CompiledRule, Program, Reason, RuleTree } from './rule-tree.ts';
import type { TextTypes } from './values.ts';

/** As many steps as a real server allows a rule at most, over all the places of one object where it applies. */
const MAX_RULE_COST = 10_000_000;
const REASONS: readonly string[] = [
  'FieldValueInvalid',
  'FieldValueForbidden',
  'FieldValueRequired',
  'FieldValueDuplicate',
];
const MIN_MEMBER_BYTES = 2;

/** `errors` name what does not compile; the tree is whole only without any, and undefined when there are no rules. */
export function compileRules(
  schema: Schema,
  path: string,
): { readonly tree: RuleTree | undefined; readonly errors: readonly FieldError[] } {
  const compiler = new Compiler();
  const tree = compiler.compile(schema, path, { count: 1, correlates: true });
  return { tree, errors: compiler.errors };
}

type Place = {
  /** How many values of this schema an object can have. */
  readonly count: number;
  /** Whether an old value can be found for each: not behind a list that is replaced as a whole. */
  readonly correlates: boolean;
};

class Compiler {
  readonly errors: FieldError[] = [];
  readonly #env: CelEnv = ruleEnvironment();
  readonly #types: TextTypes = {
    timestamp: typedText(this.#env, 'timestamp'),
    duration: typedText(this.#env, 'duration'),
  };

  compile(schema: Schema, path: string, place: Place): RuleTree | undefined {
    const rules = listAt(schema, 'x-kubernetes-validations').flatMap((rule, index) => {
      const at = `${path}.x-kubernetes-validations[${index}]`;
      return this.#rule(rule, schema, at, place) ?? [];
    });
    const properties = new Map<string, RuleTree>();
    for (const [name, child] of Object.entries(schema.properties ?? {})) {
      const tree = this.compile(child, `${path}.properties[${name}]`, place);
      if (tree !== undefined) properties.set(name, tree);
    }
    const keyed = schema['x-kubernetes-list-type'] === 'map';
    const items =
      schema.items &&
      this.compile(schema.items, `${path}.items`, {
        count: place.count * (schema.maxItems ?? MAX_REQUEST_BYTES / MIN_MEMBER_BYTES),
        correlates: place.correlates && keyed,
      });
    const { additionalProperties } = schema;
    const members =
      typeof additionalProperties === 'object'
        ? this.compile(additionalProperties, `${path}.additionalProperties`, {
            count: place.count * (schema.maxProperties ?? MAX_REQUEST_BYTES / MIN_MEMBER_BYTES),
            correlates: place.correlates,
          })
        : undefined;
    const bare = rules.length === 0 && properties.size === 0;
    if (bare && items === undefined && members === undefined) return undefined;
    return { schema, rules, properties, items, members, types: this.#types };
  }

  #rule(given: unknown, schema: Schema, at: string, place: Place): CompiledRule | undefined {
    if (!isRecord(given)) return undefined;
    const before = this.errors.length;
    const words: Words = {
      rule: stringAt(given, 'rule') ?? '',
      message: stringAt(given, 'message') ?? '',
      messageExpression: stringAt(given, 'messageExpression'),
      reason: stringAt(given, 'reason') ?? 'FieldValueInvalid',
      fieldPath: stringAt(given, 'fieldPath') ?? '',
      optionalOldSelf: given['optionalOldSelf'] === true,
    };
    this.errors.push(...wordErrors(words, schema, at));
    if (words.rule.trim() === '') return undefined;
    const compiled = this.#expression(words.rule, schema, `${at}.rule`, 'bool', place);
    if (compiled !== undefined) {
      this.errors.push(...transitionErrors(words, compiled.checked, at, place));
    }
    const says =
      words.messageExpression === undefined
        ? undefined
        : this.#expression(
            words.messageExpression,
            schema,
            `${at}.messageExpression`,
            'string',
            place,
          );
    if (compiled === undefined || this.errors.length > before) return undefined;
    return {
      ...words,
      program: compiled.program,
      messageProgram: says?.program,
      reason: words.reason as Reason,
      usesOldSelf: compiled.checked.usesOldSelf,
    };
  }

  #expression(
    text: string,
    schema: Schema,
    at: string,
    wanted: 'bool' | 'string',
    place: Place,
  ): { program: Program; checked: Checked } | undefined {
    const variables = new Map([
      ['self', schema],
      ['oldSelf', schema],
    ]);
    try {
      const { expr } = parse(text);
      const checked = checkRule(expr, this.#env, variables);
      if (checked.kind !== wanted && checked.kind !== 'unknown') {
        this.errors.push(invalidValue(at, text, `must evaluate to a ${wanted}`));
        return undefined;
      }
      const cost = checked.cost * place.count;
      if (cost > MAX_RULE_COST) {
        const factor = (cost / MAX_RULE_COST).toFixed(1);
        const why = `estimated rule cost exceeds budget by factor of ${factor}x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`;
        this.errors.push({
          field: at,
          reason: 'FieldValueForbidden',
          message: `Forbidden: ${why}`,
        });
        return undefined;
      }
      return { program: plan(this.#env, expr) as Program, checked };
    } catch (error) {
      // the parser, the planner and the check each have errors of their own; all of them mean that it does not compile
      const why = error instanceof Error ? error.message : String(error);
      this.errors.push(invalidValue(at, text, `compilation failed: ERROR: ${why}`));
      return undefined;
    }
  }
}

type Words = {
  readonly rule: string;
  readonly message: string;
  readonly messageExpression: string | undefined;
  readonly reason: string;
  readonly fieldPath: string;
  readonly optionalOldSelf: boolean;
};

function* wordErrors(words: Words, schema: Schema, at: string): Generator<FieldError> {
  const { rule, message, messageExpression, reason, fieldPath } = words;
  if (rule.trim() === '') yield required(`${at}.rule`, 'rule is not specified');
  if (/[\r\n]/.test(message)) {
    yield invalidValue(`${at}.message`, message, 'must not contain line breaks');
  } else if (message === '' && /[\r\n]/.test(rule.trim()) && messageExpression === undefined) {
    yield required(`${at}.message`, 'message must be specified if rule contains line breaks');
  }
  if (!REASONS.includes(reason)) {
    yield invalidValue(`${at}.reason`, reason, `must be one of ${REASONS.join(', ')}`);
  }
  if (fieldPath !== '' && !leadsSomewhere(fieldPath, schema)) {
    yield invalidValue(`${at}.fieldPath`, fieldPath, 'fieldPath must be a valid path');
  }
}

function* transitionErrors(
  { rule, optionalOldSelf }: Words,
  { usesOldSelf }: Checked,
  at: string,
  { correlates }: Place,
): Generator<FieldError> {
  if (usesOldSelf && !correlates && !optionalOldSelf) {
    const why =
      'oldSelf cannot be used on the uncorrelatable portion of the schema: below a list that is not of type map';
    yield invalidValue(`${at}.rule`, rule, why);
  }
  if (optionalOldSelf && !usesOldSelf) {
    const why = 'must not be set if oldSelf is not used in rule';
    yield invalidValue(`${at}.optionalOldSelf`, true, why);
  }
}

/** `.a.b`, `.a['b']`: of fields that the schema has. */
function leadsSomewhere(fieldPath: string, schema: Schema): boolean {
  let at: Schema | undefined = schema;
  const steps = /^(\.[A-Za-z_]\w*|\['[^']+'\])+$/.test(fieldPath)
    ? (fieldPath.match(/\.[A-Za-z_]\w*|\['[^']+'\]/g) ?? [])
    : [''];
  for (const step of steps) {
    const name = step.startsWith('.') ? step.slice(1) : step.slice(2, -2);
    const members: Schema['additionalProperties'] = at?.additionalProperties;
    at = at?.properties?.[name] ?? (typeof members === 'object' ? members : undefined);
    if (at === undefined) return false;
  }
  return true;
}
