// What every balancer of this folder is: a choice among candidates that are all as near and as healthy as each other, made
// by mesh/balance.ts and sieved by outlier.ts and health-check.ts. One balancer serves one service port (and subset).

import type { Endpoint } from '../../../mesh/balance.ts';

export type PickRequest = {
  /** Of what the request is kept in place by; undefined: of nothing. */
  readonly hash: number | undefined;
  /** Workloads that were tried before, by uid. */
  readonly avoid: ReadonlySet<string>;
};

export type Balancer = {
  /** undefined: every candidate is to be avoided, or has no weight. */
  pick(candidates: readonly Endpoint[], request: PickRequest): Endpoint | undefined;
};

/** Share of the traffic; 0 is never picked. */
export type WeightOf = (endpoint: Endpoint) => number;

export function withoutAvoided(
  candidates: readonly Endpoint[],
  { avoid }: PickRequest,
): readonly Endpoint[] {
  return avoid.size === 0
    ? candidates
    : candidates.filter(({ workload }) => !avoid.has(workload.uid));
}
