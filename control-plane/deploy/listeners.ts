// What of a Gateway's listeners can be served, and if not why: the four conditions of each. Pure. Called by
// gateway-outcome.ts.

import type { GatewayListener, Serving } from '../../mesh/gateway-listeners.ts';
import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import { WAYPOINT_PROTOCOL } from '../../mesh/waypoint.ts';
import type { Gateway, Listener, RouteKind } from '../../runtime/kubernetes/gateway-objects.ts';
import { GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import type { Finding } from '../translate/outcome.ts';
import { protocolKinds } from '../translate/routes/gateway-parents.ts';
import type { GatewayKind } from './gateway-kind.ts';
import {
  type CertificateFacts,
  type Certificates,
  certificatesOf,
  type Fault,
} from './listener-certificates.ts';
import { ADMIN_PORT, METRICS_PORT, STATUS_PORT } from './pod-template.ts';

export type ListenerVerdict = {
  readonly listener: Listener;
  readonly supportedKinds: readonly RouteKind[];
  /** Why it cannot be listened at all. */
  readonly refused: Fault | undefined;
  /** Why it gets in the way of another listener. */
  readonly conflict: Fault | undefined;
  /** What it refers to and cannot have; it is served without as far as that goes. */
  readonly unresolved: Fault | undefined;
  /** Whether it could be served, once the proxy runs. */
  readonly usable: boolean;
  /** What an ingress is told of it; undefined: it is not served, or by a waypoint. */
  readonly served: GatewayListener | undefined;
  /** A Secret of it was not looked for yet. */
  readonly pending: boolean;
};

const GROUP = GATEWAYS.group;
/** Doors of every proxy, whatever its listeners are. */
const PROXY_PORTS: readonly number[] = [ADMIN_PORT, TUNNEL_PORT, METRICS_PORT, STATUS_PORT];
const PROTOCOLS: Readonly<Record<GatewayKind, readonly string[]>> = {
  waypoint: [WAYPOINT_PROTOCOL],
  ingress: ['HTTP', 'HTTPS', 'TLS', 'TCP'],
};
/** Of a waypoint's one listener. */
const WAYPOINT_KINDS = ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'];

export function judgeListeners(
  gateway: Gateway,
  kind: GatewayKind,
  facts: CertificateFacts,
): ListenerVerdict[] {
  const { listeners } = gateway.spec;
  return listeners.map((listener) => {
    const { supportedKinds, fault } = kindsOf(listener, servedKinds(listener, kind));
    const refused = refusalOf(listener, kind);
    const conflict = refused === undefined ? conflictOf(listener, listeners) : undefined;
    const certificates = certificatesOf(gateway, listener, facts);
    const usable = refused === undefined && conflict === undefined && 'found' in certificates;
    return {
      listener,
      supportedKinds,
      refused,
      conflict,
      unresolved: fault ?? ('fault' in certificates ? certificates.fault : undefined),
      usable,
      served: usable && kind === 'ingress' ? servedAs(listener, certificates) : undefined,
      pending: 'fault' in certificates && certificates.pending,
    };
  });
}

function servedAs(
  { name, port, protocol, hostname = '', tls }: Listener,
  certificates: Certificates,
): GatewayListener | undefined {
  const serves = servingOf(protocol, tls?.mode, certificates);
  // bytes alone tell of no host
  const host = serves?.kind === 'tcp' ? '' : hostname.toLowerCase();
  return serves && { name, port, hostname: host, serves };
}

function servingOf(
  protocol: string,
  mode: 'Terminate' | 'Passthrough' | undefined,
  certificates: Certificates,
): Serving | undefined {
  if (protocol === 'HTTP') return { kind: 'http' };
  if (protocol === 'TCP') return { kind: 'tcp' };
  if (protocol === 'TLS' && mode === 'Passthrough') return { kind: 'passthrough' };
  if (!('found' in certificates)) return undefined;
  return { kind: protocol === 'HTTPS' ? 'https' : 'tls', certificates: certificates.found };
}

/** Routes attach by the same table. */
function servedKinds(listener: Listener, kind: GatewayKind): readonly string[] {
  if (kind === 'ingress') return protocolKinds(listener);
  return listener.protocol === WAYPOINT_PROTOCOL ? WAYPOINT_KINDS : [];
}

/** The four conditions; `waiting` says why nothing is served yet, undefined once the proxy runs. */
export function listenerFindings(
  { refused, conflict, unresolved, usable }: ListenerVerdict,
  waiting: string | undefined,
): Finding[] {
  const against = refused ?? conflict;
  const finding = (type: string, good: boolean, reason: string, message: string): Finding => ({
    type,
    status: good ? 'True' : 'False',
    reason,
    message,
  });
  return [
    against === undefined
      ? finding('Accepted', true, 'Accepted', 'It can be listened')
      : finding('Accepted', false, against.reason, against.message),
    unresolved === undefined
      ? finding('ResolvedRefs', true, 'ResolvedRefs', 'All that it refers to is there')
      : finding('ResolvedRefs', false, unresolved.reason, unresolved.message),
    conflict === undefined
      ? finding('Conflicted', false, 'NoConflicts', 'No other listener is in its way')
      : finding('Conflicted', true, conflict.reason, conflict.message),
    usable
      ? finding(
          'Programmed',
          waiting === undefined,
          waiting === undefined ? 'Programmed' : 'Pending',
          waiting ?? 'It is served',
        )
      : finding('Programmed', false, 'Invalid', (against ?? unresolved)?.message ?? 'Invalid'),
  ];
}

function refusalOf({ protocol, port }: Listener, kind: GatewayKind): Fault | undefined {
  if (!PROTOCOLS[kind].includes(protocol)) {
    const known = PROTOCOLS[kind].join(', ');
    const message = `Protocol ${protocol} is not served by this class of Gateway: use ${known}`;
    return { reason: 'UnsupportedProtocol', message };
  }
  if (kind === 'waypoint' && port !== TUNNEL_PORT) {
    const message = `A waypoint listens on port ${TUNNEL_PORT}, where its callers look for it, not on ${port}`;
    return { reason: 'PortUnavailable', message };
  }
  if (kind === 'ingress' && PROXY_PORTS.includes(port)) {
    const message = `Port ${port} is the proxy's own: take another than ${PROXY_PORTS.join(', ')}`;
    return { reason: 'PortUnavailable', message };
  }
  return undefined;
}

/** Protocols that can be told apart on one port by the first bytes of a connection and the name in them. */
function familyOf(protocol: string): string {
  return protocol === 'HTTPS' ? 'TLS' : protocol;
}

function conflictOf(listener: Listener, all: readonly Listener[]): Fault | undefined {
  const others = all.filter((one) => one !== listener && one.port === listener.port);
  const foreign = others.find((one) => familyOf(one.protocol) !== familyOf(listener.protocol));
  if (foreign !== undefined) {
    const message = `Listener ${foreign.name} has port ${listener.port} for ${foreign.protocol}`;
    return { reason: 'ProtocolConflict', message };
  }
  const same = others.find((one) => (one.hostname ?? '') === (listener.hostname ?? ''));
  if (same === undefined) return undefined;
  const host = listener.hostname ?? 'every host';
  const message = `Listener ${same.name} has port ${listener.port} for ${host} too`;
  return { reason: 'HostnameConflict', message };
}

function kindsOf(
  { allowedRoutes }: Listener,
  served: readonly string[],
): { supportedKinds: RouteKind[]; fault: Fault | undefined } {
  const wanted = allowedRoutes?.kinds ?? [];
  const all = served.map((kind) => ({ group: GROUP, kind }));
  if (wanted.length === 0) return { supportedKinds: all, fault: undefined };
  const isServed = ({ group = GROUP, kind }: RouteKind): boolean =>
    group === GROUP && served.includes(kind);
  const wrong = wanted.find((one) => !isServed(one));
  const supportedKinds = wanted.filter(isServed).map(({ kind }) => ({ group: GROUP, kind }));
  if (wrong === undefined) return { supportedKinds, fault: undefined };
  const message = `allowedRoutes has ${wrong.kind}, which this listener does not take: it takes ${served.join(', ')}`;
  return { supportedKinds, fault: { reason: 'InvalidRouteKinds', message } };
}
