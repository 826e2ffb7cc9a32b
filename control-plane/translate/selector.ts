// Label selectors of policies: equality of every label, as the reference's WorkloadSelector has it.

import type { KubeObject } from '../../runtime/kubernetes/objects.ts';

export type WorkloadSelector = { readonly matchLabels?: Readonly<Record<string, string>> };

/** No selector, or an empty one, selects everything in the policy's scope. */
export function isUnselective(selector: WorkloadSelector | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length === 0;
}

export function selects(selector: WorkloadSelector, object: KubeObject): boolean {
  const labels = object.metadata.labels ?? {};
  return Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
}
