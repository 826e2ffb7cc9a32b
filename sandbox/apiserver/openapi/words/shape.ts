// The shape of what people read about a kind. Filled in by the files beside this one, put together in words.ts.

/** By the end of a definition's name: `core.v1.Container`. */
export type Words = Readonly<Record<string, DefinitionWords>>;
export type DefinitionWords = {
  readonly is: string;
  readonly fields: Readonly<Record<string, FieldWords>>;
};
/** With the name of its definition, for a field (or the items of a list) that has one. */
export type FieldWords = string | { readonly is: string; readonly type: string };
