// Every route of the Gateway API in the cluster at one moment -> mesh Routes, what their status shall say, and how many
// routes each listener has. Pure. Called by world.ts, once a translation.
//
// A route may hold for Services and for Gateways at once. What it may refer to differs between the two, so each is a mesh
// Route of its own, with only the parents and references of that side.

import type { Route } from '../../../mesh/route.ts';
import { serviceKey } from '../../../mesh/service.ts';
import { CONTROLLER_NAME } from '../../../mesh/waypoint.ts';
import type { Gateway } from '../../../runtime/kubernetes/gateway-objects.ts';
import { GATEWAY_GROUP, type ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import type { Problem } from '../../../wire/status.ts';
import type { KnownService } from '../endpoints.ts';
import { tcpPorts } from '../service.ts';
import { type Attachment, refused } from './attachment.ts';
import type { Facet } from './backends.ts';
import { settleConflicts } from './conflicts.ts';
import { parentOutcome, problemsOfRoute, type RouteOutcome } from './findings.ts';
import { attachToGateway, ownGateways } from './gateway-parents.ts';
import { Grants } from './grants.ts';
import type { CheckRegex } from './matches.ts';
import { type RouteSource, type RouteWorld, routeSources } from './route-objects.ts';
import { rulesOf, type TranslatedRules } from './rules.ts';
import { attachToService } from './service-parents.ts';

export type RouteSettings = {
  /** Absent: patterns are taken as they are, and a waypoint that cannot read one refuses the route. */
  readonly checkRegex?: CheckRegex;
};

export type RouteTranslation = {
  readonly routes: readonly Route[];
  readonly outcomes: readonly RouteOutcome[];
  readonly problems: readonly Problem[];
  /** Routes that a listener of a Gateway of ours has accepted, by `namespace/gateway/listener`. */
  readonly attachedRoutes: ReadonlyMap<string, number>;
};

export function routesOf(
  world: RouteWorld,
  services: ReadonlyMap<string, KnownService>,
  settings: RouteSettings = {},
): RouteTranslation {
  const sources = routeSources(world);
  const gateways = ownGateways(world);
  const grants = new Grants(world.referenceGrants);
  const { checkRegex = () => undefined } = settings;
  const rules = new RulesByFacet((source, facet) =>
    rulesOf({ source, facet, services, grants, checkRegex }),
  );
  const asked = sources.flatMap((source) =>
    [...(source.object.spec?.parentRefs ?? [])].flatMap((ref) => {
      const attachment = attach(source, ref, { world, gateways, services });
      return attachment === undefined ? [] : [judged(attachment, rules)];
    }),
  );
  const ports = new Map(
    [...services.values()].map(({ object, service }) => [
      serviceKey(service),
      tcpPorts(object).map(({ port }) => port),
    ]),
  );
  const settled = settleConflicts(asked, (service) => ports.get(service) ?? []);
  const bySource = Map.groupBy(settled, ({ source }) => source);
  const outcomes = sources.flatMap((source): RouteOutcome[] => {
    const parents = (bySource.get(source) ?? []).map((attachment) =>
      parentOutcome(attachment, rules.of(source, attachment.facet)),
    );
    // nothing of ours to say, and nothing that we said
    if (parents.length === 0 && !hasOwnStatus(source)) return [];
    return [{ resource: source.resource, object: source.object, parents }];
  });
  return {
    routes: sources.flatMap((source) => meshRoutes(source, bySource.get(source) ?? [], rules)),
    outcomes,
    problems: outcomes.flatMap(problemsOfRoute),
    attachedRoutes: countAttached(gateways, bySource),
  };
}

/** Rules are read once for each side that is asked for. */
class RulesByFacet {
  readonly #known = new Map<RouteSource, Partial<Record<Facet, TranslatedRules>>>();
  readonly #read: (source: RouteSource, facet: Facet) => TranslatedRules;

  constructor(read: (source: RouteSource, facet: Facet) => TranslatedRules) {
    this.#read = read;
  }

  of(source: RouteSource, facet: Facet): TranslatedRules {
    const known = this.#known.get(source) ?? {};
    this.#known.set(source, known);
    known[facet] ??= this.#read(source, facet);
    return known[facet];
  }
}

/** undefined: the parent is somebody else's. */
function attach(
  source: RouteSource,
  ref: ParentReference,
  {
    world,
    gateways,
    services,
  }: {
    readonly world: RouteWorld;
    readonly gateways: ReadonlyMap<string, Gateway>;
    readonly services: ReadonlyMap<string, KnownService>;
  },
): Attachment | undefined {
  const { group = GATEWAY_GROUP, kind = 'Gateway' } = ref;
  // some write the core group by this name, as the Gateway API's own examples once did
  if ((group === '' || group === 'core') && kind === 'Service') {
    return attachToService(source, ref, services);
  }
  if (group !== GATEWAY_GROUP || kind !== 'Gateway') return undefined;
  const gateway = gateways.get(`${ref.namespace ?? source.namespace}/${ref.name}`);
  if (gateway === undefined) return undefined;
  return attachToGateway(source, ref, gateway, world.namespaces);
}

/** A route whose rules cannot be is attached nowhere. */
function judged(attachment: Attachment, rules: RulesByFacet): Attachment {
  const { source, facet, refusal } = attachment;
  const fault = rules.of(source, facet).refusal;
  if (refusal !== undefined || fault === undefined) return attachment;
  return refused(attachment, fault.reason, fault.message);
}

function meshRoutes(
  source: RouteSource,
  attachments: readonly Attachment[],
  rules: RulesByFacet,
): Route[] {
  const facets: readonly Facet[] = ['mesh', 'gateway'];
  return facets.flatMap((facet): Route[] => {
    const parents = attachments.filter((one) => one.facet === facet).flatMap((one) => one.parents);
    if (parents.length === 0) return [];
    const { kind, namespace, name, createdAt } = source;
    // two references may mean one parent
    const distinct = new Map(parents.map((parent) => [JSON.stringify(parent), parent]));
    return [
      {
        kind,
        namespace,
        name,
        createdAt,
        parents: [...distinct.values()],
        rules: rules.of(source, facet).rules,
      },
    ];
  });
}

function hasOwnStatus({ object }: RouteSource): boolean {
  const parents = object.status?.parents ?? [];
  return parents.some(({ controllerName }) => controllerName === CONTROLLER_NAME);
}

function countAttached(
  gateways: ReadonlyMap<string, Gateway>,
  bySource: ReadonlyMap<RouteSource, readonly Attachment[]>,
): Map<string, number> {
  const counts = new Map(
    [...gateways].flatMap(([key, { spec }]) =>
      spec.listeners.map(({ name }): [string, number] => [`${key}/${name}`, 0]),
    ),
  );
  for (const attachments of bySource.values()) {
    const places = attachments.flatMap(({ parents }) =>
      parents.flatMap((one) => (one.kind === 'listener' ? `${one.gateway}/${one.listener}` : [])),
    );
    for (const place of new Set(places)) counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return counts;
}
