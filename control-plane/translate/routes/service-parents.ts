// A parentRef to a Service: which of its ports the route holds for, and for whose clients. Called by routes.ts. Nobody's
// permission is needed: a route of another namespace holds for clients of that namespace only.

import { gatewayName, waypointsOf } from '../../../mesh/gateway.ts';
import { serviceKey } from '../../../mesh/service.ts';
import type { ParentReference } from '../../../runtime/kubernetes/route-objects.ts';
import type { KnownService } from '../endpoints.ts';
import { tcpPorts } from '../service.ts';
import { type Attachment, type Place, refused } from './attachment.ts';
import type { RouteSource } from './route-objects.ts';

export function attachToService(
  source: RouteSource,
  ref: ParentReference,
  services: ReadonlyMap<string, KnownService>,
): Attachment {
  const place: Place = { source, ref, facet: 'mesh' };
  const namespace = ref.namespace ?? source.namespace;
  const text = `Service ${namespace}/${ref.name}`;
  const known = services.get(`${namespace}/${ref.name}`);
  if (known === undefined) return refused(place, 'NoMatchingParent', `${text} does not exist`);
  const { object, service } = known;
  if (object.spec.type === 'ExternalName') {
    const message = `${text} is an ExternalName: it has no address that a route could hold for`;
    return refused(place, 'UnsupportedValue', message);
  }
  if (object.spec.clusterIP === 'None') {
    const message = `${text} is headless: clients connect to its pods, and a route holds for Services with an address`;
    return refused(place, 'UnsupportedValue', message);
  }
  const ports = tcpPorts(object).filter(
    (port) =>
      (ref.port === undefined || port.port === ref.port) &&
      (ref.sectionName === undefined || port.name === ref.sectionName),
  );
  if (ports.length === 0) {
    return refused(place, 'NoMatchingParent', `${text} has no TCP port ${portText(ref)}`);
  }
  const clientsOf = source.namespace === namespace ? undefined : source.namespace;
  const key = serviceKey(service);
  const everyPort = ref.port === undefined && ref.sectionName === undefined;
  const numbers = everyPort ? [undefined] : ports.map(({ port }) => port);
  const [waypoint] = waypointsOf(service);
  return {
    ...place,
    parents: numbers.map((port) => ({ kind: 'service', service: key, port, clientsOf })),
    refusal: undefined,
    notes: [],
    programmed: { by: waypoint === undefined ? undefined : gatewayName(waypoint.destination) },
  };
}

function portText({ port, sectionName }: ParentReference): string {
  const name = sectionName === undefined ? '' : `named "${sectionName}"`;
  return port === undefined ? name : `${port} ${name}`.trim();
}
