// The objects a cluster has from its first moment: system namespaces, default roles, the `kubernetes` service.

import { isIP, isIPv6 } from 'node:net';
import { DEFAULT_BINDINGS, DEFAULT_ROLES } from './auth/default-roles.ts';
import { MASTERS } from './auth/rbac.ts';
import type { Cluster } from './cluster.ts';
import { createFromBody } from './write/create.ts';

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export function bootstrap(
  cluster: Cluster,
  {
    endpoint,
    caPem,
  }: {
    readonly endpoint: { readonly host: string; readonly port: number };
    readonly caPem: string;
  },
): void {
  const create = (
    group: string,
    version: string,
    plural: string,
    body: object,
    namespace?: string,
  ): void => {
    const kind = cluster.kinds.find(group, version, plural);
    if (kind === undefined)
      throw new Error(`Bootstrapping ${plural}.${group}: the kind is not registered`);
    createFromBody(cluster, body, {
      kind,
      namespace,
      user: { name: 'system:apiserver', groups: [MASTERS] },
      dryRun: false,
      fieldValidation: 'Strict',
      fieldManager: 'ambit-apiserver',
      force: false,
      warn: () => {},
    });
  };
  for (const name of NAMESPACES) create('', 'v1', 'namespaces', { metadata: { name } });
  const rbac = 'rbac.authorization.k8s.io';
  for (const role of DEFAULT_ROLES) create(rbac, 'v1', 'clusterroles', role);
  for (const binding of DEFAULT_BINDINGS) create(rbac, 'v1', 'clusterrolebindings', binding);
  // where a kubelet, or any extension server, finds the authority whose clients it may trust
  create(
    '',
    'v1',
    'configmaps',
    {
      metadata: { name: 'extension-apiserver-authentication' },
      data: { 'client-ca-file': caPem },
    },
    'kube-system',
  );
  const ports = [{ name: 'https', port: 443, protocol: 'TCP', targetPort: endpoint.port }];
  const labels = { component: 'apiserver', provider: 'kubernetes' };
  if (cluster.serviceCidrs.length > 0) {
    create(
      '',
      'v1',
      'services',
      { metadata: { name: 'kubernetes', labels }, spec: { ports } },
      'default',
    );
  }
  if (isIP(endpoint.host) === 0) return;
  create(
    'discovery.k8s.io',
    'v1',
    'endpointslices',
    {
      metadata: { name: 'kubernetes', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
      addressType: isIPv6(endpoint.host) ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [endpoint.host], conditions: { ready: true } }],
      ports: [{ name: 'https', port: endpoint.port, protocol: 'TCP' }],
    },
    'default',
  );
  create(
    '',
    'v1',
    'endpoints',
    {
      metadata: {
        name: 'kubernetes',
        labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      },
      subsets: [
        {
          addresses: [{ ip: endpoint.host }],
          ports: [{ name: 'https', port: endpoint.port, protocol: 'TCP' }],
        },
      ],
    },
    'default',
  );
}
