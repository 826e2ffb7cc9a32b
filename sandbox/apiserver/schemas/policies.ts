// The remaining groups: RBAC, discovery, coordination, networking, admission, storage, scheduling, API extensions.

import {
  anything,
  flag,
  integer,
  list,
  object,
  oneOf,
  type Schema,
  setOf,
  text,
  time,
} from '../schema.ts';
import { CONDITIONS, OBJECT_REFERENCE, resource, SELECTOR } from './meta.ts';
import { WEBHOOKS } from './workloads.ts';

const RULES: Schema = list(
  object(
    {
      verbs: list(text()),
      apiGroups: list(text()),
      resources: list(text()),
      resourceNames: list(text()),
      nonResourceURLs: list(text()),
    },
    ['verbs'],
  ),
  { description: 'What may be done.' },
);

export const ROLE: Schema = resource('Permissions.', { rules: RULES });
export const CLUSTER_ROLE: Schema = resource('Permissions for the whole cluster.', {
  rules: RULES,
  aggregationRule: object({ clusterRoleSelectors: list(SELECTOR) }),
});
export const ROLE_BINDING: Schema = resource(
  'Who gets the permissions of a role.',
  {
    subjects: list(
      object(
        { kind: text(), apiGroup: text(), name: text(), namespace: text() },
        ['kind', 'name'],
        { 'x-kubernetes-map-type': 'atomic' },
      ),
    ),
    roleRef: object(
      {
        apiGroup: text({ default: 'rbac.authorization.k8s.io' }),
        kind: text(),
        name: text(),
      },
      ['kind', 'name'],
      { 'x-kubernetes-map-type': 'atomic' },
    ),
  },
  ['roleRef'],
);

export const LEASE: Schema = resource('Who holds something, and until when.', {
  spec: object({
    holderIdentity: text(),
    leaseDurationSeconds: integer({ minimum: 1 }),
    acquireTime: time(),
    renewTime: time(),
    leaseTransitions: integer({ minimum: 0 }),
    strategy: text(),
    preferredHolder: text(),
  }),
});

const HINTS: Schema = object({
  forZones: list(object({ name: text() }, ['name'])),
  forNodes: list(object({ name: text() }, ['name'])),
});

export const ENDPOINT_SLICE: Schema = resource(
  'Addresses behind a service.',
  {
    addressType: oneOf(['FQDN', 'IPv4', 'IPv6']),
    endpoints: list(
      object(
        {
          addresses: setOf(text()),
          conditions: object({ ready: flag(), serving: flag(), terminating: flag() }),
          hostname: text(),
          targetRef: OBJECT_REFERENCE,
          deprecatedTopology: { type: 'object', additionalProperties: text() },
          nodeName: text(),
          zone: text(),
          hints: HINTS,
        },
        ['addresses'],
      ),
    ),
    ports: list(
      object(
        {
          name: text({ default: '' }),
          protocol: text({ default: 'TCP' }),
          port: integer(),
          appProtocol: text(),
        },
        [],
        { 'x-kubernetes-map-type': 'atomic' },
      ),
    ),
  },
  ['addressType'],
);

const PEER: Schema = object({
  podSelector: SELECTOR,
  namespaceSelector: SELECTOR,
  ipBlock: object({ cidr: text(), except: list(text()) }, ['cidr']),
});
const POLICY_PORTS: Schema = list(
  object({
    protocol: text({ default: 'TCP' }),
    port: { 'x-kubernetes-int-or-string': true },
    endPort: integer(),
  }),
);

export const NETWORK_POLICY: Schema = resource('Who may talk to pods; kept, not enforced.', {
  spec: object({
    podSelector: SELECTOR,
    ingress: list(object({ ports: POLICY_PORTS, from: list(PEER) })),
    egress: list(object({ ports: POLICY_PORTS, to: list(PEER) })),
    policyTypes: list(text()),
  }),
});

const BACKEND: Schema = object({
  service: object({ name: text(), port: object({ name: text(), number: integer() }) }, ['name']),
  resource: OBJECT_REFERENCE,
});

export const INGRESS: Schema = resource('HTTP routes from outside; kept, not acted on.', {
  spec: object({
    ingressClassName: text(),
    defaultBackend: BACKEND,
    tls: list(object({ hosts: list(text()), secretName: text() })),
    rules: list(
      object({
        host: text(),
        http: object(
          {
            paths: list(
              object({ path: text(), pathType: text(), backend: BACKEND }, ['pathType', 'backend']),
            ),
          },
          ['paths'],
        ),
      }),
    ),
  }),
  status: anything(),
});

export const WEBHOOK_CONFIGURATION: Schema = resource('Admission webhooks; kept, not called.', {
  webhooks: WEBHOOKS,
});

export const PRIORITY_CLASS: Schema = resource(
  'How important pods are.',
  {
    value: integer(),
    globalDefault: flag(),
    description: text(),
    preemptionPolicy: text({ default: 'PreemptLowerPriority' }),
  },
  ['value'],
);

export const STORAGE_CLASS: Schema = resource(
  'A kind of storage; kept, nothing is provisioned.',
  {
    provisioner: text(),
    parameters: { type: 'object', additionalProperties: text() },
    reclaimPolicy: text({ default: 'Delete' }),
    mountOptions: list(text()),
    allowVolumeExpansion: flag(),
    volumeBindingMode: text({ default: 'Immediate' }),
    allowedTopologies: list(anything()),
  },
  ['provisioner'],
);

const CUSTOM_VERSION: Schema = object(
  {
    name: text(),
    served: flag(),
    storage: flag(),
    deprecated: flag(),
    deprecationWarning: text(),
    schema: object({ openAPIV3Schema: anything() }),
    subresources: object({
      status: anything(),
      scale: object(
        { specReplicasPath: text(), statusReplicasPath: text(), labelSelectorPath: text() },
        ['specReplicasPath', 'statusReplicasPath'],
      ),
    }),
    additionalPrinterColumns: list(
      object(
        {
          name: text(),
          type: text(),
          format: text(),
          description: text(),
          priority: integer(),
          jsonPath: text(),
        },
        ['name', 'type', 'jsonPath'],
      ),
    ),
    selectableFields: list(object({ jsonPath: text() }, ['jsonPath'])),
  },
  ['name', 'served', 'storage'],
);
const CUSTOM_NAMES: Schema = object(
  {
    plural: text(),
    singular: text(),
    shortNames: list(text()),
    kind: text(),
    listKind: text(),
    categories: list(text()),
  },
  ['plural', 'kind'],
);

export const CUSTOM_RESOURCE_DEFINITION: Schema = resource(
  'A kind of objects, defined by an object.',
  {
    spec: object(
      {
        group: text(),
        names: CUSTOM_NAMES,
        scope: oneOf(['Cluster', 'Namespaced']),
        versions: list(CUSTOM_VERSION),
        conversion: object({ strategy: text(), webhook: anything() }, ['strategy']),
        preserveUnknownFields: flag(),
      },
      ['group', 'names', 'scope', 'versions'],
    ),
    status: object({
      conditions: CONDITIONS,
      acceptedNames: { ...CUSTOM_NAMES, required: [] },
      storedVersions: list(text()),
    }),
  },
  ['spec'],
);

export const INGRESS_CLASS: Schema = resource('Who serves ingresses.', {
  spec: object({ controller: text(), parameters: anything() }),
});
