// A small cluster with routes in few words, and what its translation says. Used by tests of the translation of routes.
//
// Namespace shop has Services web (http 80, admin 8080), api, headless and outside (an ExternalName); namespace ops has api.
// Gateways are of namespace infra.

import assert from 'node:assert/strict';
import type { Route, RouteRule } from '../../../mesh/route.ts';
import { CONTROLLER_NAME } from '../../../mesh/waypoint.ts';
import type { Gateway, Listener } from '../../../runtime/kubernetes/gateway-objects.ts';
import type { Namespace, Service, ServicePort } from '../../../runtime/kubernetes/objects.ts';
import type {
  GrpcRouteObject,
  HttpMatchSpec,
  HttpRouteObject,
  ParentReference,
  RouteFilterSpec,
  RouteRuleSpec,
} from '../../../runtime/kubernetes/route-objects.ts';
import type { KnownService } from '../endpoints.ts';
import { serviceOf } from '../service.ts';
import { EMPTY_WORLD } from '../test-world.ts';
import type { ParentOutcome, RouteOutcome } from './findings.ts';
import type { RouteObjects } from './route-objects.ts';
import { type RouteSettings, type RouteTranslation, routesOf } from './routes.ts';

type Spec = NonNullable<HttpRouteObject['spec']>;
export type Rule = RouteRuleSpec<HttpMatchSpec>;

const HTTP: ServicePort = { name: 'http', port: 80 };

function service(name: string, namespace: string, spec: Partial<Service['spec']> = {}): Service {
  return {
    metadata: { name, namespace },
    spec: { clusterIP: '10.96.0.1', ports: [HTTP], ...spec },
  };
}

const SERVICES: readonly Service[] = [
  service('web', 'shop', { ports: [HTTP, { name: 'admin', port: 8080 }] }),
  service('api', 'shop'),
  service('api', 'ops'),
  service('headless', 'shop', { clusterIP: 'None' }),
  service('outside', 'shop', { type: 'ExternalName', externalName: 'a.test' }),
];

const NAMESPACES = new Map<string, Namespace>(
  ['shop', 'ops', 'infra'].map((name) => [
    name,
    { metadata: { name, labels: { 'kubernetes.io/metadata.name': name } } },
  ]),
);

export type TestCluster = Partial<RouteObjects> & {
  readonly services?: readonly Service[];
  /** Host of the waypoint of every Service. */
  readonly waypoint?: string;
};

export function run(cluster: TestCluster, settings: RouteSettings = {}): RouteTranslation {
  const { services = [], waypoint, ...objects } = cluster;
  const known = new Map<string, KnownService>();
  for (const object of [...SERVICES, ...services]) {
    const { name, namespace } = object.metadata;
    const made = serviceOf(object, {
      network: '',
      clusterDomain: 'cluster.local',
      namespace: undefined,
      hinted: false,
      waypoint: undefined,
    });
    const destination =
      waypoint === undefined
        ? undefined
        : ({ by: 'hostname', namespace: 'shop', hostname: waypoint, port: 15008 } as const);
    known.set(`${namespace}/${name}`, { object, service: { ...made, waypoint: destination } });
  }
  return routesOf(
    { ...EMPTY_WORLD, namespaces: NAMESPACES, ...OWN_CLASS, ...objects },
    known,
    settings,
  );
}

const OWN_CLASS: Partial<RouteObjects> = {
  gatewayClasses: new Map([
    ['ambit', { metadata: { name: 'ambit' }, spec: { controllerName: CONTROLLER_NAME } }],
    ['other', { metadata: { name: 'other' }, spec: { controllerName: 'other.test/controller' } }],
  ]),
};

export const toService = (
  name: string,
  changes: Partial<ParentReference> = {},
): ParentReference => ({
  group: '',
  kind: 'Service',
  name,
  ...changes,
});
export const toGateway = (
  name: string,
  changes: Partial<ParentReference> = {},
): ParentReference => ({
  group: 'gateway.networking.k8s.io',
  kind: 'Gateway',
  namespace: 'infra',
  name,
  ...changes,
});

/** Of namespace shop, to Service web, with one backend: unless it says otherwise. */
export function route(
  name: string,
  spec: Partial<Spec> = {},
  metadata: Partial<HttpRouteObject['metadata']> = {},
): HttpRouteObject {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-${name}`,
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: {
      parentRefs: [toService('web')],
      rules: [{ backendRefs: [{ name: 'api', port: 80 }] }],
      ...spec,
    },
  };
}

/** The same as a GRPCRoute; its rules have no matches. */
export function grpcRoute(...args: Parameters<typeof route>): GrpcRouteObject {
  return route(...args) as GrpcRouteObject;
}

export function gateway(
  name: string,
  listeners: readonly Partial<Listener>[],
  className = 'ambit',
): Gateway {
  return {
    metadata: { name, namespace: 'infra' },
    spec: {
      gatewayClassName: className,
      listeners: listeners.map((listener) => ({
        name: 'http',
        port: 80,
        protocol: 'HTTP',
        allowedRoutes: { namespaces: { from: 'All' } },
        ...listener,
      })),
    },
  };
}

/** The status of the route of that name, a line a parent: `Accepted=True/Accepted ResolvedRefs=...`. */
export function statusOf(translation: RouteTranslation, name: string): string[] {
  return outcomeOf(translation, name).parents.map(lineOf);
}

export function outcomeOf({ outcomes }: RouteTranslation, name: string): RouteOutcome {
  const found = outcomes.find(({ object }) => object.metadata.name === name);
  return found ?? assert.fail(`no outcome of ${name}`);
}

/** Without what is said of waypoints, which is one test's concern. */
function lineOf({ findings }: ParentOutcome): string {
  return findings
    .filter(({ type }) => type !== 'Programmed')
    .map(({ type, status, reason }) => `${type}=${status}/${reason}`)
    .join(' ');
}

/** All that is said in one condition of a route's first parent. */
export function messageOf(translation: RouteTranslation, name: string, type: string): string {
  const [parent] = outcomeOf(translation, name).parents;
  return parent?.findings.find((finding) => finding.type === type)?.message ?? '';
}

export const GOOD = 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs';

/** The only mesh Route there is. */
export function onlyRoute({ routes }: RouteTranslation): Route {
  assert.equal(routes.length, 1);
  return routes[0] ?? assert.fail();
}

/** What becomes of one rule of an HTTPRoute to a Service. */
export function ruleOf(rule: Rule): RouteRule {
  const made = onlyRoute(run({ httpRoutes: [route('r', { rules: [rule] })] })).rules;
  assert.equal(made.length, 1);
  return made[0] ?? assert.fail();
}

export const filterRule = (...filters: RouteFilterSpec[]): Rule => ({
  filters,
  backendRefs: [{ name: 'api', port: 80 }],
});
