// A parentRef to a Gateway: which of its listeners take the route, and for which hosts. Called by routes.ts; the kinds a
// listener takes also by whoever writes the status of Gateways. Gateways of other classes are none of our business.

import { CONTROLLER_NAME } from '../../../mesh/waypoint.ts';
import type { Gateway, Listener } from '../../../runtime/kubernetes/gateway-objects.ts';
import type { Namespace } from '../../../runtime/kubernetes/objects.ts';
import { GATEWAY_GROUP, type ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import { matchesLabels } from '../label-selector.ts';
import { type Attachment, type Place, refused } from './attachment.ts';
import { meetingHostnames } from './hostnames.ts';
import type { RouteObjects, RouteSource } from './route-objects.ts';

/** By `namespace/name`: those whose class is ours. */
export function ownGateways(
  world: Pick<RouteObjects, 'gateways' | 'gatewayClasses'>,
): Map<string, Gateway> {
  const own = new Map<string, Gateway>();
  for (const gateway of world.gateways) {
    const gatewayClass = world.gatewayClasses.get(gateway.spec.gatewayClassName);
    if (gatewayClass?.spec.controllerName === CONTROLLER_NAME)
      own.set(gatewayKey(gateway), gateway);
  }
  return own;
}

export function gatewayKey({ metadata }: Gateway): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

/** What the protocol of a listener can carry. */
export function protocolKinds({ protocol, tls }: Listener): readonly string[] {
  switch (protocol) {
    case 'HTTP':
    case 'HTTPS':
      return ['HTTPRoute', 'GRPCRoute'];
    case 'TLS':
      return (tls?.mode ?? 'Terminate') === 'Terminate' ? ['TLSRoute', 'TCPRoute'] : ['TLSRoute'];
    case 'TCP':
      return ['TCPRoute'];
    default:
      return [];
  }
}

/** Of {@link protocolKinds} those that its `allowedRoutes` leave. */
export function listenerKinds(listener: Listener): readonly string[] {
  const asked = listener.allowedRoutes?.kinds ?? [];
  const known = protocolKinds(listener);
  if (asked.length === 0) return known;
  return known.filter((kind) =>
    asked.some((one) => one.kind === kind && (one.group ?? GATEWAY_GROUP) === GATEWAY_GROUP),
  );
}

export function attachToGateway(
  source: RouteSource,
  ref: ParentReference,
  gateway: Gateway,
  namespaces: ReadonlyMap<string, Namespace>,
): Attachment {
  const place: Place = { source, ref, facet: 'gateway' };
  const key = gatewayKey(gateway);
  const named = gateway.spec.listeners.filter(
    ({ name, port }) =>
      (ref.sectionName === undefined || name === ref.sectionName) &&
      (ref.port === undefined || port === ref.port),
  );
  if (named.length === 0) {
    return refused(
      place,
      'NoMatchingParent',
      `Gateway ${key} has no listener ${listenerText(ref)}`,
    );
  }
  const { kind } = source.resource;
  const allowed = named.filter(
    (listener) =>
      listenerKinds(listener).includes(kind) &&
      allowsNamespace(listener, gateway, source.namespace, namespaces),
  );
  if (allowed.length === 0) {
    const message = `No listener of Gateway ${key} takes a ${kind} of namespace ${source.namespace}`;
    return refused(place, 'NotAllowedByListeners', message);
  }
  const asked = source.kind === 'tcp' ? [] : (source.object.spec?.hostnames ?? []);
  const parents = allowed.flatMap((listener) => {
    const hostname = source.kind === 'tcp' ? undefined : listener.hostname;
    const hostnames = meetingHostnames(hostname, asked);
    return hostnames === undefined
      ? []
      : [{ kind: 'listener' as const, gateway: key, listener: listener.name, hostnames }];
  });
  if (parents.length === 0) {
    const message = `No hostname of the route (${asked.join(', ')}) is one of a listener of Gateway ${key}`;
    return refused(place, 'NoMatchingListenerHostname', message);
  }
  return { ...place, parents, refusal: undefined, notes: [], programmed: undefined };
}

function allowsNamespace(
  { allowedRoutes }: Listener,
  gateway: Gateway,
  namespace: string,
  namespaces: ReadonlyMap<string, Namespace>,
): boolean {
  const { from = 'Same', selector } = allowedRoutes?.namespaces ?? {};
  switch (from) {
    case 'All':
      return true;
    case 'Same':
      return gateway.metadata.namespace === namespace;
    case 'Selector':
      return (
        selector !== undefined &&
        matchesLabels(selector, namespaces.get(namespace)?.metadata.labels)
      );
    default:
      return false;
  }
}

function listenerText({ port, sectionName }: ParentReference): string {
  const name = sectionName === undefined ? '' : `named "${sectionName}"`;
  return port === undefined ? name : `${name} on port ${port}`.trim();
}
