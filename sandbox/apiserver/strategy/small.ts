// Kinds with one rule each.

import { deepEqual } from '../equal.ts';
import { invalidValue, notSupported, required } from '../errors.ts';
import { listAt, recordAt, stringAt } from '../object.ts';
import { bucketOf } from '../registry.ts';
import type { Strategy } from './strategy.ts';

/** Events kept; a real server forgets them after an hour, this one when there are too many. */
const MAX_EVENTS = 5_000;

export const EVENT_STRATEGY: Strategy = {
  admit(_object, old, { cluster, kind }) {
    const bucket = bucketOf(kind);
    if (old !== undefined || cluster.store.count(bucket) < MAX_EVENTS) return;
    // a map keeps the order of insertion: the first ones are the oldest
    const oldest = cluster.store.values(bucket).next().value;
    if (oldest !== undefined) cluster.store.remove(bucket, oldest);
  },
};

export const BINDING_STRATEGY: Strategy = {
  defaults(object) {
    for (const subject of listAt(object, 'subjects')) {
      const kind = stringAt(subject, 'kind');
      if (kind === 'User' || kind === 'Group') {
        Object.assign(subject as object, {
          apiGroup: stringAt(subject, 'apiGroup') ?? 'rbac.authorization.k8s.io',
        });
      }
    }
  },
  validate(object, old) {
    const reference = recordAt(object, 'roleRef');
    const kinds = object.kind === 'RoleBinding' ? ['Role', 'ClusterRole'] : ['ClusterRole'];
    const errors = kinds.includes(String(reference['kind']))
      ? []
      : [notSupported('roleRef.kind', reference['kind'], kinds)];
    if (stringAt(reference, 'name') === '') errors.push(required('roleRef.name'));
    listAt(object, 'subjects').forEach((subject, index) => {
      if (
        stringAt(subject, 'kind') === 'ServiceAccount' &&
        (stringAt(subject, 'namespace') ?? '') === ''
      ) {
        errors.push(required(`subjects[${index}].namespace`));
      }
    });
    if (old !== undefined && !deepEqual(reference, old['roleRef'])) {
      errors.push(invalidValue('roleRef', reference, 'cannot change roleRef'));
    }
    return errors;
  },
};

export const ENDPOINT_SLICE_STRATEGY: Strategy = {
  validate(object, old) {
    if (old === undefined || old['addressType'] === object['addressType']) return [];
    return [invalidValue('addressType', object['addressType'], 'field is immutable')];
  },
};
