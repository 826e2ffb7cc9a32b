// The routes of each port of a service and of each listener, compiled once for each change of them. Asked by serve.ts for every request. Invariant: a table
// is made of the very routes of the snapshot that is asked with; bounded by the ports and client namespaces in use.

import { compileRoutes, type RouteTable, type TableParent } from '../../mesh/match-route.ts';
import type { Route } from '../../mesh/route.ts';
import { serviceKey } from '../../mesh/service.ts';
import type { Log } from '../../runtime/log.ts';
import { compileRegex } from '../../runtime/regex.ts';
import type { Asked, AskedListener } from '../inbound.ts';
import { listenerFor } from '../ingress/listener-for.ts';

/** Ports times client namespaces of consumer routes; beyond it the oldest is compiled anew when it is asked again. */
const MAX_TABLES = 10_000;

const NO_ROUTES: readonly Route[] = [];

export type TableParts = {
  readonly log: Log;
  /** The routes that name a service; the same array as long as none of them changed. */
  readonly routesOf: (serviceKey: string) => readonly Route[];
  /** The same of a Gateway, `namespace/name`. */
  readonly routesOfGateway: (gateway: string) => readonly Route[];
};

export class RouteTables {
  readonly #parts: TableParts;
  readonly #tables = new Map<
    string,
    { readonly routes: readonly Route[]; readonly table: RouteTable }
  >();

  constructor(parts: TableParts) {
    this.#parts = parts;
  }

  /**
   * undefined: no route holds there, traffic is forwarded as it is. `host` tells which listener of a gateway it is for.
   * @throws HttpFailure NO_ROUTE, MISDIRECTED: none of the gateway's listeners
   */
  tableFor(asked: Asked, clientNamespace: string | undefined, host = ''): RouteTable | undefined {
    if (asked.kind === 'listener') return this.#tableOfListener(asked, host);
    // routes are bound to service addresses, never to pods'
    if (asked.kind === 'workload') return undefined;
    const service = serviceKey(asked.service);
    const routes = this.#parts.routesOf(service) ?? NO_ROUTES;
    if (routes.length === 0) return undefined;
    const port = asked.port.servicePort;
    const consumed = routes.some(({ parents }) =>
      parents.some((one) => one.kind === 'service' && one.clientsOf === clientNamespace),
    );
    // without routes of its own a namespace sees what all others see
    const asWhom = consumed ? clientNamespace : undefined;
    const parent: TableParent = { kind: 'service', service, port, clientNamespace: asWhom };
    return emptyIsNone(this.#compiled(`${service} ${port} ${asWhom ?? ''}`, routes, parent));
  }

  #tableOfListener(asked: AskedListener, host: string): RouteTable {
    const { gateway } = asked;
    const listener = listenerFor(asked, host).name;
    const routes = this.#parts.routesOfGateway(gateway);
    const parent: TableParent = { kind: 'listener', gateway, listener };
    // no name of a service has an @
    return this.#compiled(`@${gateway} ${listener}`, routes, parent);
  }

  #compiled(key: string, routes: readonly Route[], parent: TableParent): RouteTable {
    const known = this.#tables.get(key);
    if (known?.routes === routes) return known.table;
    const table = compileRoutes(routes, parent, compileRegex);
    for (const { route, where, pattern, why } of table.problems) {
      this.#parts.log.warn('A regular expression cannot be compiled: its match is never met', {
        route,
        where,
        pattern,
        why,
      });
    }
    this.#tables.delete(key);
    this.#tables.set(key, { routes, table });
    const [oldest] = this.#tables.keys();
    if (this.#tables.size > MAX_TABLES && oldest !== undefined) this.#tables.delete(oldest);
    return table;
  }
}

function emptyIsNone(table: RouteTable): RouteTable | undefined {
  return table.routes.length === 0 ? undefined : table;
}
