// Schemas of the small groups: discovery, coordination, events, rbac, and CustomResourceDefinitions themselves.

import {
  anything,
  flag,
  integer,
  keyedList,
  list,
  mapOf,
  object,
  type Schema,
  text,
  time,
} from '../../schema.ts';
import { CONDITIONS, OBJECT_REFERENCE, resource, SELECTOR } from '../../schemas/meta.ts';
import { definer, field } from './definition.ts';

const discovery = definer('discovery.v1');
const coordination = definer('coordination.v1');
const rbac = definer('rbac.v1');
const crd = definer('apiextensions.v1');
const strings = (description: string): Schema => list(text(), { description });

const ENDPOINT = discovery(
  'Endpoint',
  'One backend of a service.',
  {
    addresses: { ...strings('Its addresses, all of one kind.'), 'x-kubernetes-list-type': 'set' },
    conditions: discovery('EndpointConditions', 'Whether it can be used.', {
      ready: flag({ description: 'It takes new connections.' }),
      serving: flag({ description: 'It answers, perhaps while it terminates.' }),
      terminating: flag({ description: 'It is on its way out.' }),
    }),
    hostname: text({ description: 'Its host name.' }),
    nodeName: text({ description: 'Node it runs on.' }),
    zone: text({ description: 'Zone it runs in.' }),
    targetRef: field(OBJECT_REFERENCE, 'The object it stands for.'),
    deprecatedTopology: mapOf(text()),
    hints: discovery('EndpointHints', 'Who should use it.', {
      forZones: list(object({ name: text() }, ['name'])),
      forNodes: list(object({ name: text() }, ['name'])),
    }),
  },
  ['addresses'],
);

const RULE = rbac(
  'PolicyRule',
  'What may be done to what.',
  {
    verbs: strings('What may be done.'),
    apiGroups: strings('Groups of the resources.'),
    resources: strings('The resources.'),
    resourceNames: strings('Names, when not all.'),
    nonResourceURLs: strings('Paths beside resources.'),
  },
  ['verbs'],
);
const SUBJECT = rbac(
  'Subject',
  'Whom a role is given to.',
  {
    kind: text({ description: 'User, Group or ServiceAccount.' }),
    apiGroup: text({ description: 'Group of the subject.' }),
    name: text({ description: 'Its name.' }),
    namespace: text({ description: 'Its namespace, for service accounts.' }),
  },
  ['kind', 'name'],
  { 'x-kubernetes-map-type': 'atomic' },
);
const ROLE_REF = rbac(
  'RoleRef',
  'The role that is given.',
  { apiGroup: text(), kind: text(), name: text() },
  ['kind', 'name'],
  { 'x-kubernetes-map-type': 'atomic' },
);
const rules = list(RULE, { description: 'What the role allows.' });
const binding = (description: string): Schema =>
  resource(
    description,
    { roleRef: ROLE_REF, subjects: list(SUBJECT, { description: 'Whom it is given to.' }) },
    ['roleRef'],
  );

const CRD_NAMES = crd(
  'CustomResourceDefinitionNames',
  'How the kind is called.',
  {
    plural: text({ description: 'Name in paths.' }),
    singular: text({ description: 'Name for one.' }),
    kind: text({ description: 'Kind of the objects.' }),
    listKind: text({ description: 'Kind of their lists.' }),
    shortNames: strings('Short names for kubectl.'),
    categories: strings('Groups of kinds it belongs to, e.g. all.'),
  },
  ['plural', 'kind'],
);
const CRD_VERSION = crd(
  'CustomResourceDefinitionVersion',
  'One version of the kind.',
  {
    name: text({ description: 'Name of the version.' }),
    served: flag({ description: 'Whether it is served.' }),
    storage: flag({ description: 'Whether objects are stored in it.' }),
    deprecated: flag(),
    deprecationWarning: text(),
    schema: object({ openAPIV3Schema: anything({ description: 'How objects look.' }) }, [], {
      description: 'How objects look.',
    }),
    subresources: object({
      status: anything(),
      scale: object({
        specReplicasPath: text(),
        statusReplicasPath: text(),
        labelSelectorPath: text(),
      }),
    }),
    additionalPrinterColumns: list(
      object(
        {
          name: text(),
          type: text(),
          format: text(),
          description: text(),
          priority: integer({ format: 'int32' }),
          jsonPath: text(),
        },
        ['name', 'type', 'jsonPath'],
      ),
      { description: 'Columns of kubectl get.' },
    ),
    selectableFields: list(object({ jsonPath: text() }, ['jsonPath'])),
  },
  ['name', 'served', 'storage'],
);

export const GROUP_KINDS: Readonly<Record<string, Schema>> = {
  'EndpointSlice.discovery.k8s.io': resource(
    'A part of the backends of a service.',
    {
      addressType: text({ description: 'IPv4, IPv6 or FQDN.' }),
      endpoints: list(ENDPOINT, { description: 'The backends.' }),
      ports: list(
        discovery('EndpointPort', 'A port of the backends.', {
          name: text({ default: '' }),
          protocol: text({ default: 'TCP' }),
          port: integer({ format: 'int32' }),
          appProtocol: text(),
        }),
        { description: 'Ports all of them have.' },
      ),
    },
    ['addressType', 'endpoints'],
  ),
  'Lease.coordination.k8s.io': resource('Says who holds something, and until when.', {
    spec: coordination('LeaseSpec', 'Who holds it.', {
      holderIdentity: text({ description: 'The holder.' }),
      leaseDurationSeconds: integer({ format: 'int32', description: 'How long it lasts.' }),
      acquireTime: time({ description: 'When it was taken.' }),
      renewTime: time({ description: 'When it was last renewed.' }),
      leaseTransitions: integer({ format: 'int32', description: 'How often the holder changed.' }),
      strategy: text(),
      preferredHolder: text(),
    }),
  }),
  'Event.events.k8s.io': resource('Something that happened to an object.', {
    eventTime: time(),
    regarding: field(OBJECT_REFERENCE, 'What it happened to.'),
    related: OBJECT_REFERENCE,
    reason: text(),
    action: text(),
    note: text(),
    type: text(),
    reportingController: text(),
    reportingInstance: text(),
    series: object({ count: integer(), lastObservedTime: time() }),
    deprecatedSource: object({ component: text(), host: text() }),
    deprecatedFirstTimestamp: time(),
    deprecatedLastTimestamp: time(),
    deprecatedCount: integer(),
  }),
  'Role.rbac.authorization.k8s.io': resource('Rights within a namespace.', { rules }),
  'ClusterRole.rbac.authorization.k8s.io': resource('Rights in the whole cluster.', {
    rules,
    aggregationRule: object({ clusterRoleSelectors: list(SELECTOR) }),
  }),
  'RoleBinding.rbac.authorization.k8s.io': binding('Gives a role within a namespace.'),
  'ClusterRoleBinding.rbac.authorization.k8s.io': binding('Gives a role in the whole cluster.'),
  'CustomResourceDefinition.apiextensions.k8s.io': resource(
    'Adds a kind to the API.',
    {
      spec: crd(
        'CustomResourceDefinitionSpec',
        'The kind to add.',
        {
          group: text({ description: 'Group of the kind.' }),
          names: CRD_NAMES,
          scope: text({ description: 'Namespaced or Cluster.' }),
          versions: list(CRD_VERSION, { description: 'Versions of the kind.' }),
          conversion: anything({ default: { strategy: 'None' } }),
          preserveUnknownFields: flag(),
        },
        ['group', 'names', 'scope', 'versions'],
      ),
      status: crd('CustomResourceDefinitionStatus', 'How the definition fares.', {
        conditions: keyedList(['type'], CONDITIONS.items ?? anything()),
        acceptedNames: anything(),
        storedVersions: strings('Versions objects were stored in.'),
        observedGeneration: integer({ format: 'int64' }),
      }),
    },
    ['spec'],
  ),
};
