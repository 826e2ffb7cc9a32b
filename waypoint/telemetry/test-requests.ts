// Requests as tests of telemetry make them: one client, one service, one endpoint.

import { parseIp } from '../../mesh/address.ts';
import type { Identity } from '../../mesh/identity.ts';
import type { Service } from '../../mesh/service.ts';
import type { DescribedWorkload } from '../../mesh/workload.ts';
import type { BeginFacts } from './request-trail.ts';

export function describedWorkload(name: string, namespace = 'shop'): DescribedWorkload {
  return {
    name: `${name}-5d8f-x2x`,
    namespace,
    cluster: 'Kubernetes',
    workloadName: name,
    canonicalName: name,
    canonicalRevision: 'v1',
    locality: { region: '', zone: '', subzone: '' },
  };
}

export function identity(serviceAccount: string): Identity {
  return { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount };
}

export const SERVICE: Service = {
  name: 'web',
  namespace: 'shop',
  hostname: 'web.shop.svc.cluster.local',
  vips: [],
  ports: [],
  subjectAltNames: [],
  waypoint: undefined,
  weightedWaypoints: [],
  ingressUseWaypoint: false,
  loadBalancing: undefined,
  ipFamilies: 'automatic',
  canonical: true,
  visibility: 'public',
  sessionAffinitySeconds: undefined,
  balancing: 'least-request',
};

export const HEAD: BeginFacts = {
  method: 'GET',
  authority: 'web.shop',
  path: '/cart?user=7',
  protocol: 'h2',
  requestId: 'id-1',
  userAgent: 'curl/8',
  forwardedFor: '192.0.2.1',
  source: { ip: parseIp('10.0.0.1'), port: 40_000 },
  sourceIdentity: identity('client'),
  sourceWorkload: describedWorkload('client'),
  local: { ip: parseIp('10.96.0.10'), port: 80 },
  service: SERVICE,
  route: { route: 'shop/cart', rule: '0' },
};

export const ENDPOINT = {
  service: SERVICE,
  destinationWorkload: describedWorkload('web'),
  destinationIdentity: identity('web'),
  destination: { ip: parseIp('10.0.0.2'), port: 8080 },
};
