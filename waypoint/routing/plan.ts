// What is to become of a request: the rule of a route it meets, what the rule's filters make of it, and which backend takes
// it. Called by serve.ts once the request may pass. A decision without I/O.

import { HttpFailure } from '../../mesh/http-failures.ts';
import type { HttpRequest } from '../../mesh/http-request.ts';
import { type Matched, matchRoute } from '../../mesh/match-route.ts';
import {
  type BackendTarget,
  type ExternalAuth,
  type HeaderEdit,
  routeKey,
} from '../../mesh/route.ts';
import { pickBackend } from '../../mesh/split.ts';
import { destinationOf, nameOf } from '../asked.ts';
import type { ReadRequest } from '../http/read-request.ts';
import type { Destination, Inbound } from '../inbound.ts';
import { backendOf, type PickParts } from '../pick.ts';
import type { RouteName } from '../telemetry/request-facts.ts';
import { applyFilters } from './apply-filters.ts';
import type { RouteTables } from './tables.ts';

export type Mirror = { readonly target: BackendTarget; readonly request: HttpRequest };

export type Forwarding = {
  readonly kind: 'forward';
  readonly request: HttpRequest;
  /** What stands in the request line, before its query. */
  readonly path: string;
  readonly backend: Destination;
  readonly matched: Matched | undefined;
  readonly answerEdits: readonly HeaderEdit[];
  readonly mirrors: readonly Mirror[];
};

export type Plan = { readonly ask: readonly ExternalAuth[] } & (
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: HttpRequest['headers'];
      readonly matched: Matched | undefined;
    }
  | Forwarding
);

export type PlanSteps = {
  readonly tables: RouteTables;
  readonly pick: PickParts;
  readonly random: () => number;
};

/** @throws HttpFailure NO_ROUTE */
export function matchAsked(
  { request }: ReadRequest,
  { asked, source }: Inbound,
  { tables }: PlanSteps,
): Matched | undefined {
  const table = tables.tableFor(asked, source.identity?.namespace, request.authority);
  if (table === undefined) return undefined;
  const matched = matchRoute(table, request, source);
  if (matched !== undefined) return matched;
  throw new HttpFailure(
    'NO_ROUTE',
    `No route of ${nameOf(asked)} matches ${request.method} ${request.path}`,
  );
}

/** @throws HttpFailure NO_BACKEND, BACKEND_INVALID, FILTER_BROKEN */
export function planOf(
  { request, forwardedPath }: ReadRequest,
  matched: Matched | undefined,
  { asked }: Inbound,
  steps: PlanSteps,
): Plan {
  if (matched === undefined) {
    return { ...UNROUTED, request, path: forwardedPath, backend: destinationOf(asked) };
  }
  const port = asked.kind === 'service' ? asked.port.servicePort : asked.port;
  const how = { matched, port, random: steps.random };
  const ruled = applyFilters(request, matched.rule.filters, how);
  if (ruled.kind === 'answer') return { ...ruled, matched };
  const backend = pickBackend(matched.rule.backends, steps.random);
  if (backend === undefined) {
    throw new HttpFailure(
      'NO_BACKEND',
      `The rule of ${routeKey(matched.route)} has no backend with a weight`,
    );
  }
  const final = applyFilters(ruled.request, backend.filters, how);
  const ask = [...ruled.ask, ...final.ask];
  if (final.kind === 'answer') return { ...final, ask, matched };
  const edited = ruled.pathEdited || final.pathEdited;
  return {
    kind: 'forward',
    request: final.request,
    ask,
    path: edited ? final.request.path : forwardedPath,
    backend: backendOf(backend.target, steps.pick),
    matched,
    answerEdits: [...final.answerEdits, ...ruled.answerEdits],
    mirrors: [...ruled.mirrors, ...final.mirrors],
  };
}

const UNROUTED = {
  kind: 'forward',
  ask: [],
  matched: undefined,
  answerEdits: [],
  mirrors: [],
} as const;

export function targetOf({ query }: HttpRequest, path: string): string {
  return query === undefined ? path : `${path}?${query}`;
}

/** As telemetry and policies name it. */
export function routeNameOf({ route, rule }: Matched): RouteName {
  const place = route.rules.indexOf(rule);
  return { route: `${route.namespace}/${route.name}`, rule: rule.name ?? String(place) };
}
