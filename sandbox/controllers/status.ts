// Conditions and status updates: set without touching what did not change, so that an unchanged object is not written.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import { same } from './hash.ts';
import type { Condition, IntOrPercent, KubeObject } from './objects.ts';
import type { Action } from './plan.ts';

export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The conditions with this one set; its transition time moves only when its status does. */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  wanted: Omit<Condition, 'lastTransitionTime'>,
  now: number,
): readonly Condition[] {
  const others = (conditions ?? []).filter((condition) => condition.type !== wanted.type);
  const former = (conditions ?? []).find((condition) => condition.type === wanted.type);
  const lastTransitionTime =
    former !== undefined &&
    former.status === wanted.status &&
    former.lastTransitionTime !== undefined
      ? former.lastTransitionTime
      : timestamp(now);
  return [...others, { ...wanted, lastTransitionTime }];
}

/** The action that writes this status, or none when it is what is there. */
export function statusActions(
  resource: Resource,
  object: KubeObject & { readonly status?: unknown },
  status: Readonly<Record<string, unknown>>,
): readonly Action[] {
  if (same(sorted(object.status ?? {}), sorted(status))) return [];
  const updated = { ...object, status };
  return [{ verb: 'update', resource, object: updated, subresource: 'status' }];
}

// a server may drop zero counts and empty lists; to us they are the same as absent
function sorted(status: unknown): unknown {
  const fields = Object.entries(status as Record<string, unknown>).map(([key, value]) => {
    if (value === 0 || value === '' || (Array.isArray(value) && value.length === 0)) {
      return [key, undefined] as const;
    }
    if (key !== 'conditions' || !Array.isArray(value)) return [key, value] as const;
    const byType = (value as Condition[]).toSorted((a, b) => (a.type < b.type ? -1 : 1));
    return [key, byType] as const;
  });
  return Object.fromEntries(fields);
}

/** A count from `25%` or a number, of `total`. */
export function resolveCount(
  value: IntOrPercent | undefined,
  total: number,
  round: 'up' | 'down',
): number {
  if (value === undefined) return 0;
  if (typeof value === 'number') return value;
  const share = (total * Number(value.replace(/%$/, ''))) / 100;
  return round === 'up' ? Math.ceil(share) : Math.floor(share);
}
