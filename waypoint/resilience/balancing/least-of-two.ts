// Of two candidates drawn by weight, the one that is cheaper by its size: so load evens out without all waypoints running
// after the same idle endpoint. What is cheap is said by who makes it: requests under way (least-request), or those times
// the latency they take (peak-ewma).

import type { Endpoint } from '../../../mesh/balance.ts';
import { drawWeighted } from '../../../mesh/weighted-draw.ts';
import { type Balancer, type WeightOf, withoutAvoided } from './balancer.ts';

export function leastOfTwo(
  costOf: (endpoint: Endpoint) => number,
  weightOf: WeightOf,
  random: () => number,
): Balancer {
  const share = (endpoint: Endpoint): number => costOf(endpoint) / weightOf(endpoint);
  return {
    pick(candidates, request) {
      const usable = withoutAvoided(candidates, request);
      const first = drawWeighted(usable, weightOf, random);
      if (first === undefined) return undefined;
      const second = drawWeighted(usable, weightOf, random, first) ?? first;
      return share(second) < share(first) ? second : first;
    },
  };
}
