// Schemas that many kinds share: ObjectMeta, label selectors, conditions, references.

import {
  anything,
  flag,
  integer,
  keyedList,
  list,
  mapOf,
  object,
  oneOf,
  type Schema,
  setOf,
  text,
  time,
} from '../schema.ts';

export const META: Schema = object(
  {
    name: text({ description: 'Name, unique within a namespace for one kind.' }),
    generateName: text({ description: 'Prefix of a name the server completes.' }),
    namespace: text({ description: 'Namespace the object lives in.' }),
    uid: text({ description: 'Identity of this object in time and space.' }),
    resourceVersion: text({ description: 'Version of the stored object; opaque.' }),
    generation: integer({ format: 'int64', description: 'Counts changes of the desired state.' }),
    creationTimestamp: time({ description: 'When the object was created.' }),
    deletionTimestamp: time({ description: 'When the object will be gone.' }),
    deletionGracePeriodSeconds: integer({ format: 'int64' }),
    labels: mapOf(text(), { description: 'Keys and values to select objects by.' }),
    annotations: mapOf(text(), { description: 'Keys and values that tools attach.' }),
    finalizers: setOf(text(), { description: 'Must be empty before the object is removed.' }),
    ownerReferences: keyedList(
      ['uid'],
      object(
        {
          apiVersion: text(),
          kind: text(),
          name: text(),
          uid: text(),
          controller: flag(),
          blockOwnerDeletion: flag(),
        },
        ['apiVersion', 'kind', 'name', 'uid'],
        { 'x-kubernetes-map-type': 'atomic' },
      ),
      { description: 'Objects this one depends on.' },
    ),
    managedFields: list(anything(), { description: 'Which writer set which fields.' }),
    selfLink: text(),
  },
  [],
  { description: 'Names, labels and bookkeeping every object carries.' },
);

/** A whole object: apiVersion, kind, metadata and `fields`. */
export function resource(
  description: string,
  fields: Readonly<Record<string, Schema>>,
  required: readonly string[] = [],
): Schema {
  return object(
    {
      apiVersion: text({ description: 'Version of the schema of this object.' }),
      kind: text({ description: 'What this object is.' }),
      metadata: META,
      ...fields,
    },
    required,
    { description },
  );
}

export const SELECTOR: Schema = object(
  {
    matchLabels: mapOf(text(), { description: 'Labels and values that must match.' }),
    matchExpressions: list(
      object(
        {
          key: text(),
          operator: oneOf(['In', 'NotIn', 'Exists', 'DoesNotExist']),
          values: list(text()),
        },
        ['key', 'operator'],
      ),
    ),
  },
  [],
  { 'x-kubernetes-map-type': 'atomic', description: 'Chooses objects by their labels.' },
);

export const CONDITIONS: Schema = keyedList(
  ['type'],
  object(
    {
      type: text(),
      status: text(),
      observedGeneration: integer({ format: 'int64' }),
      lastProbeTime: time(),
      lastHeartbeatTime: time(),
      lastUpdateTime: time(),
      lastTransitionTime: time(),
      reason: text(),
      message: text(),
    },
    ['type', 'status'],
  ),
  { description: 'Observations of the present state.' },
);

export const OBJECT_REFERENCE: Schema = object(
  {
    apiVersion: text(),
    kind: text(),
    namespace: text(),
    name: text(),
    uid: text(),
    resourceVersion: text(),
    fieldPath: text(),
  },
  [],
  { 'x-kubernetes-map-type': 'atomic' },
);

export const LOCAL_REFERENCE: Schema = object({ name: text() }, [], {
  'x-kubernetes-map-type': 'atomic',
});

export const QUANTITIES: Schema = mapOf({ 'x-kubernetes-int-or-string': true });
