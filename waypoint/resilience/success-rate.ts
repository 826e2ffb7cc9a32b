// Which endpoints succeed markedly less often than the others of their service. A pure decision over one interval's
// counts, made by outlier.ts.

import type { SuccessRate } from '../../mesh/traffic-policy.ts';

export type RequestCounts = {
  readonly endpoint: string;
  readonly total: number;
  readonly successes: number;
};

/** Those below mean - factor x standard deviation; nobody while too few have had enough requests to be compared. */
export function successRateOutliers(
  counts: readonly RequestCounts[],
  { minimumHosts, requestVolume, stdevFactor }: SuccessRate,
): readonly string[] {
  const judged = counts.filter(({ total }) => total > 0 && total >= requestVolume);
  if (judged.length === 0 || judged.length < minimumHosts) return [];
  const rates = judged.map(({ total, successes }) => (100 * successes) / total);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  const threshold = mean - (stdevFactor / 1000) * Math.sqrt(variance);
  return judged
    .filter((_, index) => (rates[index] ?? 100) < threshold)
    .map(({ endpoint }) => endpoint);
}
