// What people read about the built-in kinds: a sentence for each definition and field, and the names that OpenAPI
// documents give to parts of objects. The schemas themselves are in ../../schemas; a test finds words without a field.

import type { Schema } from '../../schema.ts';
import { CONTAINER_WORDS } from './containers.ts';
import { CORE_WORDS } from './core.ts';
import { GROUP_WORDS } from './groups.ts';
import { POD_WORDS } from './pods.ts';
import type { FieldWords, Words } from './shape.ts';
import { VOLUME_WORDS } from './volumes.ts';
import { WORKLOAD_WORDS } from './workloads.ts';

export const WORDS: Words = {
  ...POD_WORDS,
  ...CONTAINER_WORDS,
  ...VOLUME_WORDS,
  ...CORE_WORDS,
  ...WORKLOAD_WORDS,
  ...GROUP_WORDS,
};

const PREFIX = 'io.k8s.api.';

/** The schema of a definition with the words there are for it; unchanged when there are none. */
export function withWords(schema: Schema, name: string, words: Words = WORDS): Schema {
  const known = Object.hasOwn(words, name) ? words[name] : undefined;
  if (known === undefined || schema.properties === undefined) return schema;
  const properties = Object.entries(schema.properties).map(([field, part]): [string, Schema] => {
    const said = Object.hasOwn(known.fields, field) ? known.fields[field] : undefined;
    return [field, said === undefined ? part : fieldWithWords(part, said, words)];
  });
  return { ...schema, description: known.is, properties: Object.fromEntries(properties) };
}

function fieldWithWords(schema: Schema, said: FieldWords, words: Words): Schema {
  if (typeof said === 'string') return { ...schema, description: said };
  const named = (part: Schema): Schema => ({
    ...withWords(part, said.type, words),
    title: formatTitle({
      name: `${PREFIX}${said.type}`,
      description: words[said.type]?.is ?? said.is,
    }),
  });
  if (schema.items !== undefined) {
    return { ...schema, description: said.is, items: named(schema.items) };
  }
  if (typeof schema.additionalProperties === 'object') {
    const additionalProperties = named(schema.additionalProperties);
    return { ...schema, description: said.is, additionalProperties };
  }
  return { ...named(schema), description: said.is };
}

type Definition = { readonly name: string; readonly description: string };

/** A definition's name and description stand in its schema's `title` until ../definitions.ts makes a `$ref` of it. */
export function formatTitle({ name, description }: Definition): string {
  return `${name}: ${description}`;
}

/** Undefined for a title that is no definition's. */
export function parseTitle(title: string): Definition | undefined {
  const match = /^(io\.k8s\.[^ ]+): (.*)$/s.exec(title);
  return match === null ? undefined : { name: match[1] ?? '', description: match[2] ?? '' };
}
