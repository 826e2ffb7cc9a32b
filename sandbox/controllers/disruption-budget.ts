// PodDisruptionBudget: how many of the selected pods may be evicted now. Evictions read it; nobody else does.

import { DISRUPTION_BUDGETS, PODS } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { DisruptionBudget, Pod } from './objects.ts';
import { type Controller, itself, keyOf, NOTHING, nameOf, type Plan } from './plan.ts';
import { isActive, isReady } from './pods.ts';
import { matchesSelector } from './selector.ts';
import { resolveCount, statusActions, withCondition } from './status.ts';

export const disruptionBudgets: Controller = {
  name: 'disruption-controller',
  watches: [
    { resource: DISRUPTION_BUDGETS, keys: itself },
    {
      resource: PODS,
      keys: (pod, observed) =>
        observed
          .list<DisruptionBudget>(DISRUPTION_BUDGETS, pod.metadata.namespace)
          .filter((budget) => matchesSelector(budget.spec?.selector, pod.metadata.labels))
          .map(keyOf),
    },
  ],
  reconcile: reckon,
};

export function reckon(key: string, observed: Observed, now: number): Plan {
  const { namespace, name } = nameOf(key);
  const budget = observed.get<DisruptionBudget>(DISRUPTION_BUDGETS, name, namespace);
  if (budget === undefined) return NOTHING;
  const pods = observed
    .list<Pod>(PODS, namespace)
    .filter((pod) => matchesSelector(budget.spec?.selector, pod.metadata.labels))
    .filter(isActive);
  const expectedPods = pods.length;
  const currentHealthy = pods.filter(isReady).length;
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const desiredHealthy =
    maxUnavailable === undefined
      ? resolveCount(minAvailable ?? 1, expectedPods, 'up')
      : Math.max(0, expectedPods - resolveCount(maxUnavailable, expectedPods, 'up'));
  const disruptionsAllowed = Math.max(0, expectedPods === 0 ? 0 : currentHealthy - desiredHealthy);
  const allowed = disruptionsAllowed > 0;
  const conditions = withCondition(
    budget.status?.['conditions'] as undefined,
    {
      type: 'DisruptionAllowed',
      status: allowed ? 'True' : 'False',
      reason: allowed ? 'SufficientPods' : 'InsufficientPods',
      observedGeneration: budget.metadata.generation ?? 0,
    },
    now,
  );
  const status = {
    ...budget.status,
    expectedPods,
    currentHealthy,
    desiredHealthy,
    disruptionsAllowed,
    observedGeneration: budget.metadata.generation ?? 0,
    conditions,
  };
  return { actions: statusActions(DISRUPTION_BUDGETS, budget, status) };
}
