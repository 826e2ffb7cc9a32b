// Definitions: schemas with a name of their own, as OpenAPI documents refer to them (`io.k8s.api.core.v1.Container`).
// Name and description stand in `title`, which the documents of openapi/ turn into a definition and a `$ref`.

import { object, type Schema } from '../../schema.ts';

type Fields = Readonly<Record<string, Schema>>;

export type Definer = (
  name: string,
  description: string,
  fields: Fields,
  required?: readonly string[],
  more?: Partial<Schema>,
) => Schema;

/** Makes definitions of one group version, e.g. `definer('core.v1')`. */
export function definer(groupVersion: string): Definer {
  return (name, description, fields, required = [], more = {}) =>
    object(fields, required, {
      title: formatTitle({ name: `io.k8s.api.${groupVersion}.${name}`, description }),
      description,
      ...more,
    });
}

/** A field of a defined type with words, and perhaps a default, of its own. */
export function field(type: Schema, description: string, more: Partial<Schema> = {}): Schema {
  return { ...type, ...more, description };
}

type Definition = { readonly name: string; readonly description: string };

export function formatTitle({ name, description }: Definition): string {
  return `${name}: ${description}`;
}

/** Undefined for a title that is no definition's. */
export function parseTitle(title: string): Definition | undefined {
  const match = /^(io\.k8s\.[^ ]+): (.*)$/s.exec(title);
  return match === null ? undefined : { name: match[1] ?? '', description: match[2] ?? '' };
}
