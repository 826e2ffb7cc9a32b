// Services of type LoadBalancer: where a cloud would give each a balancer, here its own cluster address is where it is
// reached. From the pods and nodes of the sandbox that leads to its endpoints, as a balancer would.

import { SERVICES } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { KubeObject } from './objects.ts';
import { type Controller, itself, NOTHING, nameOf, type Plan } from './plan.ts';
import { statusActions } from './status.ts';

type Service = KubeObject & {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIPs?: readonly string[];
    readonly loadBalancerClass?: string;
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly object[] } };
};

export const loadBalancers: Controller = {
  name: 'load-balancer-controller',
  watches: [{ resource: SERVICES, keys: itself }],
  reconcile: give,
};

export function give(key: string, observed: Observed): Plan {
  const { namespace, name } = nameOf(key);
  const service = observed.get<Service>(SERVICES, name, namespace);
  // one with a class of its own is somebody else's
  if (service?.spec?.loadBalancerClass !== undefined) return NOTHING;
  const { type, clusterIPs = [] } = service?.spec ?? {};
  const ingress = type === 'LoadBalancer' ? clusterIPs.map((ip) => ({ ip, ipMode: 'VIP' })) : [];
  if (service === undefined || (ingress.length === 0 && !hasAddress(service))) return NOTHING;
  const loadBalancer = ingress.length === 0 ? {} : { ingress };
  return { actions: statusActions(SERVICES, service, { ...service.status, loadBalancer }) };
}

function hasAddress({ status }: Service): boolean {
  return (status?.loadBalancer?.ingress ?? []).length > 0;
}
