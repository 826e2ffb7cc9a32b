// Waypoints as rows of `ambit waypoint list` and `status`. Pure.

import { WAYPOINT_CLASS, type WaypointFor, waypointForOf } from '../../mesh/waypoint.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';

export type WaypointRow = {
  readonly namespace: string;
  readonly name: string;
  readonly for: WaypointFor;
  readonly programmed: 'True' | 'False' | 'Unknown';
  /** Of the condition Programmed, or of Accepted where that is what fails. */
  readonly reason: string;
  readonly message: string;
  readonly addresses: readonly string[];
};

export function isWaypoint({ spec }: Gateway): boolean {
  return spec.gatewayClassName === WAYPOINT_CLASS;
}

export function rowOf({ metadata, status }: Gateway): WaypointRow {
  const condition = (type: string) => status?.conditions?.find((one) => one.type === type);
  const programmed = condition('Programmed');
  const accepted = condition('Accepted');
  const said = accepted?.status === 'False' ? accepted : programmed;
  // a condition about an older generation tells nothing of this one
  const isCurrent =
    programmed?.observedGeneration === undefined ||
    programmed.observedGeneration === metadata.generation;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    for: waypointForOf(metadata.labels),
    programmed: isCurrent ? (programmed?.status ?? 'Unknown') : 'Unknown',
    reason: said?.reason ?? 'Pending',
    message: said?.message ?? 'Waiting for the control plane',
    addresses: (status?.addresses ?? []).map(({ value }) => value),
  };
}

export function sortedRows(gateways: readonly Gateway[]): WaypointRow[] {
  return gateways
    .filter(isWaypoint)
    .map(rowOf)
    .toSorted((a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name));
}
