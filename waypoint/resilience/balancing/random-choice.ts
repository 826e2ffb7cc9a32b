// Any candidate, by weight. Also what ring-hash and maglev do with a request that has nothing to hash.

import { drawWeighted } from '../../../mesh/weighted-draw.ts';
import { type Balancer, type WeightOf, withoutAvoided } from './balancer.ts';

export function randomChoice(weightOf: WeightOf, random: () => number): Balancer {
  return {
    pick: (candidates, request) =>
      drawWeighted(withoutAvoided(candidates, request), weightOf, random),
  };
}
