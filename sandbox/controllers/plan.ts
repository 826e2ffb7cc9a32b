// What a reconciler answers with: plain actions, carried out in order by execute.ts. A reconciler never calls the API.

import type { Resource } from '../../runtime/kubernetes/resources.ts';
import type { Observed } from './caches.ts';
import type { KubeObject, OwnerReference } from './objects.ts';

export type Action =
  | {
      readonly verb: 'create';
      readonly resource: Resource;
      readonly object: KubeObject | Unnamed;
      /** Who wants it: refusals become an event on this object. */
      readonly owner?: { readonly resource: Resource; readonly object: KubeObject };
    }
  | {
      readonly verb: 'update';
      readonly resource: Resource;
      /** Carries the observed resourceVersion: a change in between is a conflict, and the key is reconciled anew. */
      readonly object: KubeObject;
      readonly subresource?: 'status';
    }
  | {
      readonly verb: 'delete';
      readonly resource: Resource;
      readonly object: KubeObject;
      readonly propagation?: 'Foreground' | 'Background' | 'Orphan';
      /** Checked against the live API just before: delete only if none of these exists any more. */
      readonly unless?: readonly OwnerReference[];
      /** 0 deletes at once, without asking a kubelet. */
      readonly graceSeconds?: number;
    }
  | { readonly verb: 'bind'; readonly pod: KubeObject; readonly node: string }
  /** Ends a namespace, once the live API agrees that nothing of these resources is left in it. */
  | {
      readonly verb: 'finalize';
      readonly namespace: KubeObject;
      readonly resources: readonly Resource[];
    }
  | {
      readonly verb: 'event';
      readonly regarding: { readonly resource: Resource; readonly object: KubeObject };
      readonly type: 'Normal' | 'Warning';
      readonly reason: string;
      readonly message: string;
    };

/** An object the API server is to name (generateName). */
export type Unnamed = Omit<KubeObject, 'metadata'> & {
  readonly metadata: Omit<KubeObject['metadata'], 'name'> & { readonly generateName: string };
};

export type Plan = {
  readonly actions: readonly Action[];
  /** Look again after this long even if nothing changes. */
  readonly againInMs?: number;
};

export const NOTHING: Plan = { actions: [] };

export type Watch = {
  readonly resource: Resource;
  /** Which keys an added, modified or deleted object of the resource concerns. */
  readonly keys: (object: KubeObject, observed: Observed) => Iterable<string>;
};

export type Controller = {
  readonly name: string;
  readonly watches: readonly Watch[];
  /** Also hear of every resource there is (garbage collection, namespaces). */
  readonly everything?: (
    resource: Resource,
    object: KubeObject,
    observed: Observed,
  ) => Iterable<string>;
  /** Pure: from what is observed to what is to be done about this key. */
  readonly reconcile: (key: string, observed: Observed, now: number) => Plan;
};

export type Name = { readonly namespace: string; readonly name: string };

export function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

export function nameOf(key: string): Name {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

export function itself(object: KubeObject): readonly string[] {
  return [keyOf(object)];
}

/** The key of the controlling owner of this kind, if it has one. */
export function controllerOf(kind: string): (object: KubeObject) => readonly string[] {
  return (object) => {
    const owner = object.metadata.ownerReferences?.find(
      (reference) => reference.controller === true && reference.kind === kind,
    );
    return owner === undefined ? [] : [`${object.metadata.namespace ?? ''}/${owner.name}`];
  };
}
