// Writes what became of a route into its `status.parents`, of a policy into its `status.ancestors`: one entry for each of ours. The list is one value to the
// API server and other controllers have entries in it too, so it is read, changed and written over what was read; when
// somebody was quicker, again. Called by app.ts after each translation; paced-writer.ts says when.
// Invariant: entries of other controllers, and conditions that are not ours, stay as they are; what is said of a newer
// generation is never replaced by something older.

import { isDeepStrictEqual } from 'node:util';
import { CONTROLLER_NAME } from '../../mesh/waypoint.ts';
import type { BackendTlsPolicy } from '../../runtime/kubernetes/backend-tls-objects.ts';
import { KubeError } from '../../runtime/kubernetes/client.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
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
    super(parts, writingOf(parts, PARENTS));
  }
}

/** Its outcomes have ancestors in the place of parents. */
export class PolicyAncestorWriter extends PacedWriter<RouteOutcome, Written> {
  constructor(parts: StatusWriterParts) {
    super(parts, writingOf(parts, ANCESTORS));
  }
}

/** Where in a status the entries are, and under which name they say whom they are about. */
type Entries = {
  readonly of: (object: KubeObject) => readonly RouteParentStatus[];
  readonly into: (object: KubeObject, entries: readonly RouteParentStatus[]) => KubeObject;
};

const PARENTS: Entries = {
  of: (object) => (object as RouteObject).status?.parents ?? [],
  into: (object, parents) => {
    const { status } = object as RouteObject;
    return { ...object, status: { ...status, parents } } as RouteObject;
  },
};

const ANCESTORS: Entries = {
  of: (object) =>
    ((object as BackendTlsPolicy).status?.ancestors ?? []).map(({ ancestorRef, ...rest }) => ({
      ...rest,
      parentRef: ancestorRef,
    })),
  into: (object, entries) => {
    const ancestors = entries.map(({ parentRef, ...rest }) => ({
      ancestorRef: parentRef,
      ...rest,
    }));
    const policy = object as BackendTlsPolicy;
    return { ...policy, status: { ...policy.status, ancestors } } satisfies BackendTlsPolicy;
  },
};

function writingOf(
  { client, clock }: StatusWriterParts,
  entries: Entries,
): Writing<RouteOutcome, Written> {
  const presentOf = entries.of;
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
        const newest = await client.get<KubeObject>(resource, name, namespace);
        if (newest === undefined || newest.metadata.uid !== uid) return undefined;
        const present = presentOf(newest);
        // another spec by now: what is to be said of that one comes with the next translation
        if (newest.metadata.generation !== generation || isSuperseded(present, generation)) {
          return done;
        }
        const parents = nextParents(present, outcome.parents, generation, timeText(clock.now()));
        try {
          await client.update(resource, entries.into(newest, parents), 'status');
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

function textOf({ object, parents }: RouteOutcome): string {
  return JSON.stringify([object.metadata.generation, parents]);
}
