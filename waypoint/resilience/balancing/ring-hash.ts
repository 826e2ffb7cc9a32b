// A ring on which each candidate has many points; a request goes to the first point at or after its hash. Invariant: when
// a candidate goes, only its own requests move, and when one comes, only those that become its; except where the lightest
// of unequal ones comes or goes, by which the others' points are counted.

import type { Endpoint } from '../../../mesh/balance.ts';
import type { Balancer } from './balancer.ts';
import { hash32 } from './hash.ts';
import { type Member, TableCache } from './table-cache.ts';

// ketama's: shares differ by some eight percent
const POINTS_EACH = 160;
// 16 MB; beyond it each candidate has fewer points, and shares differ more
const MAX_POINTS = 2 ** 20;
// position and owner share one float: 32 + 21 bits are exact
const OWNERS = 2 ** 21;

type Ring = {
  /** position x OWNERS + owner, ascending. */
  readonly points: Float64Array;
  readonly uids: readonly string[];
};

export function ringHash(otherwise: Balancer): Balancer {
  const rings = new TableCache(ringOf);
  return {
    pick(candidates, request) {
      if (request.hash === undefined) return otherwise.pick(candidates, request);
      const uid = ownerOf(rings.for(candidates), request.hash, request.avoid);
      return candidates.find((candidate: Endpoint) => candidate.workload.uid === uid);
    },
  };
}

function ringOf(members: readonly Member[]): Ring {
  const least = members.reduce((low, { weight }) => Math.min(low, weight), Infinity);
  const wanted = members.map(({ weight }) => Math.round((POINTS_EACH * weight) / least));
  const total = wanted.reduce((sum, count) => sum + count, 0);
  const scale = Math.min(1, MAX_POINTS / Math.max(1, total));
  const points: number[] = [];
  members.forEach(({ uid }, owner) => {
    const count = Math.max(1, Math.floor((wanted[owner] ?? 0) * scale));
    for (let i = 0; i < count; i++) points.push(hash32(`${uid}_${i}`) * OWNERS + owner);
  });
  return { points: Float64Array.from(points).sort(), uids: members.map(({ uid }) => uid) };
}

function ownerOf(
  { points, uids }: Ring,
  hash: number,
  avoid: ReadonlySet<string>,
): string | undefined {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((points[middle] ?? 0) < hash * OWNERS) low = middle + 1;
    else high = middle;
  }
  for (let step = 0; step < points.length; step++) {
    const uid = uids[(points[(low + step) % points.length] ?? 0) % OWNERS];
    if (uid !== undefined && !avoid.has(uid)) return uid;
  }
  return undefined;
}
