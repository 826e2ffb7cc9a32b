// Namespaces: the name label, the finalizer that holds a namespace until it is empty, the phase.

import { isRecord, recordAt } from '../object.ts';
import type { Strategy } from './strategy.ts';

export const NAMESPACE_STRATEGY: Strategy = {
  defaults(object, old) {
    object.metadata.labels = {
      ...object.metadata.labels,
      'kubernetes.io/metadata.name': object.metadata.name ?? '',
    };
    if (old === undefined) {
      object['spec'] = { ...recordAt(object, 'spec'), finalizers: ['kubernetes'] };
      object['status'] = { phase: 'Active' };
    } else if (isRecord(old['spec'])) {
      // only the finalize subresource empties it
      object['spec'] = structuredClone(old['spec']);
    }
  },
};
