// Writes what became of users' objects into their `status.conditions`, and into the conditions of its parts, by server-side
// apply, so that conditions of others stay as they are. Called by app.ts after each translation with everything there is to
// say; paced-writer.ts says when.

import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { apiVersionOf } from '../../runtime/kubernetes/resources.ts';
import type { Finding, Outcome, PartOutcome } from '../translate/outcome.ts';
import { conditionOf, says, timeText } from './condition.ts';
import { PacedWriter, type StatusWriterParts, type Writing, type Written } from './paced-writer.ts';

type Conditioned = { readonly conditions?: readonly Condition[] };
type Status = Readonly<Record<string, unknown>> & Conditioned;
type WithStatus = KubeObject & { readonly status?: Status };
/** A member of a list of status that has conditions of its own. */
type StatusPart = Status & { readonly name: string };
type WrittenStatus = Written & { readonly status: Status };

const FIELD_MANAGER = 'ambit-control-plane';
/** Only the kinds of our own have a place for the generation besides the one in each condition. */
const OWN_GROUP = /(^|\.)ambit-mesh\.io$/;

export class ConditionWriter extends PacedWriter<Outcome, WrittenStatus> {
  constructor(parts: StatusWriterParts) {
    super(parts, writingOf(parts));
  }
}

function writingOf({ client, clock }: StatusWriterParts): Writing<Outcome, WrittenStatus> {
  return {
    textOf,
    holds,
    async write(outcome, written) {
      const { resource, object } = outcome;
      const { name = '', namespace, uid, resourceVersion } = object.metadata;
      const known = written?.status ?? (object as WithStatus).status ?? {};
      const status = statusOf(outcome, known, timeText(clock.now()));
      const body: WithStatus = {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        // the UID makes the write fail when the object was made anew meanwhile
        metadata: {
          name,
          ...(uid === undefined ? {} : { uid }),
          ...(namespace === undefined ? {} : { namespace }),
        },
        status,
      };
      try {
        await client.apply(resource, body, {
          fieldManager: FIELD_MANAGER,
          force: true,
          subresource: 'status',
        });
      } catch (error) {
        const answer = error instanceof KubeError ? error.status : 0;
        if (answer === 404 || answer === 409) return undefined;
        throw error;
      }
      return { status, text: textOf(outcome), over: resourceVersion };
    },
  };
}

function statusOf(
  { resource, object, findings, fields, parts = {} }: Outcome,
  known: Status,
  now: string,
): Status {
  const { generation } = object.metadata;
  const stamped = (all: readonly Finding[], before: readonly Condition[] = []): Condition[] =>
    all.map((finding) => conditionOf(finding, before, generation, now));
  const lists = Object.entries(parts).map(([name, members]) => [
    name,
    members.map((member) => {
      const before = partsIn(known, name).find((part) => part.name === member.name);
      const conditions = stamped(member.findings, before?.conditions);
      return { ...member.fields, name: member.name, conditions };
    }),
  ]);
  return {
    ...fields,
    ...Object.fromEntries(lists),
    ...(generation === undefined || !OWN_GROUP.test(resource.group)
      ? {}
      : { observedGeneration: generation }),
    conditions: stamped(findings, known.conditions),
  };
}

function partsIn(status: Status, name: string): readonly StatusPart[] {
  return (status[name] ?? []) as readonly StatusPart[];
}

/** Whether the object's status says so already. */
function holds({ object, findings, fields = {}, parts = {} }: Outcome): boolean {
  const present = (object as WithStatus).status ?? {};
  const { generation } = object.metadata;
  return (
    saysAll(findings, present, generation) &&
    holdsFields(fields, present) &&
    Object.entries(parts).every(([name, members]) =>
      holdsParts(members, partsIn(present, name), generation),
    )
  );
}

function saysAll(
  findings: readonly Finding[],
  { conditions = [] }: Conditioned,
  generation: number | undefined,
): boolean {
  return findings.every((finding) => says(conditions, finding, generation));
}

function holdsFields(fields: Readonly<Record<string, unknown>>, present: Status): boolean {
  return Object.entries(fields).every(
    // an API server gives keys back in its own order
    ([name, value]) => isDeepStrictEqual(present[name], value),
  );
}

function holdsParts(
  parts: readonly PartOutcome[],
  present: readonly StatusPart[],
  generation: number | undefined,
): boolean {
  return (
    parts.length === present.length &&
    parts.every(({ name, findings, fields }) => {
      const part = present.find((one) => one.name === name);
      return part !== undefined && saysAll(findings, part, generation) && holdsFields(fields, part);
    })
  );
}

function textOf({ object, findings, fields, parts }: Outcome): string {
  return JSON.stringify([object.metadata.generation, findings, fields, parts]);
}
