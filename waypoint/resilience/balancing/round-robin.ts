// Each candidate in its turn; one of twice the weight twice as often, evenly spread. By earliest deadline: whoever was
// picked is due again after 1 / weight. Invariant: turns are kept only of those that were candidates lately.

import { type Balancer, type WeightOf, withoutAvoided } from './balancer.ts';

// how many turns are kept besides those of the present candidates, before the past ones are dropped
const SPARE_TURNS = 64;

export function roundRobin(weightOf: WeightOf, random: () => number): Balancer {
  /** When each is due, by uid, in turns. */
  const due = new Map<string, number>();
  let now = 0;
  return {
    pick(candidates, request) {
      let picked: (typeof candidates)[number] | undefined;
      let earliest = Number.POSITIVE_INFINITY;
      for (const candidate of withoutAvoided(candidates, request)) {
        const { uid } = candidate.workload;
        const weight = weightOf(candidate);
        if (weight <= 0) continue;
        let at = due.get(uid);
        if (at === undefined) {
          // not all waypoints shall begin with the same one, nor run to one that is new
          at = now + random() / weight;
          due.set(uid, at);
        }
        // who was away for a while has no turns to make up for
        at = Math.max(at, now);
        if (at >= earliest) continue;
        earliest = at;
        picked = candidate;
      }
      if (picked === undefined) return undefined;
      now = earliest;
      due.set(picked.workload.uid, earliest + 1 / weightOf(picked));
      if (due.size > 2 * candidates.length + SPARE_TURNS) {
        for (const [uid, at] of due) if (at < now) due.delete(uid);
      }
      return picked;
    },
  };
}
