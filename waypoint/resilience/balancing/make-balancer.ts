// The balancer a policy asks for. Called by the waypoint, once for each service port (and subset) it sends requests to,
// and again when the policy's loadBalancing changes; loads and warmth stay.

import type { Endpoint } from '../../../mesh/balance.ts';
import type { RequestBalancing } from '../../../mesh/traffic-policy.ts';
import type { Balancer } from './balancer.ts';
import type { EndpointLoads } from './endpoint-loads.ts';
import { leastOfTwo } from './least-of-two.ts';
import { maglev } from './maglev.ts';
import { randomChoice } from './random-choice.ts';
import { ringHash } from './ring-hash.ts';
import { roundRobin } from './round-robin.ts';
import type { WarmUp } from './slow-start.ts';

export type BalancerParts = {
  readonly loads: EndpointLoads;
  readonly warmUp: WarmUp;
  /** 0 <= random() < 1. */
  readonly random: () => number;
};

export function makeBalancer(
  { algorithm }: Pick<RequestBalancing, 'algorithm'>,
  { loads, warmUp, random }: BalancerParts,
): Balancer {
  const capacityOf = ({ workload }: Endpoint): number => workload.capacity;
  const weightOf = (endpoint: Endpoint): number =>
    capacityOf(endpoint) * warmUp.factor(endpoint.workload.uid);
  switch (algorithm) {
    case 'least-request':
      return leastOfTwo(({ workload }) => loads.active(workload.uid), weightOf, random);
    case 'peak-ewma':
      return leastOfTwo(({ workload }) => loads.cost(workload.uid), weightOf, random);
    case 'round-robin':
      return roundRobin(weightOf, random);
    case 'random':
      return randomChoice(weightOf, random);
    case 'ring-hash':
      return ringHash(randomChoice(capacityOf, random));
    case 'maglev':
      return maglev(randomChoice(capacityOf, random));
  }
}
