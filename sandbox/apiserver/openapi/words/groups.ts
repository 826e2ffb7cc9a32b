// Words on the small groups: discovery, coordination, events, rbac, API extensions.

import type { Words } from './shape.ts';

export const GROUP_WORDS: Words = {
  'discovery.v1.EndpointSlice': {
    is: 'A part of the backends of a service.',
    fields: {
      addressType: 'IPv4, IPv6 or FQDN.',
      endpoints: { is: 'The backends.', type: 'discovery.v1.Endpoint' },
      ports: { is: 'Ports all of them have.', type: 'discovery.v1.EndpointPort' },
    },
  },
  'discovery.v1.Endpoint': {
    is: 'One backend of a service.',
    fields: {
      addresses: 'Its addresses, all of one kind.',
      conditions: { is: 'Whether it can be used.', type: 'discovery.v1.EndpointConditions' },
      hostname: 'Its host name.',
      nodeName: 'Node it runs on.',
      zone: 'Zone it runs in.',
      targetRef: 'The object it stands for.',
      hints: { is: 'Who should use it.', type: 'discovery.v1.EndpointHints' },
    },
  },
  'discovery.v1.EndpointConditions': {
    is: 'Whether it can be used.',
    fields: {
      ready: 'It takes new connections.',
      serving: 'It answers, perhaps while it terminates.',
      terminating: 'It is on its way out.',
    },
  },
  'discovery.v1.EndpointHints': {
    is: 'Who should use it.',
    fields: {},
  },
  'discovery.v1.EndpointPort': {
    is: 'A port of the backends.',
    fields: {},
  },
  'coordination.v1.Lease': {
    is: 'Says who holds something, and until when.',
    fields: {
      spec: { is: 'Who holds it.', type: 'coordination.v1.LeaseSpec' },
    },
  },
  'coordination.v1.LeaseSpec': {
    is: 'Who holds it.',
    fields: {
      holderIdentity: 'The holder.',
      leaseDurationSeconds: 'How long it lasts.',
      acquireTime: 'When it was taken.',
      renewTime: 'When it was last renewed.',
      leaseTransitions: 'How often the holder changed.',
    },
  },
  'events.v1.Event': {
    is: 'Something that happened to an object.',
    fields: {
      regarding: 'What it happened to.',
    },
  },
  'rbac.v1.Role': {
    is: 'Rights within a namespace.',
    fields: {
      rules: { is: 'What the role allows.', type: 'rbac.v1.PolicyRule' },
    },
  },
  'rbac.v1.PolicyRule': {
    is: 'What may be done to what.',
    fields: {
      verbs: 'What may be done.',
      apiGroups: 'Groups of the resources.',
      resources: 'The resources.',
      resourceNames: 'Names, when not all.',
      nonResourceURLs: 'Paths beside resources.',
    },
  },
  'rbac.v1.ClusterRole': {
    is: 'Rights in the whole cluster.',
    fields: {
      rules: { is: 'What the role allows.', type: 'rbac.v1.PolicyRule' },
    },
  },
  'rbac.v1.RoleBinding': {
    is: 'Gives a role within a namespace.',
    fields: {
      roleRef: { is: 'The role that is given.', type: 'rbac.v1.RoleRef' },
      subjects: { is: 'Whom it is given to.', type: 'rbac.v1.Subject' },
    },
  },
  'rbac.v1.RoleRef': {
    is: 'The role that is given.',
    fields: {},
  },
  'rbac.v1.Subject': {
    is: 'Whom a role is given to.',
    fields: {
      kind: 'User, Group or ServiceAccount.',
      apiGroup: 'Group of the subject.',
      name: 'Its name.',
      namespace: 'Its namespace, for service accounts.',
    },
  },
  'rbac.v1.ClusterRoleBinding': {
    is: 'Gives a role in the whole cluster.',
    fields: {
      roleRef: { is: 'The role that is given.', type: 'rbac.v1.RoleRef' },
      subjects: { is: 'Whom it is given to.', type: 'rbac.v1.Subject' },
    },
  },
  'apiextensions.v1.CustomResourceDefinition': {
    is: 'Adds a kind to the API.',
    fields: {
      spec: { is: 'The kind to add.', type: 'apiextensions.v1.CustomResourceDefinitionSpec' },
      status: {
        is: 'How the definition fares.',
        type: 'apiextensions.v1.CustomResourceDefinitionStatus',
      },
    },
  },
  'apiextensions.v1.CustomResourceDefinitionSpec': {
    is: 'The kind to add.',
    fields: {
      group: 'Group of the kind.',
      names: {
        is: 'How the kind is called.',
        type: 'apiextensions.v1.CustomResourceDefinitionNames',
      },
      scope: 'Namespaced or Cluster.',
      versions: {
        is: 'Versions of the kind.',
        type: 'apiextensions.v1.CustomResourceDefinitionVersion',
      },
    },
  },
  'apiextensions.v1.CustomResourceDefinitionNames': {
    is: 'How the kind is called.',
    fields: {
      plural: 'Name in paths.',
      singular: 'Name for one.',
      kind: 'Kind of the objects.',
      listKind: 'Kind of their lists.',
      shortNames: 'Short names for kubectl.',
      categories: 'Groups of kinds it belongs to, e.g. all.',
    },
  },
  'apiextensions.v1.CustomResourceDefinitionVersion': {
    is: 'One version of the kind.',
    fields: {
      name: 'Name of the version.',
      served: 'Whether it is served.',
      storage: 'Whether objects are stored in it.',
      schema: 'How objects look.',
      additionalPrinterColumns: 'Columns of kubectl get.',
    },
  },
  'apiextensions.v1.CustomResourceDefinitionStatus': {
    is: 'How the definition fares.',
    fields: {
      storedVersions: 'Versions objects were stored in.',
    },
  },
};
