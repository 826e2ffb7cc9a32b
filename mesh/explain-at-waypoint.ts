// Why a request is, or would be, let through a waypoint, and where it goes: policy, then the route. Called by `ambit
// explain` over the waypoint's own snapshot. Pure; shares decisions with the data path (authorize-request.ts,
// match-route.ts), so that what is explained is what happens.

import { explainRequest, type RequestExplanation } from './explain-request.ts';
import { compileRoutes, type Matched, matchRoute } from './match-route.ts';
import type { PolicyPlace } from './policy-target.ts';
import type { ConditionEvaluator } from './request-match.ts';
import type { RequestFacts } from './request-subject.ts';
import { type Backend, routeKey } from './route.ts';
import type { RegexCompiler } from './route-criteria.ts';
import type { Snapshot } from './snapshot.ts';

export type RouteExplanation =
  /** No route holds there: it goes to what was asked for. */
  | { readonly kind: 'no-routes' }
  /** It meets no rule of these. */
  | { readonly kind: 'unmatched'; readonly routes: readonly string[] }
  | {
      readonly kind: 'matched';
      /** `kind/namespace/name`. */
      readonly route: string;
      /** Its name, or its place in the list. */
      readonly rule: string;
      /** Kinds of the rule's filters, in order. */
      readonly filters: readonly string[];
      readonly backends: readonly BackendShare[];
    };

export type BackendShare = {
  /** `namespace/hostname:port`, or why it is none. */
  readonly to: string;
  /** Of 100. */
  readonly percent: number;
};

export type WaypointExplanation = {
  /** `namespace/name` of RequestAuthentications whose tokens count there. */
  readonly tokens: readonly string[];
  /** One of those that cannot be read, with why: nobody gets through. */
  readonly broken: string | undefined;
  readonly authorization: RequestExplanation;
  readonly route: RouteExplanation;
  /** `asked`: an authorization service decides, which is not asked here. */
  readonly verdict: 'allowed' | 'denied' | 'asked' | 'unrouted';
};

export type WaypointQuestion = {
  readonly place: PolicyPlace;
  /** `token`: what it would say if it were verified. */
  readonly facts: RequestFacts;
  readonly snapshot: Snapshot;
  readonly evaluate: ConditionEvaluator;
  readonly regex: RegexCompiler;
};

export function explainAtWaypoint(question: WaypointQuestion): WaypointExplanation {
  const { place, facts, snapshot, evaluate } = question;
  const authentications = snapshot.requestAuthenticationsAt(place);
  const unreadable = authentications.find(({ broken }) => broken !== undefined);
  const authorization = explainRequest(snapshot.httpPoliciesAt(place), facts, { evaluate });
  const route = explainRoute(question);
  const { verdict } = authorization.decision;
  return {
    tokens: authentications.map(({ namespace, name }) => `${namespace}/${name}`),
    broken: unreadable && `${unreadable.namespace}/${unreadable.name}: ${unreadable.broken}`,
    authorization,
    route,
    verdict:
      unreadable !== undefined || verdict === 'deny'
        ? 'denied'
        : route.kind === 'unmatched'
          ? 'unrouted'
          : verdict === 'ask' || isAsking(route)
            ? 'asked'
            : 'allowed',
  };
}

function isAsking(route: RouteExplanation): boolean {
  return route.kind === 'matched' && route.filters.includes('external-auth');
}

function explainRoute({ place, facts, snapshot, regex }: WaypointQuestion): RouteExplanation {
  const { service } = place;
  // routes are bound to service addresses, never to pods'
  if (service === undefined) return { kind: 'no-routes' };
  const { request, source, destination } = facts;
  const clientNamespace = source.identity?.namespace;
  const parent = { kind: 'service', service, port: destination.port, clientNamespace } as const;
  const table = compileRoutes(snapshot.routesOfService(service), parent, regex);
  if (table.routes.length === 0) return { kind: 'no-routes' };
  const matched = matchRoute(table, request, source);
  if (matched === undefined) return { kind: 'unmatched', routes: table.routes.map(routeKey) };
  return describe(matched);
}

function describe({ route, rule, ruleIndex }: Matched): RouteExplanation {
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  return {
    kind: 'matched',
    route: routeKey(route),
    rule: rule.name ?? String(ruleIndex),
    filters: rule.filters.map(({ kind }) => kind),
    backends: rule.backends.map(({ target, weight }) => ({
      to: nameOf(target),
      percent: total === 0 ? 0 : Math.round((1000 * weight) / total) / 10,
    })),
  };
}

function nameOf(target: Backend['target']): string {
  if (target.kind === 'invalid') return `nowhere (${target.why})`;
  const subset = target.subset === undefined ? '' : ` subset ${target.subset}`;
  return `${target.service}:${target.port}${subset}`;
}
