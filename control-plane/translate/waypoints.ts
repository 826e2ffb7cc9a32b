// Which traffic goes through which waypoint, by the labels of Services, Pods, entries and Namespaces: an object's own label
// before its namespace's. Pure. Made once a translation by world.ts and asked for each service and workload.
// Invariant: who asked for a waypoint is never reached around it: one that is not there, or may not be used, leaves an
// address nobody has, and connections fail.

import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import {
  MANAGED,
  NO_WAYPOINT,
  USE_WAYPOINT,
  USE_WAYPOINT_NAMESPACE,
  WAYPOINT_CLASS,
  WAYPOINT_FOR,
  WAYPOINT_PROTOCOL,
  waypointForOf,
} from '../../mesh/waypoint.ts';
import type { GatewayAddress } from '../../mesh/workload.ts';
import type { Gateway } from '../../runtime/kubernetes/gateway-objects.ts';
import type { Condition, KubeObject } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';
import { matchesLabels } from './label-selector.ts';
import type { Finding } from './outcome.ts';
import { hostnameOf } from './service.ts';

export type WaypointObjects = { readonly gateways: Iterable<Gateway> };

export type Binding = {
  /** undefined: straight to it. */
  readonly waypoint: GatewayAddress | undefined;
  /** For the object's status; undefined: neither it nor its namespace asks for anything it could have. */
  readonly finding: Finding | undefined;
};

/** How many go through a waypoint. */
export type WaypointUse = { readonly services: number; readonly workloads: number };

/** The condition's type on Services and ServiceEntries. */
export const WAYPOINT_BOUND = 'ambit-mesh.io/WaypointBound';

/** RFC 6761 keeps names under it from ever being anybody's. */
const NOBODY = 'not-admitted.invalid';

export const UNBOUND: Binding = { waypoint: undefined, finding: undefined };

/** A policy that nobody can enforce lets nobody in. */
const DEMANDED: Binding = {
  waypoint: { by: 'hostname', namespace: '', hostname: `policy.${NOBODY}`, port: TUNNEL_PORT },
  finding: bound(
    'False',
    'PolicyNeedsWaypoint',
    'A policy on its requests names it and it has no waypoint: connections to it fail until it has one',
  ),
};

type WithConditions = KubeObject & {
  readonly status?: { readonly conditions?: readonly Condition[] };
};
type Fault = Pick<Problem, 'reason' | 'message' | 'remedy'>;
type Traffic = 'service' | 'workload';
type Wish = { readonly name: string; readonly namespace: string; readonly own: boolean };

export class Waypoints {
  readonly #clusterDomain: string;
  readonly #demanded: ReadonlySet<string>;
  readonly #namespaces: ReadonlyMap<string, KubeObject>;
  readonly #gateways = new Map<string, Gateway>();
  /** Most objects of a namespace have the same answer. */
  readonly #known = new Map<string, Binding>();
  readonly #uses = new Map<string, { services: number; workloads: number }>();

  constructor(
    objects: WaypointObjects & { readonly namespaces: ReadonlyMap<string, KubeObject> },
    context: { readonly clusterDomain: string },
    /** `Kind namespace/name` of services that policies on requests name: see policy-demand.ts. */
    demanded: ReadonlySet<string> = new Set(),
  ) {
    this.#clusterDomain = context.clusterDomain;
    this.#demanded = demanded;
    this.#namespaces = objects.namespaces;
    for (const gateway of objects.gateways) {
      if (gateway.metadata.deletionTimestamp === undefined) {
        this.#gateways.set(keyOf(gateway.metadata), gateway);
      }
    }
  }

  /** For connections that address the service. */
  ofService(object: KubeObject, kind: 'Service' | 'ServiceEntry'): Binding {
    const binding = this.#bindingOf(object, 'service');
    if (binding.waypoint !== undefined || isManaged(object)) return binding;
    return this.#demanded.has(`${kind} ${keyOf(object.metadata)}`) ? DEMANDED : binding;
  }

  /** Of a Pod, a WorkloadEntry, or an endpoint of its own: for connections that address the workload itself. */
  ofWorkload(object: KubeObject): Binding {
    return this.#bindingOf(object, 'workload');
  }

  /** By `namespace/name` of the Gateway; after every object was asked about. */
  uses(): ReadonlyMap<string, WaypointUse> {
    return this.#uses;
  }

  /** What is wrong with the waypoint a Namespace or Pod asks for: these have no condition of ours. */
  problemsOf(kind: 'Namespace' | 'Pod', object: KubeObject): Problem[] {
    const wish = kind === 'Namespace' ? this.#wishOfNamespace(object) : ownWish(object);
    if (wish === undefined || isManaged(object)) return [];
    const place = kind === 'Namespace' ? (object.metadata.name ?? '') : namespaceOf(object);
    const fault =
      this.#faultOf(wish, place) ?? (kind === 'Pod' ? this.#refusalOf(wish) : undefined);
    if (fault === undefined) return [];
    const { name = '', namespace } = object.metadata;
    return [
      { object: `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`, ...fault },
    ];
  }

  #bindingOf(object: KubeObject, traffic: Traffic): Binding {
    if (isManaged(object)) return UNBOUND;
    const place = namespaceOf(object);
    const asked = object.metadata.labels?.[USE_WAYPOINT] ?? '';
    if (asked === NO_WAYPOINT) return UNBOUND;
    const wish = ownWish(object) ?? this.#wishOfNamespace(this.#namespaces.get(place));
    if (wish === undefined) return UNBOUND;
    const key = `${place} ${wish.namespace}/${wish.name} ${wish.own} ${traffic}`;
    const binding = this.#known.get(key) ?? this.#decide(wish, place, traffic);
    this.#known.set(key, binding);
    if (binding.waypoint !== undefined) this.#count(wish, traffic);
    return binding;
  }

  #decide(wish: Wish, place: string, traffic: Traffic): Binding {
    const { name, namespace, own } = wish;
    const hostname = hostnameOf(name, namespace, this.#clusterDomain);
    const at = (host: string): GatewayAddress => ({
      by: 'hostname',
      namespace,
      hostname: host,
      port: TUNNEL_PORT,
    });
    const fault = this.#faultOf(wish, place);
    if (fault !== undefined) {
      // a Gateway that may not be used must not be reached either: it does not ask who its clients want
      const waypoint = at(fault.reason === 'WaypointMissing' ? hostname : `${hostname}.${NOBODY}`);
      const message = `${fault.message}. ${fault.remedy}`;
      return { waypoint, finding: bound('False', fault.reason, message) };
    }
    const gateway = this.#gateways.get(keyOf(wish));
    const takes = waypointForOf(gateway?.metadata.labels);
    if (takes !== 'all' && takes !== traffic) {
      // a namespace's waypoint is for whatever it takes; who names one means to go through it
      if (!own || traffic === 'workload') return UNBOUND;
      const message = `Waypoint ${keyOf(wish)} takes connections to ${takes === 'none' ? 'nothing' : `${takes}s only`}: this service is reached without it`;
      return { waypoint: undefined, finding: bound('False', 'UnsupportedTraffic', message) };
    }
    const programmed = gateway?.status?.conditions?.find(({ type }) => type === 'Programmed');
    const finding =
      programmed?.status === 'True'
        ? bound('True', 'Bound', `Connections to it go through waypoint ${keyOf(wish)}`)
        : bound(
            'True',
            'WaypointNotReady',
            `Connections to it go through waypoint ${keyOf(wish)}, and fail until that is ready`,
          );
    return { waypoint: at(hostname), finding };
  }

  /** For a pod that names a waypoint which takes no connections to pods. */
  #refusalOf(wish: Wish): Fault | undefined {
    const takes = waypointForOf(this.#gateways.get(keyOf(wish))?.metadata.labels);
    if (takes === 'all' || takes === 'workload') return undefined;
    return {
      reason: 'UnsupportedTraffic',
      message: `Waypoint ${keyOf(wish)} takes no connections to pods: this one is reached without it`,
      remedy: `kubectl label gateway ${wish.name} -n ${wish.namespace} ${WAYPOINT_FOR}=all --overwrite`,
    };
  }

  #faultOf(wish: Wish, place: string): Fault | undefined {
    const gateway = this.#gateways.get(keyOf(wish));
    if (gateway === undefined) {
      return {
        reason: 'WaypointMissing',
        message: `Waypoint ${keyOf(wish)} is not there: connections that must go through it fail`,
        remedy: `Make it: ambit waypoint apply --name ${wish.name} -n ${wish.namespace}; or take the label ${USE_WAYPOINT} away`,
      };
    }
    if (gateway.spec.gatewayClassName !== WAYPOINT_CLASS) {
      return {
        reason: 'NotAWaypoint',
        message: `Gateway ${keyOf(wish)} is of class ${gateway.spec.gatewayClassName}, not ${WAYPOINT_CLASS}: connections that must go through it fail`,
        remedy: `Name a waypoint in label ${USE_WAYPOINT}, or take the label away`,
      };
    }
    if (wish.namespace === place || admits(gateway, this.#namespaces.get(place))) return undefined;
    return {
      reason: 'WaypointNotAdmitted',
      message: `Waypoint ${keyOf(wish)} does not admit namespace ${place}: connections that must go through it fail`,
      remedy: `Let ${place} in by allowedRoutes.namespaces of its listener, or take the label ${USE_WAYPOINT} away`,
    };
  }

  #wishOfNamespace(namespace: KubeObject | undefined): Wish | undefined {
    if (namespace === undefined) return undefined;
    return wishIn(namespace, namespace.metadata.name ?? '', false);
  }

  #count(wish: Wish, traffic: Traffic): void {
    const use = this.#uses.get(keyOf(wish)) ?? { services: 0, workloads: 0 };
    this.#uses.set(keyOf(wish), use);
    if (traffic === 'service') use.services++;
    else use.workloads++;
  }
}

/** All that a Binding puts into a Service or Workload, as text: what was made with the same text is the same. */
export function bindingKey({ waypoint }: Binding): string {
  return waypoint?.by === 'hostname' ? `${waypoint.namespace}/${waypoint.hostname}` : '';
}

/** What the object's status shall say of it; nothing where it never had to do with a waypoint. */
export function boundFindings(object: WithConditions, { finding }: Binding): Finding[] {
  if (finding !== undefined) return [finding];
  const said = object.status?.conditions?.some(({ type }) => type === WAYPOINT_BOUND) ?? false;
  return said ? [bound('False', 'NotBound', 'Connections to it go through no waypoint')] : [];
}

/** Whether it was made for a Gateway: such a one is never behind a waypoint. */
export function isManaged({ metadata }: KubeObject): boolean {
  return metadata.labels?.[MANAGED] !== undefined;
}

/** Whether the Gateway's listener lets routes, and thus whoever uses it as a waypoint, in from this namespace. */
function admits({ spec }: Gateway, namespace: KubeObject | undefined): boolean {
  const listener = spec.listeners.find(({ protocol }) => protocol === WAYPOINT_PROTOCOL);
  const { from = 'Same', selector } = listener?.allowedRoutes?.namespaces ?? {};
  if (from === 'All') return true;
  if (from !== 'Selector' || selector === undefined) return false;
  return matchesLabels(selector, namespace?.metadata.labels);
}

function ownWish(object: KubeObject): Wish | undefined {
  return wishIn(object, namespaceOf(object), true);
}

function wishIn({ metadata }: KubeObject, place: string, own: boolean): Wish | undefined {
  const name = metadata.labels?.[USE_WAYPOINT] ?? '';
  if (name === '' || name === NO_WAYPOINT) return undefined;
  const elsewhere = metadata.labels?.[USE_WAYPOINT_NAMESPACE] ?? '';
  return { name, namespace: elsewhere === '' ? place : elsewhere, own };
}

function bound(status: Finding['status'], reason: string, message: string): Finding {
  return { type: WAYPOINT_BOUND, status, reason, message };
}

function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? '';
}

function keyOf({
  namespace,
  name,
}: {
  readonly namespace?: string;
  readonly name?: string;
}): string {
  return `${namespace}/${name}`;
}
