// Garbage collection by owner references: dependents of what is gone are deleted; `foreground` keeps an owner until its
// blocking dependents are gone; `orphan` lets them go. Absence is checked against the live API before each deletion.

import type { Held, Observed } from './caches.ts';
import type { KubeObject } from './objects.ts';
import { type Action, type Controller, NOTHING, type Plan } from './plan.ts';
import { isTerminating } from './pods.ts';
import { resourceOfOwner } from './resources.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

// an owner that our watches do not show but the live API does: ask again soon
const RECHECK_MS = 2000;

export const garbage: Controller = {
  name: 'garbage-collector',
  watches: [],
  // the object itself, those that depend on it, and those it depends on (they may wait for its end)
  everything: (_resource, object, observed) => {
    const { uid = '', ownerReferences = [] } = object.metadata;
    const dependents = observed.ownedBy(uid).map(({ object: one }) => one.metadata.uid ?? '');
    return [...new Set([uid, ...dependents, ...ownerReferences.map((owner) => owner.uid)])];
  },
  reconcile: collect,
};

/** The key is a uid: names are reused, uids are not. */
export function collect(uid: string, observed: Observed): Plan {
  const held = observed.byUid(uid);
  if (held === undefined) return NOTHING;
  const { metadata } = held.object;
  if (isTerminating(held.object)) {
    const finalizers = metadata.finalizers ?? [];
    if (finalizers.includes(ORPHAN)) return orphanDependents(held, observed);
    if (finalizers.includes(FOREGROUND)) return awaitDependents(held, observed);
    return NOTHING;
  }
  const owners = metadata.ownerReferences ?? [];
  if (owners.length === 0) return NOTHING;
  const standing = owners.map((owner) => observed.byUid(owner.uid));
  const known = observed.resources();
  // an owner of a kind nobody watches cannot be judged
  if (owners.some((owner) => resourceOfOwner(owner, known) === undefined)) return NOTHING;
  const absent = owners.filter((_owner, index) => standing[index] === undefined);
  if (absent.length === owners.length) {
    return { actions: [remove(held, observed, { unless: owners })], againInMs: RECHECK_MS };
  }
  const leaving = standing.filter((owner) => owner !== undefined && isInForeground(owner.object));
  if (leaving.length > 0 && leaving.length + absent.length === owners.length) {
    return { actions: [remove(held, observed, {})] };
  }
  return NOTHING;
}

function isInForeground(owner: KubeObject): boolean {
  return isTerminating(owner) && (owner.metadata.finalizers ?? []).includes(FOREGROUND);
}

function awaitDependents(held: Held, observed: Observed): Plan {
  const dependents = observed.ownedBy(held.object.metadata.uid ?? '');
  const blocking = dependents.filter(({ object }) =>
    object.metadata.ownerReferences?.some(
      (owner) => owner.uid === held.object.metadata.uid && owner.blockOwnerDeletion === true,
    ),
  );
  if (blocking.length === 0) return { actions: [withoutFinalizer(held, FOREGROUND)] };
  const actions = dependents
    .filter(({ object }) => !isTerminating(object))
    .filter(({ object }) => ownersAllLeaving(object, observed))
    .map((dependent) => remove(dependent, observed, {}));
  return { actions };
}

function ownersAllLeaving(object: KubeObject, observed: Observed): boolean {
  return (object.metadata.ownerReferences ?? []).every((owner) => {
    const found = observed.byUid(owner.uid);
    return found === undefined || isInForeground(found.object);
  });
}

function orphanDependents(held: Held, observed: Observed): Plan {
  const { uid = '' } = held.object.metadata;
  const freed = observed.ownedBy(uid).map(({ resource, object }): Action => {
    const ownerReferences = object.metadata.ownerReferences?.filter((owner) => owner.uid !== uid);
    const metadata = { ...object.metadata, ownerReferences: ownerReferences ?? [] };
    return { verb: 'update', resource, object: { ...object, metadata } };
  });
  return { actions: [...freed, withoutFinalizer(held, ORPHAN)] };
}

function withoutFinalizer({ resource, object }: Held, finalizer: string): Action {
  const finalizers = (object.metadata.finalizers ?? []).filter((one) => one !== finalizer);
  const metadata = { ...object.metadata, finalizers };
  return { verb: 'update', resource, object: { ...object, metadata } };
}

function remove(
  { resource, object }: Held,
  observed: Observed,
  extra: Pick<Extract<Action, { verb: 'delete' }>, 'unless'>,
): Action {
  const { uid = '', ownerReferences = [] } = object.metadata;
  const foreground = ownerReferences.some((owner) => {
    const found = observed.byUid(owner.uid);
    return found !== undefined && isInForeground(found.object) && owner.blockOwnerDeletion === true;
  });
  // an owner waits for us: so we wait for those that hang on us
  const waits = foreground && observed.ownedBy(uid).length > 0;
  return {
    verb: 'delete',
    resource,
    object,
    propagation: waits ? 'Foreground' : 'Background',
    ...extra,
  };
}
