// The whole translation: what Kubernetes holds at one moment -> what the mesh shall know. Pure, and always from the
// whole: there is no incremental state that could drift from the cluster.

import type { IpAddress } from '../../mesh/address.ts';
import type { Enrolment } from '../../mesh/enrolment.ts';
import type { HttpPolicy } from '../../mesh/http-policy.ts';
import type { MeshNamespace } from '../../mesh/namespace.ts';
import type { AuthorizationPolicy } from '../../mesh/policy.ts';
import type { RequestAuthentication } from '../../mesh/request-authentication.ts';
import type { Route } from '../../mesh/route.ts';
import type { Service } from '../../mesh/service.ts';
import type { TrafficPolicy } from '../../mesh/traffic-policy.ts';
import type { Workload } from '../../mesh/workload.ts';
import type {
  EndpointSlice,
  Service as KubeService,
  Namespace,
  Node,
  Pod,
} from '../../runtime/kubernetes/objects.ts';
import { SERVICES } from '../../runtime/kubernetes/resources.ts';
import { checkRegex } from '../../runtime/regex.ts';
import type { Problem } from '../../wire/status.ts';
import { captureOptionsOf } from './capture-options.ts';
import { endpointsOf, hintedServices, type KnownService } from './endpoints.ts';
import { enrolmentOf } from './enrolment.ts';
import { Entries, type EntryObjects } from './entries.ts';
import {
  createHttpPolicyMemo,
  type HttpPolicyMemo,
  type HttpPolicyObjects,
  httpPoliciesOf,
} from './http-policies.ts';
import { Memo } from './memo.ts';
import {
  addressesOf,
  isAlive,
  modeOf,
  modeProblem,
  REDIRECTION,
  REDIRECTION_MESSAGE,
} from './mode.ts';
import type { Outcome } from './outcome.ts';
import { Policies, type PolicyObjects } from './policies.ts';
import { demandedServices } from './policy-demand.ts';
import type { RouteOutcome } from './routes/findings.ts';
import type { RouteObjects } from './routes/route-objects.ts';
import { type RouteTranslation, routesOf } from './routes/routes.ts';
import { ingressUsesWaypoint, readIps, serviceOf } from './service.ts';
import { trafficKey, trafficProblems } from './traffic.ts';
import { trafficContextOf } from './traffic-context.ts';
import { trafficPoliciesOf } from './traffic-policy.ts';
import type { TrafficPolicyObject } from './traffic-policy-objects.ts';
import {
  bindingKey,
  boundFindings,
  UNBOUND,
  type WaypointObjects,
  Waypoints,
  type WaypointUse,
} from './waypoints.ts';
import { isEnrolled, localityOf, type WorkloadContext, workloadOf } from './workload.ts';

export type World = {
  readonly namespaces: ReadonlyMap<string, Namespace>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly pods: Iterable<Pod>;
  readonly services: Iterable<KubeService>;
  readonly endpointSlices: Iterable<EndpointSlice>;
  readonly trafficPolicies: Iterable<TrafficPolicyObject>;
} & PolicyObjects &
  HttpPolicyObjects &
  EntryObjects &
  RouteObjects &
  WaypointObjects;

export type WorldSettings = {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  /** Policies here without a selector hold for the whole mesh. */
  readonly rootNamespace: string;
  /** Whether pods may connect to what the mesh does not know, where their namespace does not say. */
  readonly outboundPolicy: Workload['outboundPolicy'];
};

export type PlacedEnrolment = { readonly node: string; readonly enrolment: Enrolment };

export type Translation = {
  readonly workloads: readonly Workload[];
  readonly services: readonly Service[];
  readonly policies: readonly AuthorizationPolicy[];
  readonly httpPolicies: readonly HttpPolicy[];
  readonly requestAuthentications: readonly RequestAuthentication[];
  readonly trafficPolicies: readonly TrafficPolicy[];
  readonly routes: readonly Route[];
  readonly namespaces: readonly MeshNamespace[];
  readonly enrolments: readonly PlacedEnrolment[];
  readonly problems: readonly Problem[];
  /** What the status of users' objects shall say. */
  readonly outcomes: readonly Outcome[];
  /** The same for routes, which say it for each of their parents. */
  readonly routeOutcomes: readonly RouteOutcome[];
  /** For the status of Gateways: by `namespace/gateway/listener`. */
  readonly attachedRoutes: RouteTranslation['attachedRoutes'];
  /** Who goes through which Gateway, by its `namespace/name`. */
  readonly waypointUses: ReadonlyMap<string, WaypointUse>;
};

type PodTranslation = {
  readonly workload: Workload | undefined;
  readonly enrolment: Enrolment | undefined;
};

/** What a translation may take over from the one before; a new one starts from nothing and gives the same result. */
export type TranslationMemo = {
  readonly pods: Memo<PodTranslation>;
  readonly services: Memo<Service>;
  readonly namespaces: Memo<MeshNamespace>;
  readonly httpPolicies: HttpPolicyMemo;
};

export function createTranslationMemo(): TranslationMemo {
  return {
    pods: new Memo(),
    services: new Memo(),
    namespaces: new Memo(),
    httpPolicies: createHttpPolicyMemo(),
  };
}

export function translate(
  world: World,
  settings: WorldSettings,
  memo: TranslationMemo = createTranslationMemo(),
): Translation {
  const problems: Problem[] = [];
  const outcomes: Outcome[] = [];
  const waypoints = new Waypoints(world, settings, demandedServices(world));
  const namespaces: MeshNamespace[] = [];
  for (const [name, namespace] of world.namespaces) {
    namespaces.push(memo.namespaces.of(namespace, '', () => ({ name, mode: modeOf(namespace) })));
    const problem = modeProblem('Namespace', namespace);
    if (problem !== undefined) problems.push(problem);
    problems.push(
      ...trafficProblems('Namespace', namespace),
      ...waypoints.problemsOf('Namespace', namespace),
    );
  }

  const hinted = hintedServices(world.endpointSlices);
  const services = new Map<string, KnownService>();
  for (const object of world.services) {
    const name = `${object.metadata.namespace}/${object.metadata.name}`;
    const namespace = world.namespaces.get(object.metadata.namespace ?? '');
    const binding = waypoints.ofService(object, 'Service');
    const context = {
      ...settings,
      namespace,
      hinted: hinted.has(name),
      waypoint: binding.waypoint,
    };
    const key = `${trafficKey(namespace)}|${context.hinted}|${bindingKey(binding)}|${ingressUsesWaypoint(object, namespace)}`;
    const service = memo.services.of(object, key, () => serviceOf(object, context));
    services.set(name, { object, service });
    const findings = boundFindings(object, binding);
    if (findings.length > 0) outcomes.push({ resource: SERVICES, object, findings });
    problems.push(...trafficProblems('Service', object));
  }
  const { nodes } = world;
  const podAt = podsByAddress(world.pods);
  const endpoints = endpointsOf(world.endpointSlices, services, { ...settings, nodes, podAt });
  const policies = new Policies(world, settings);
  const entries = new Entries({ ...world, waypoints }, services, settings);
  const routes = routesOf(world, services, { checkRegex });
  const forRequests = httpPoliciesOf(world, { ...settings, services, entries }, memo.httpPolicies);
  const traffic = trafficPoliciesOf(
    world.trafficPolicies,
    trafficContextOf(world, { services, memberships: endpoints.pods }, settings),
  );
  for (const part of [policies, entries, routes, forRequests]) problems.push(...part.problems);

  const workloads: Workload[] = [...endpoints.others, ...entries.workloads];
  const enrolments: PlacedEnrolment[] = [];
  for (const pod of world.pods) {
    const { name, namespace = '' } = pod.metadata;
    const place = world.namespaces.get(namespace);
    const binding = isReachable(pod) ? waypoints.ofWorkload(pod) : UNBOUND;
    const context = {
      ...settings,
      namespace: place,
      waypoint: binding.waypoint,
      node: world.nodes.get(pod.spec.nodeName ?? ''),
      services: merged(
        endpoints.pods.get(`${namespace}/${name}`) ?? NO_SERVICES,
        isAlive(pod) ? entries.membershipsOf(pod) : NO_SERVICES,
      ),
      authorizationPolicies: policies.attachedTo(pod, isEnrolled(pod, place)),
    };
    const { workload, enrolment } = memo.pods.of(
      pod,
      `${keyOf(context)} ${bindingKey(binding)}`,
      () => ({
        workload: workloadOf(pod, context),
        enrolment: enrolmentOf(pod, context.namespace, settings),
      }),
    );
    if (workload !== undefined) workloads.push(workload);
    if (enrolment !== undefined) {
      enrolments.push({ node: pod.spec.nodeName ?? '', enrolment });
      problems.push(...captureOptionsOf(pod).problems);
    }
    if (workload ?? enrolment) {
      problems.push(...podProblems(pod), ...waypoints.problemsOf('Pod', pod));
    }
  }
  return {
    workloads,
    services: [...[...services.values()].map(({ service }) => service), ...entries.services],
    policies: policies.policies,
    httpPolicies: forRequests.policies,
    requestAuthentications: forRequests.authentications,
    trafficPolicies: traffic.policies,
    routes: routes.routes,
    namespaces,
    enrolments,
    problems,
    outcomes: [
      ...outcomes,
      ...policies.outcomes(),
      ...forRequests.outcomes,
      ...entries.outcomes(),
      ...traffic.outcomes,
    ],
    routeOutcomes: routes.outcomes,
    attachedRoutes: routes.attachedRoutes,
    waypointUses: waypoints.uses(),
  };
}

/** Looked up only when somebody wrote an endpoint by hand, so made only then. */
function podsByAddress(pods: Iterable<Pod>): (ip: IpAddress) => string | undefined {
  let known: ReadonlyMap<IpAddress, string> | undefined;
  return (ip) => {
    known ??= new Map(
      [...pods]
        .filter((pod) => isAlive(pod) && pod.spec.hostNetwork !== true)
        .flatMap((pod) => {
          const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
          return readIps(addressesOf(pod)).map((address) => [address, name] as const);
        }),
    );
    return known.get(ip);
  };
}

/** On an address of its own: what is on its node's is nobody's to lead elsewhere. */
function isReachable(pod: Pod): boolean {
  return isAlive(pod) && pod.spec.hostNetwork !== true;
}

const NO_SERVICES: WorkloadContext['services'] = new Map();

/** In an order that does not depend on who asked first: the same content has the same version everywhere. */
function merged(
  a: WorkloadContext['services'],
  b: WorkloadContext['services'],
): WorkloadContext['services'] {
  if (b.size === 0) return a;
  return new Map([...a, ...b].toSorted(([x], [y]) => (x < y ? -1 : 1)));
}

/** All of a context that can differ from one translation to the next, as text. */
function keyOf(context: WorkloadContext): string {
  const { region, zone, subzone } = localityOf(context.node);
  const services: string[] = [];
  for (const [key, ports] of context.services) {
    services.push(key);
    for (const { servicePort, targetPort, appProtocol } of ports) {
      services.push(`${servicePort}:${targetPort}:${appProtocol}`);
    }
  }
  const place = `${modeOf(context.namespace)} ${trafficKey(context.namespace)} ${region}/${zone}/${subzone}`;
  return `${place} ${services.join(' ')} ${context.authorizationPolicies.join(' ')}`;
}

function podProblems(pod: Pod): Problem[] {
  const problem = modeProblem('Pod', pod);
  const problems = problem === undefined ? [] : [problem];
  const annotations = pod.metadata.annotations ?? {};
  if (annotations[REDIRECTION] === 'failed' && isAlive(pod)) {
    const { name, namespace } = pod.metadata;
    problems.push({
      object: `Pod ${namespace}/${name}`,
      reason: 'EnrolmentFailed',
      message: annotations[REDIRECTION_MESSAGE] ?? 'Its node agent could not enrol it',
      remedy: `kubectl describe pod ${name} -n ${namespace}; the agent on node ${pod.spec.nodeName} tries again by itself`,
    });
  }
  return problems;
}
