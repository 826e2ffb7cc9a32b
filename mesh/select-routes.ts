// Which routes hold for one client of one port of a service: those of the client's own namespace or else the service's,
// and of these one kind only. Called by compileRoutes(). Pure.

import type { Route } from './route.ts';

/** One port of a service, as clients of one namespace see it. */
export type RoutedPort = {
  /** `namespace/hostname`. */
  readonly service: string;
  readonly port: number;
  /** Where the client runs, by its certificate; undefined: unknown, so that only producer routes hold. */
  readonly clientNamespace: string | undefined;
};

/** Where several kinds hold for one port, the first of them wins and the others are ignored (GEP-1294). */
const KINDS = ['grpc', 'http', 'tls', 'tcp'] as const satisfies readonly Route['kind'][];

/**
 * Routes of one kind, in the order they came; none: the port has no routes, and traffic to it is forwarded as if there
 * were no such thing. Consumer routes of the client's namespace take the place of all producer routes, whatever their
 * kinds: the two are never merged.
 */
export function selectRoutes(
  routes: readonly Route[],
  { service, port, clientNamespace }: RoutedPort,
): readonly Route[] {
  const holding = (clientsOf: string | undefined): Route[] =>
    routes.filter(({ parents }) =>
      parents.some(
        (parent) =>
          parent.kind === 'service' &&
          parent.service === service &&
          (parent.port === undefined || parent.port === port) &&
          parent.clientsOf === clientsOf,
      ),
    );
  const consumer = clientNamespace === undefined ? [] : holding(clientNamespace);
  const group = consumer.length > 0 ? consumer : holding(undefined);
  const kind = KINDS.find((kind) => group.some((route) => route.kind === kind));
  return group.filter((route) => route.kind === kind);
}
