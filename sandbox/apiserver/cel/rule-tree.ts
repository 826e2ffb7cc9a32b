// What validation rules are once they are compiled. Made by compile.ts, kept with each kind, evaluated by evaluate.ts.

import type { CelResult } from '@bufbuild/cel';
import type { Schema } from '../schema.ts';
import type { TextTypes } from './values.ts';

export type Reason =
  | 'FieldValueInvalid'
  | 'FieldValueForbidden'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate';

export type Program = (variables: Readonly<Record<string, unknown>>) => CelResult;

export type CompiledRule = {
  readonly rule: string;
  readonly program: Program;
  readonly message: string;
  readonly messageProgram: Program | undefined;
  readonly reason: Reason;
  /** Appended to the path of the value; '' for the value itself. */
  readonly fieldPath: string;
  /** Asks what was there before: evaluated on updates only, unless `optionalOldSelf`. */
  readonly usesOldSelf: boolean;
  readonly optionalOldSelf: boolean;
};

/** The part of a schema that has rules, in its shape: what has none is left out. */
export type RuleTree = {
  readonly schema: Schema;
  readonly rules: readonly CompiledRule[];
  readonly properties: ReadonlyMap<string, RuleTree>;
  readonly items: RuleTree | undefined;
  readonly members: RuleTree | undefined;
  readonly types: TextTypes;
};
