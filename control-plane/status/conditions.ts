// Writes what became of users' objects into their `status.conditions`, by server-side apply, so that conditions of others
// stay as they are. Called by app.ts after each translation with everything there is to say; paced-writer.ts says when.

import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { apiVersionOf } from '../../runtime/kubernetes/resources.ts';
import type { Outcome } from '../translate/outcome.ts';
import { conditionOf, says, timeText } from './condition.ts';
import { PacedWriter, type StatusWriterParts, type Writing, type Written } from './paced-writer.ts';

type WithStatus = KubeObject & {
  readonly status?: Readonly<Record<string, unknown>> & {
    readonly conditions?: readonly Condition[];
  };
};
type WrittenConditions = Written & { readonly conditions: readonly Condition[] };

const FIELD_MANAGER = 'ambit-control-plane';

export class ConditionWriter extends PacedWriter<Outcome, WrittenConditions> {
  constructor(parts: StatusWriterParts) {
    super(parts, writingOf(parts));
  }
}

function writingOf({ client, clock }: StatusWriterParts): Writing<Outcome, WrittenConditions> {
  return {
    textOf,
    holds,
    async write(outcome, written) {
      const { resource, object, findings, fields } = outcome;
      const { name = '', namespace, uid, generation, resourceVersion } = object.metadata;
      const known = written?.conditions ?? (object as WithStatus).status?.conditions ?? [];
      const now = timeText(clock.now());
      const conditions = findings.map((finding) => conditionOf(finding, known, generation, now));
      const body: WithStatus = {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        // the UID makes the write fail when the object was made anew meanwhile
        metadata: {
          name,
          ...(uid === undefined ? {} : { uid }),
          ...(namespace === undefined ? {} : { namespace }),
        },
        status: {
          ...fields,
          ...(generation === undefined ? {} : { observedGeneration: generation }),
          conditions,
        },
      };
      try {
        await client.apply(resource, body, {
          fieldManager: FIELD_MANAGER,
          force: true,
          subresource: 'status',
        });
      } catch (error) {
        const status = error instanceof KubeError ? error.status : 0;
        if (status === 404 || status === 409) return undefined;
        throw error;
      }
      return { conditions, text: textOf(outcome), over: resourceVersion };
    },
  };
}

/** Whether the object's status says so already. */
function holds({ object, findings, fields }: Outcome): boolean {
  const present = (object as WithStatus).status ?? {};
  const { generation } = object.metadata;
  return (
    findings.every((finding) => says(present.conditions ?? [], finding, generation)) &&
    Object.entries(fields ?? {}).every(
      // an API server gives keys back in its own order
      ([name, value]) => isDeepStrictEqual(present[name], value),
    )
  );
}

function textOf({ object, findings, fields }: Outcome): string {
  return JSON.stringify([object.metadata.generation, findings, fields]);
}
