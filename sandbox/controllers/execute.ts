// Carries out a plan's actions against the API server, one after the other, and says which writes its watch must show.
// What is already as wanted (created before, deleted before) counts as done; a conflict is the caller's to retry.

import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import { NAMESPACES, PODS, type Resource } from '../../runtime/kubernetes/resources.ts';
import { record } from './events.ts';
import type { KubeObject, Namespace, OwnerReference } from './objects.ts';
import type { Action, Unnamed } from './plan.ts';
import type { RateBound } from './rate.ts';
import { resourceOfOwner } from './resources.ts';

export type Executing = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly rate: RateBound;
  /** The controller's name, the source of its events. */
  readonly component: string;
  readonly known: () => readonly Resource[];
};

export type Effect = {
  /** Objects whose change the caches must show before this key is reconciled again. */
  readonly expected: readonly { readonly uid: string; readonly change: 'seen' | 'leaving' }[];
  /** The world was not as the plan supposed: look again soon. */
  readonly again: boolean;
};

const DONE: Effect = { expected: [], again: false };
const AGAIN: Effect = { expected: [], again: true };

export async function execute(
  parts: Executing,
  action: Action,
  signal: AbortSignal,
): Promise<Effect> {
  await parts.rate.take(signal);
  switch (action.verb) {
    case 'create':
      return create(parts, action);
    case 'update':
      return ignoring([404], async () => {
        await parts.client.update(action.resource, action.object, action.subresource);
        return DONE;
      });
    case 'delete':
      return remove(parts, action);
    case 'bind':
      return bind(parts, action.pod, action.node);
    case 'finalize':
      return finalize(parts, action.namespace, action.resources);
    case 'event':
      await record(parts, action);
      return DONE;
  }
}

async function create(
  parts: Executing,
  action: Extract<Action, { verb: 'create' }>,
): Promise<Effect> {
  try {
    const made = await parts.client.create<KubeObject>(action.resource, objectOf(action.object));
    const uid = made.metadata.uid;
    return uid === undefined ? DONE : { expected: [{ uid, change: 'seen' }], again: false };
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    // somebody, or we on older news, made it already: the watch will bring it
    if (error.reason === 'AlreadyExists') return DONE;
    const { owner } = action;
    // 404: the namespace is gone, and with it the object to tell
    if (owner !== undefined && error.status !== 404) {
      await record(parts, {
        verb: 'event',
        regarding: owner,
        type: 'Warning',
        reason: 'FailedCreate',
        message: `Error creating: ${error.message}`,
      });
    }
    throw error;
  }
}

// the API names an object that has only a generateName; the client's types want no name then
function objectOf(object: KubeObject | Unnamed): KubeObject {
  return object as KubeObject;
}

async function remove(
  parts: Executing,
  action: Extract<Action, { verb: 'delete' }>,
): Promise<Effect> {
  const { name, namespace, uid } = action.object.metadata;
  for (const owner of action.unless ?? []) {
    if (await exists(parts, owner, namespace)) return AGAIN;
  }
  return ignoring([404], async () => {
    await parts.client.delete(action.resource, name, namespace, {
      ...(action.propagation === undefined ? {} : { propagationPolicy: action.propagation }),
      ...(action.graceSeconds === undefined ? {} : { gracePeriodSeconds: action.graceSeconds }),
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
    return uid === undefined ? DONE : { expected: [{ uid, change: 'leaving' }], again: false };
  });
}

async function exists(
  parts: Executing,
  owner: OwnerReference,
  namespace: string | undefined,
): Promise<boolean> {
  const resource = resourceOfOwner(owner, parts.known());
  // an owner of a kind we cannot look up is taken to live: deleting on ignorance is the worse mistake
  if (resource === undefined) return true;
  const found = await parts.client.get<KubeObject>(
    resource,
    owner.name,
    resource.namespaced ? namespace : undefined,
  );
  return found?.metadata.uid === owner.uid;
}

async function bind(parts: Executing, pod: KubeObject, node: string): Promise<Effect> {
  const { name, namespace = '', uid } = pod.metadata;
  // 409: somebody bound it before; 404: it is gone
  return ignoring([404, 409], async () => {
    await parts.client.subcreate(PODS, name, namespace, 'binding', {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, ...(uid === undefined ? {} : { uid }) },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
    return DONE;
  });
}

async function finalize(
  parts: Executing,
  namespace: Namespace,
  resources: readonly Resource[],
): Promise<Effect> {
  const name = namespace.metadata.name;
  for (const resource of resources) {
    const left = await ignoring([404, 405], async () => {
      const { items } = await parts.client.list(resource, { namespace: name, limit: 1 });
      return { expected: [], again: items.length > 0 };
    });
    if (left.again) return AGAIN;
  }
  return ignoring([404], async () => {
    const finalizers = (namespace.spec?.finalizers ?? []).filter((one) => one !== 'kubernetes');
    await parts.client.update(NAMESPACES, { ...namespace, spec: { finalizers } }, 'finalize');
    return DONE;
  });
}

async function ignoring(statuses: readonly number[], run: () => Promise<Effect>): Promise<Effect> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof KubeError && statuses.includes(error.status)) return DONE;
    throw error;
  }
}
