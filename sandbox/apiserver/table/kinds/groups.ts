// `kubectl get` of the small groups: endpoint slices, leases, RBAC, CustomResourceDefinitions.

import { type KubeObject, listAt, recordAt, stringAt } from '../../object.ts';
import {
  AGE,
  type Column,
  CREATED_AT,
  firstOf,
  joined,
  NAME,
  recordsAt,
  spec,
  text,
  wide,
} from '../columns.ts';
import { EVENT_COLUMNS } from './core.ts';

/** Addresses and ports shown of a slice. */
const MAX_SHOWN = 3;

function slicePorts(slice: KubeObject): string {
  const ports = recordsAt(slice, 'ports').map(({ port }) =>
    port === undefined ? '*' : String(port),
  );
  return ports.length === 0 ? '<unset>' : firstOf(ports, MAX_SHOWN);
}

function sliceAddresses(slice: KubeObject): string {
  const addresses = recordsAt(slice, 'endpoints').flatMap((endpoint) =>
    listAt(endpoint, 'addresses').map(String),
  );
  return addresses.length === 0 ? '<unset>' : firstOf(addresses, MAX_SHOWN);
}

const subjects = (name: string, kind: string): Column =>
  wide(name, (binding) =>
    recordsAt(binding, 'subjects')
      .filter((subject) => subject['kind'] === kind)
      .map((subject) => {
        const own = stringAt(subject, 'name') ?? '';
        return kind === 'ServiceAccount' ? `${stringAt(subject, 'namespace') ?? ''}/${own}` : own;
      })
      .join(', '),
  );

const BINDING: readonly Column[] = [
  NAME,
  text('Role', (binding) => {
    const { kind, name } = recordAt(binding, 'roleRef');
    return `${String(kind ?? '')}/${String(name ?? '')}`;
  }),
  AGE,
  subjects('Users', 'User'),
  subjects('Groups', 'Group'),
  subjects('ServiceAccounts', 'ServiceAccount'),
];

export const GROUP_TABLES: Readonly<Record<string, readonly Column[]>> = {
  'EndpointSlice.discovery.k8s.io': [
    NAME,
    text('AddressType', (slice) => stringAt(slice, 'addressType') ?? ''),
    text('Ports', slicePorts),
    text('Endpoints', sliceAddresses),
    AGE,
  ],
  'Lease.coordination.k8s.io': [
    NAME,
    text('Holder', (lease) => stringAt(spec(lease), 'holderIdentity') ?? ''),
    AGE,
  ],
  'Event.events.k8s.io': EVENT_COLUMNS,
  'Role.rbac.authorization.k8s.io': [NAME, CREATED_AT],
  'ClusterRole.rbac.authorization.k8s.io': [NAME, CREATED_AT],
  'RoleBinding.rbac.authorization.k8s.io': BINDING,
  'ClusterRoleBinding.rbac.authorization.k8s.io': BINDING,
  'CustomResourceDefinition.apiextensions.k8s.io': [NAME, CREATED_AT],
  'IngressClass.networking.k8s.io': [
    NAME,
    text('Controller', (object) => stringAt(spec(object), 'controller') ?? ''),
    AGE,
  ],
  'Ingress.networking.k8s.io': [
    NAME,
    text('Class', (object) => stringAt(spec(object), 'ingressClassName') ?? '<none>'),
    text('Hosts', (object) => {
      const hosts = recordsAt(spec(object), 'rules').map((rule) => stringAt(rule, 'host') ?? '*');
      return hosts.length === 0 ? '*' : joined(hosts);
    }),
    AGE,
  ],
};
