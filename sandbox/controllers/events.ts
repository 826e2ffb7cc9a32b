// Event objects: what `kubectl describe` and `kubectl get events` show. The same event again counts up instead of
// piling up. An event that cannot be written is dropped: it is a note for people, never worth a retry.

import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { KubeObject } from '../../runtime/kubernetes/objects.ts';
import { EVENTS } from '../../runtime/kubernetes/resources.ts';
import { shortHash } from './hash.ts';
import type { Action } from './plan.ts';
import { typeMetaOf } from './resources.ts';

type Counted = KubeObject & { readonly count?: number };

export async function record(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly component: string },
  event: Extract<Action, { verb: 'event' }>,
): Promise<void> {
  const { resource, object } = event.regarding;
  const { name, uid = '', resourceVersion } = object.metadata;
  const namespace = object.metadata.namespace ?? 'default';
  const at = new Date(parts.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  const eventName = `${name}.${shortHash(`${uid} ${event.reason} ${event.message}`)}`;
  try {
    await parts.client.create(EVENTS, {
      ...typeMetaOf(EVENTS),
      metadata: { name: eventName, namespace },
      involvedObject: {
        ...typeMetaOf(resource),
        ...(object.metadata.namespace === undefined ? {} : { namespace }),
        name,
        uid,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      reason: event.reason,
      message: event.message,
      type: event.type,
      source: { component: parts.component },
      reportingComponent: parts.component,
      reportingInstance: '',
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    } as KubeObject);
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.reason === 'AlreadyExists') await countUp(parts.client, eventName, namespace, at);
  }
}

async function countUp(
  client: KubeClient,
  name: string,
  namespace: string,
  at: string,
): Promise<void> {
  try {
    const known = await client.get<Counted>(EVENTS, name, namespace);
    if (known === undefined) return;
    await client.patch(EVENTS, name, namespace, {
      count: (known.count ?? 1) + 1,
      lastTimestamp: at,
    });
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
  }
}
