// How large each ReplicaSet of a Deployment shall be next: pure arithmetic over sizes, asked by deployment.ts.
// Invariant of a rolling update: never more than desired + surge pods wanted, never fewer than desired - unavailable
// available, as far as the availability reported so far allows.

import type { DeploymentSpec } from './objects.ts';
import { resolveCount } from './status.ts';

/** One ReplicaSet, as far as sizes go. */
export type Sized = {
  readonly uid: string;
  readonly wanted: number;
  readonly available: number;
  /** The surge-included bound it was last scaled under; 0 when unknown. */
  readonly bound: number;
};

export type Sizes = ReadonlyMap<string, number>;

export type Bounds = {
  readonly desired: number;
  readonly surge: number;
  readonly unavailable: number;
};

export function boundsOf(spec: DeploymentSpec): Bounds {
  const desired = spec.replicas ?? 1;
  if (spec.strategy?.type === 'Recreate') return { desired, surge: 0, unavailable: desired };
  const { maxSurge = '25%', maxUnavailable = '25%' } = spec.strategy?.rollingUpdate ?? {};
  const surge = resolveCount(maxSurge, desired, 'up');
  const unavailable = resolveCount(maxUnavailable, desired, 'down');
  // with neither there would be no step to take
  if (surge === 0 && unavailable === 0) return { desired, surge, unavailable: 1 };
  return { desired, surge, unavailable: Math.min(unavailable, desired) };
}

/** One step of a rolling update; `old` are ordered from oldest to newest. */
export function rollingStep(bounds: Bounds, current: Sized, old: readonly Sized[]): Sizes {
  const { desired, surge, unavailable } = bounds;
  const total = sum([current, ...old], (set) => set.wanted);
  const growth = Math.min(desired - current.wanted, desired + surge - total);
  if (current.wanted > desired) return new Map([[current.uid, desired]]);
  if (growth > 0) return new Map([[current.uid, current.wanted + growth]]);

  const minAvailable = desired - unavailable;
  const notYet = current.wanted - Math.min(current.available, current.wanted);
  let budget = total - minAvailable - notYet;
  const sizes = new Map<string, number>();
  // what is broken goes first: it serves nobody
  for (const set of old) {
    const broken = set.wanted - Math.min(set.available, set.wanted);
    const gone = Math.max(0, Math.min(broken, budget));
    if (gone === 0) continue;
    sizes.set(set.uid, set.wanted - gone);
    budget -= gone;
  }
  const available = sum([current, ...old], (set) => Math.min(set.available, set.wanted));
  budget = Math.min(budget, available - minAvailable);
  for (const set of old) {
    const size = sizes.get(set.uid) ?? set.wanted;
    const gone = Math.max(0, Math.min(size, budget));
    if (gone === 0) continue;
    sizes.set(set.uid, size - gone);
    budget -= gone;
  }
  return sizes;
}

export function recreateStep(
  bounds: Bounds,
  current: Sized | undefined,
  old: readonly Sized[],
  oldPodsLeft: boolean,
): Sizes {
  const running = old.filter((set) => set.wanted > 0);
  if (running.length > 0) return new Map(running.map((set) => [set.uid, 0]));
  if (current === undefined || oldPodsLeft) return new Map();
  return new Map([[current.uid, bounds.desired]]);
}

/** After `replicas` changed in the middle of a rollout: every set grows or shrinks in proportion. */
export function proportionalStep(bounds: Bounds, sets: readonly Sized[]): Sizes {
  const active = sets.filter((set) => set.wanted > 0);
  const [only] = active.length === 0 ? sets.slice(-1) : active;
  if (only === undefined) return new Map();
  if (active.length <= 1) return new Map([[only.uid, bounds.desired]]);
  const allowed = bounds.desired === 0 ? 0 : bounds.desired + bounds.surge;
  let left = allowed - sum(active, (set) => set.wanted);
  const sizes = new Map<string, number>();
  const bySize = active.toSorted((a, b) => b.wanted - a.wanted);
  for (const set of bySize) {
    const share = Math.round((set.wanted * allowed) / Math.max(set.bound, 1)) - set.wanted;
    const step = left > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left));
    sizes.set(set.uid, set.wanted + step);
    left -= step;
  }
  // what rounding left over goes to the largest, and below zero to nobody
  for (const set of bySize) {
    const size = sizes.get(set.uid) ?? 0;
    const rest = Math.max(-size, left);
    sizes.set(set.uid, size + rest);
    left -= rest;
  }
  return sizes;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
