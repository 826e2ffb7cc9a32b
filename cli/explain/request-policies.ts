// Policies on requests that hold for what a pod serves: which waypoints stand before it, and what they enforce there.
// Called by commands/authz.ts. Pure.

import { waypointsOf } from '../../mesh/gateway.ts';
import { isEnforcedOnRequests } from '../../mesh/http-policy.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { WAYPOINT_CLASS } from '../../mesh/waypoint.ts';
import type { GatewayAddress, Workload } from '../../mesh/workload.ts';

/** One way to the pod that a waypoint stands in. */
export type GuardedWay = {
  readonly namespace: string;
  /** Of the Gateway. */
  readonly name: string;
  /** Key of the service that is asked for; undefined: the pod's own address. */
  readonly service: string | undefined;
};

export type RequestPolicyRow = {
  readonly policy: string;
  readonly action: string;
  readonly scope: string;
  readonly rules: number;
  readonly state: string;
};

export function guardedWaysTo(workload: Workload, snapshot: Snapshot): GuardedWay[] {
  const services = [...workload.services.keys()].flatMap((key) => snapshot.serviceByKey(key) ?? []);
  return [
    ...services.flatMap((service) =>
      waypointsOf(service).flatMap(({ destination }) => way(destination, serviceKey(service))),
    ),
    ...waypointsOf(workload).flatMap(({ destination }) => way(destination, undefined)),
  ];
}

function way(at: GatewayAddress, service: string | undefined): GuardedWay[] {
  if (at.by !== 'hostname') return [];
  const name = at.hostname.slice(0, Math.max(at.hostname.indexOf('.'), 0));
  return [{ namespace: at.namespace, name, service }];
}

/** `snapshot`: of the waypoint. */
export function requestPolicyRows(
  { namespace, name, service }: GuardedWay,
  snapshot: Snapshot,
): RequestPolicyRow[] {
  const gateway = `${namespace}/${name}`;
  const place = { gateway, gatewayClass: WAYPOINT_CLASS, service };
  const scope = `requests to ${service ?? 'its own address'}, at waypoint ${gateway}`;
  return [
    ...snapshot.requestAuthenticationsAt(place).map((policy) => ({
      policy: `${policy.namespace}/${policy.name}`,
      action: 'JWT',
      scope,
      rules: policy.rules.length,
      state: policy.broken === undefined ? 'enforced' : `lets nobody through: ${policy.broken}`,
    })),
    ...snapshot.httpPoliciesAt(place).map((policy) => ({
      policy: `${policy.namespace}/${policy.name}`,
      action: policy.action.toUpperCase(),
      scope,
      rules: policy.rules.length,
      state: isEnforcedOnRequests(policy)
        ? 'enforced'
        : policy.dryRun
          ? 'dry run'
          : 'reported only',
    })),
  ];
}
