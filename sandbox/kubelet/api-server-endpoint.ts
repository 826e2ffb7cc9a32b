// Under a given API server: its own endpoints are addresses of a network that the sandbox's pods are not in. They, and
// Service `kubernetes`, are made to lead to where the sandbox brings it in. Called by service-proxy.ts. Pure.

import type { EndpointSlice, Service } from '../../runtime/kubernetes/objects.ts';
import type { ServiceRule } from '../network/network.ts';

export type ApiServerEndpoint = { readonly host: string; readonly port: number };

type Objects = {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
};

const NAMESPACE = 'default';
const NAME = 'kubernetes';
const SERVICE_NAME = 'kubernetes.io/service-name';

/** Service `kubernetes` with that endpoint only; unchanged without one. */
export function withApiServer(
  { services, slices }: Objects,
  endpoint: ApiServerEndpoint | undefined,
): Objects {
  if (endpoint === undefined) return { services, slices };
  const service = services.find(
    ({ metadata }) => metadata.namespace === NAMESPACE && metadata.name === NAME,
  );
  const inside: EndpointSlice = {
    metadata: { namespace: NAMESPACE, name: NAME, labels: { [SERVICE_NAME]: NAME } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [endpoint.host] }],
    ports: (service?.spec.ports ?? []).map(({ name = '' }) => ({ name, port: endpoint.port })),
  };
  return { services, slices: [...slices.filter((slice) => !isApiServer(slice)), inside] };
}

/** The real endpoints as if they were addresses of Services: a proxy that has chosen one of them gets there too. */
export function apiServerRules(
  { slices }: Objects,
  endpoint: ApiServerEndpoint | undefined,
): ServiceRule[] {
  if (endpoint === undefined) return [];
  return slices
    .filter((slice) => isApiServer(slice) && slice.addressType === 'IPv4')
    .map(({ endpoints = [], ports = [] }, index) => ({
      namespace: NAMESPACE,
      name: `${NAME}-${index}`,
      // a pod's localhost stays its own
      clusterIps: endpoints
        .flatMap(({ addresses }) => addresses)
        .filter((ip) => !ip.startsWith('127.')),
      ports: ports.flatMap(({ port }) =>
        port === undefined
          ? []
          : [
              {
                port,
                protocol: 'TCP' as const,
                endpoints: [{ ip: endpoint.host, port: endpoint.port, local: false }],
              },
            ],
      ),
      internalLocal: false,
    }));
}

function isApiServer({ metadata }: EndpointSlice): boolean {
  return metadata.namespace === NAMESPACE && metadata.labels?.[SERVICE_NAME] === NAME;
}
