// Serves the OpenAPI documents, made once for each set of kinds: a definition of thousands of lines is read at every apply.

import { noSuchPath } from '../errors.ts';
import type { JsonObject } from '../object.ts';
import { openApiV2, openApiV3Group, openApiV3Root } from '../openapi/documents.ts';
import { encodeOpenApiV2 } from '../openapi/v2-protobuf.ts';
import type { KindRegistry } from '../registry.ts';

export type Document = { readonly bytes: Buffer; readonly type: string };

export class OpenApiDocuments {
  readonly #kinds: KindRegistry;
  #version = 0;
  #made = new Map<string, Document>();

  constructor(kinds: KindRegistry) {
    this.#kinds = kinds;
  }

  root(): Document {
    return this.#document('v3', () => json(openApiV3Root(this.#kinds.all())));
  }

  /** @throws StatusError 404 when the group version is not served */
  group(groupVersion: string): Document {
    return this.#document(`v3 ${groupVersion}`, () => {
      const document = openApiV3Group(this.#kinds.all(), groupVersion);
      if (document === undefined) throw noSuchPath();
      return json(document);
    });
  }

  v2(accept: string | undefined): Document {
    return this.#document(`v2 ${accept ?? ''}`, () =>
      encodeOpenApiV2(openApiV2(this.#kinds.all()), accept),
    );
  }

  #document(key: string, make: () => Document): Document {
    if (this.#version !== this.#kinds.version) {
      this.#version = this.#kinds.version;
      this.#made = new Map();
    }
    const made = this.#made.get(key) ?? make();
    // Accept headers are the client's own text: only a few forms are kept
    if (this.#made.size < MAX_DOCUMENTS) this.#made.set(key, made);
    return made;
  }
}

/** Documents kept: one a group version and a few forms of version 2. */
const MAX_DOCUMENTS = 200;

function json(document: JsonObject): Document {
  return { bytes: Buffer.from(JSON.stringify(document)), type: 'application/json' };
}
