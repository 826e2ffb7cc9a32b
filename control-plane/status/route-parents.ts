// Writes what became of a route into its `status.parents`: one entry for each parent of ours. The list is one value to the
// API server and other controllers have entries in it too, so it is read, changed and written over what was read; when
// somebody was quicker, again. Called by app.ts after each translation; paced-writer.ts says when.
// Invariant: entries of other controllers, and conditions that are not ours, stay as they are; what is said of a newer
// generation is never replaced by something older.

import { isDeepStrictEqual } from 'node:util';
import { CONTROLLER_NAME } from '../../mesh/waypoint.ts';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition } from '../../runtime/kubernetes/objects.ts';
import type { RouteObject, RouteParentStatus } from '../../runtime/kubernetes/route-objects.ts';
import type { ParentOutcome, RouteOutcome } from '../translate/routes/findings.ts';
import { conditionOf, says, timeText } from './condition.ts';
import { PacedWriter, type StatusWriterParts, type Writing, type Written } from './paced-writer.ts';

/** Types of ours: one that is not found any more goes, one of any other type stays. */
const OWN_TYPES: readonly string[] = ['Accepted', 'ResolvedRefs', 'PartiallyInvalid', 'Programmed'];
// Others write rarely; who loses as often as this waits for its next turn.
const MAX_CONFLICTS = 3;

export class RouteParentWriter extends PacedWriter<RouteOutcome, Written> {
  constructor(parts: StatusWriterParts) {
    super(parts, writingOf(parts));
  }
}

function writingOf({ client, clock }: StatusWriterParts): Writing<RouteOutcome, Written> {
  return {
    textOf,
    holds: ({ object, parents }) =>
      isSuperseded(presentOf(object), object.metadata.generation) ||
      saysAll(presentOf(object), parents, object.metadata.generation),
    async write(outcome) {
      const { resource, object } = outcome;
      const { name = '', namespace, uid, generation, resourceVersion } = object.metadata;
      const done: Written = { text: textOf(outcome), over: resourceVersion };
      for (let conflicts = 0; ; conflicts++) {
        const newest = await client.get<RouteObject>(resource, name, namespace);
        if (newest === undefined || newest.metadata.uid !== uid) return undefined;
        const present = presentOf(newest);
        // another spec by now: what is to be said of that one comes with the next translation
        if (newest.metadata.generation !== generation || isSuperseded(present, generation)) {
          return done;
        }
        const parents = nextParents(present, outcome.parents, generation, timeText(clock.now()));
        const body: RouteObject = { ...newest, status: { ...newest.status, parents } };
        try {
          await client.update<RouteObject>(resource, body, 'status');
          return done;
        } catch (error) {
          const status = error instanceof KubeError ? error.status : 0;
          if (status === 404) return undefined;
          if (status !== 409 || conflicts === MAX_CONFLICTS) throw error;
        }
      }
    },
  };
}

/** The list as it shall be: entries keep their places, new ones come last. */
export function nextParents(
  present: readonly RouteParentStatus[],
  wished: readonly ParentOutcome[],
  generation: number | undefined,
  now: string,
): RouteParentStatus[] {
  const entry = ({ parentRef, findings }: ParentOutcome): RouteParentStatus => {
    const known = present.find((one) => isOwn(one) && isDeepStrictEqual(one.parentRef, parentRef));
    const conditions = known?.conditions ?? [];
    return {
      parentRef,
      controllerName: CONTROLLER_NAME,
      conditions: [
        ...findings.map((finding) => conditionOf(finding, conditions, generation, now)),
        ...conditions.filter(({ type }) => !OWN_TYPES.includes(type)),
      ],
    };
  };
  const left = new Set(wished);
  const kept = present.flatMap((one): RouteParentStatus[] => {
    if (!isOwn(one)) return [one];
    const same = [...left].find(({ parentRef }) => isDeepStrictEqual(parentRef, one.parentRef));
    if (same === undefined) return [];
    left.delete(same);
    return [entry(same)];
  });
  return [...kept, ...[...left].map(entry)];
}

/** Whether exactly the wished entries of ours stand there, saying what they shall. */
function saysAll(
  present: readonly RouteParentStatus[],
  wished: readonly ParentOutcome[],
  generation: number | undefined,
): boolean {
  const own = present.filter(isOwn);
  return (
    own.length === wished.length &&
    wished.every(({ parentRef, findings }) => {
      const found = own.find((one) => isDeepStrictEqual(one.parentRef, parentRef));
      const conditions = (found?.conditions ?? []).filter(({ type }) => OWN_TYPES.includes(type));
      return (
        found !== undefined &&
        conditions.length === findings.length &&
        findings.every((finding) => says(conditions, finding, generation))
      );
    })
  );
}

/** A replica that is ahead of us has said something of a newer spec. */
function isSuperseded(
  present: readonly RouteParentStatus[],
  generation: number | undefined,
): boolean {
  const said = (conditions: readonly Condition[] = []): boolean =>
    conditions.some(({ observedGeneration = 0 }) => observedGeneration > (generation ?? 0));
  return present.some((one) => isOwn(one) && said(one.conditions));
}

function isOwn({ controllerName }: { readonly controllerName: string }): boolean {
  return controllerName === CONTROLLER_NAME;
}

function presentOf(object: RouteOutcome['object']): readonly RouteParentStatus[] {
  return (object as RouteObject).status?.parents ?? [];
}

function textOf({ object, parents }: RouteOutcome): string {
  return JSON.stringify([object.metadata.generation, parents]);
}
