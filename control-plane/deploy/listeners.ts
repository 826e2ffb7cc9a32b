// What of a Gateway's listeners can be served, and if not why: the four conditions of each. Pure. Called by
// gateway-outcome.ts.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { TUNNEL_PORT } from '../../mesh/own-ports.ts';
import { WAYPOINT_PROTOCOL } from '../../mesh/waypoint.ts';
import type {
  Gateway,
  Listener,
  ReferenceGrant,
  RouteKind,
  SecretReference,
} from '../../runtime/kubernetes/gateway-objects.ts';
import type { Secret } from '../../runtime/kubernetes/objects.ts';
import { GATEWAYS } from '../../runtime/kubernetes/resources.ts';
import type { Finding } from '../translate/outcome.ts';
import type { GatewayKind } from './gateway-kind.ts';

export type ListenerFacts = {
  readonly secret: (namespace: string, name: string) => Secret | undefined;
  readonly grants: Iterable<ReferenceGrant>;
};

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
};

type Fault = { readonly reason: string; readonly message: string };

const GROUP = GATEWAYS.group;
const HTTP_KINDS = ['HTTPRoute', 'GRPCRoute'];
const KINDS: Readonly<Record<GatewayKind, Readonly<Record<string, readonly string[]>>>> = {
  waypoint: { [WAYPOINT_PROTOCOL]: [...HTTP_KINDS, 'TLSRoute', 'TCPRoute'] },
  ingress: { HTTP: HTTP_KINDS, HTTPS: HTTP_KINDS, TLS: ['TLSRoute'], TCP: ['TCPRoute'] },
};

export function judgeListeners(
  gateway: Gateway,
  kind: GatewayKind,
  facts: ListenerFacts,
): ListenerVerdict[] {
  const { listeners } = gateway.spec;
  return listeners.map((listener) => {
    const kinds = KINDS[kind][listener.protocol];
    const { supportedKinds, fault } = kindsOf(listener, kinds ?? []);
    const refused = refusalOf(listener, kind);
    const conflict = refused === undefined ? conflictOf(listener, listeners) : undefined;
    const certificates = certificateFault(gateway, listener, facts);
    return {
      listener,
      supportedKinds,
      refused,
      conflict,
      unresolved: fault ?? certificates,
      usable: refused === undefined && conflict === undefined && certificates === undefined,
    };
  });
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
  if (KINDS[kind][protocol] === undefined) {
    const known = Object.keys(KINDS[kind]).join(', ');
    const message = `Protocol ${protocol} is not served by this class of Gateway: use ${known}`;
    return { reason: 'UnsupportedProtocol', message };
  }
  if (kind === 'waypoint' && port !== TUNNEL_PORT) {
    const message = `A waypoint listens on port ${TUNNEL_PORT}, where its callers look for it, not on ${port}`;
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

function certificateFault(
  gateway: Gateway,
  { protocol, tls }: Listener,
  facts: ListenerFacts,
): Fault | undefined {
  if (protocol !== 'HTTPS' && protocol !== 'TLS') return undefined;
  if ((tls?.mode ?? 'Terminate') === 'Passthrough') return undefined;
  const refs = tls?.certificateRefs ?? [];
  if (refs.length === 0) {
    return invalid('It terminates TLS and has no certificateRefs');
  }
  for (const ref of refs) {
    const fault = referenceFault(gateway.metadata.namespace ?? '', ref, facts);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function referenceFault(
  place: string,
  { group = '', kind = 'Secret', name, namespace = place }: SecretReference,
  facts: ListenerFacts,
): Fault | undefined {
  if (group !== '' || kind !== 'Secret') {
    return invalid(`certificateRefs has a ${kind} of group "${group}": only a Secret can be read`);
  }
  const secret = `Secret ${namespace}/${name}`;
  if (namespace !== place && !isGranted(place, namespace, name, facts.grants)) {
    const message = `No ReferenceGrant in ${namespace} lets Gateways of ${place} use ${secret}`;
    return { reason: 'RefNotPermitted', message };
  }
  const found = facts.secret(namespace, name);
  if (found === undefined) return invalid(`${secret} is not there`);
  const text = (key: string): string =>
    Buffer.from(found.data?.[key] ?? '', 'base64').toString('utf8');
  try {
    const certificate = new X509Certificate(text('tls.crt'));
    if (!certificate.checkPrivateKey(createPrivateKey(text('tls.key')))) {
      return invalid(`tls.key of ${secret} is not the key of its tls.crt`);
    }
  } catch {
    return invalid(`${secret} has no certificate in tls.crt with its key in tls.key`);
  }
  return undefined;
}

function invalid(message: string): Fault {
  return { reason: 'InvalidCertificateRef', message };
}

function isGranted(
  place: string,
  namespace: string,
  name: string,
  grants: Iterable<ReferenceGrant>,
): boolean {
  for (const { metadata, spec } of grants) {
    if (metadata.namespace !== namespace) continue;
    const from = spec.from.some(
      (one) => one.group === GROUP && one.kind === GATEWAYS.kind && one.namespace === place,
    );
    const to = spec.to.some(
      (one) =>
        one.group === '' &&
        one.kind === 'Secret' &&
        (one.name === undefined || one.name === '' || one.name === name),
    );
    if (from && to) return true;
  }
  return false;
}
