// Candidates with few words, and a generator of the same draws in every run. Used by tests of balancers.

import { parseIp } from '../../../mesh/address.ts';
import type { Endpoint } from '../../../mesh/balance.ts';
import { workloadOf } from '../../../mesh/test-arbitraries.ts';
import type { Balancer, PickRequest } from './balancer.ts';

export function endpoint(uid: string, capacity = 1): Endpoint {
  return {
    workload: workloadOf({ uid, capacity }),
    port: 80,
    reach: { by: 'address', ip: parseIp('10.0.0.1') },
  };
}

export function endpoints(count: number): Endpoint[] {
  return Array.from({ length: count }, (_, index) => endpoint(`e${index}`));
}

export function uidOf(picked: Endpoint | undefined): string {
  return picked?.workload.uid ?? 'nobody';
}

export const ANYONE: PickRequest = { hash: undefined, avoid: new Set() };

export function generator(seed = 7): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** How often each is picked. */
export function countsOf(
  balancer: Balancer,
  candidates: readonly Endpoint[],
  picks: number,
  requestOf: (index: number) => PickRequest = () => ANYONE,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < picks; i++) {
    const uid = uidOf(balancer.pick(candidates, requestOf(i)));
    counts[uid] = (counts[uid] ?? 0) + 1;
  }
  return counts;
}
