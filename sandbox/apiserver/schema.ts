// Structural schemas (the OpenAPI v3 subset of CustomResourceDefinitions) and short builders for the built-in ones.
// One schema drives defaulting, validation, pruning, strategic merge, server-side apply and `kubectl explain`.

export type Schema = {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly format?: string;
  readonly title?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-validations'?: readonly unknown[];
};

type More = Partial<Schema>;

export const text = (more: More = {}): Schema => ({ type: 'string', ...more });
export const integer = (more: More = {}): Schema => ({ type: 'integer', ...more });
export const flag = (more: More = {}): Schema => ({ type: 'boolean', ...more });
export const oneOf = (choices: readonly string[], more: More = {}): Schema => ({
  type: 'string',
  enum: choices,
  ...more,
});
export const time = (more: More = {}): Schema => ({
  type: 'string',
  format: 'date-time',
  nullable: true,
  ...more,
});
export const intOrString = (more: More = {}): Schema => ({
  'x-kubernetes-int-or-string': true,
  ...more,
});
/** A part of an object whose fields this server stores as they come. */
export const anything = (more: More = {}): Schema => ({
  type: 'object',
  'x-kubernetes-preserve-unknown-fields': true,
  ...more,
});
export const object = (
  properties: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
  more: More = {},
): Schema => ({
  type: 'object',
  properties,
  ...(required.length > 0 ? { required } : {}),
  ...more,
});
export const mapOf = (value: Schema, more: More = {}): Schema => ({
  type: 'object',
  additionalProperties: value,
  ...more,
});
/** A list replaced as a whole by every kind of patch. */
export const list = (items: Schema, more: More = {}): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'atomic',
  ...more,
});
export const setOf = (items: Schema, more: More = {}): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'set',
  'x-kubernetes-patch-strategy': 'merge',
  ...more,
});
/** A list whose members are told apart by `keys`; strategic merge knows one key, the first unless `mergeKey` says otherwise. */
export const keyedList = (
  keys: readonly [string, ...string[]],
  items: Schema,
  more: More = {},
): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': keys,
  'x-kubernetes-patch-merge-key': keys[0],
  'x-kubernetes-patch-strategy': 'merge',
  ...more,
});
/** A list merged by strategic merge patch, but replaced as a whole by server-side apply. */
export const mergeList = (key: string, items: Schema, more: More = {}): Schema => ({
  type: 'array',
  items,
  'x-kubernetes-list-type': 'atomic',
  'x-kubernetes-patch-merge-key': key,
  'x-kubernetes-patch-strategy': 'merge',
  ...more,
});
