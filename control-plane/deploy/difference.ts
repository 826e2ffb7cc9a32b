// Has an object what it should have? Whoever else writes it may add; an API server fills in defaults. Pure. Asked by
// deployer.ts before it writes anything.

import type { KubeObject } from '../../runtime/kubernetes/objects.ts';

/** Whether `present` says all that `wanted` says; of lists, member by member in the same order. */
export function says(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(present) &&
      present.length === wanted.length &&
      wanted.every((member, index) => says(present[index], member))
    );
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof present !== 'object' || present === null) return false;
    const fields = present as Readonly<Record<string, unknown>>;
    return Object.entries(wanted).every(([key, value]) => says(fields[key], value));
  }
  return present === wanted;
}

/** What people and controllers write of an object, as text; not its status, nor what every write moves. */
export function contentOf(object: KubeObject): string {
  const { metadata, status: _, ...rest } = object as KubeObject & { readonly status?: unknown };
  const { labels, annotations, ownerReferences, uid, deletionTimestamp } = metadata;
  return JSON.stringify([{ labels, annotations, ownerReferences, uid, deletionTimestamp }, rest]);
}
