// Events about pods and the node, as `kubectl describe` shows them. Called by everything of this folder that has news;
// never fails and never makes its caller wait: an event that cannot be written is logged and forgotten.

import type { Clock } from '../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../runtime/kubernetes/client.ts';
import type { Event } from '../../runtime/kubernetes/objects.ts';
import { EVENTS } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';
import type { PodRef } from './pod/pod-spec.ts';
import { rfc3339 } from './time.ts';

export type News = {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  /** `spec.containers{web}`; undefined: the pod as a whole. */
  readonly fieldPath?: string;
};

export interface EventRecorder {
  record(pod: PodRef, news: News): void;
  close(): Promise<void>;
}

// Equal news within this many distinct ones are counted in one object; older ones start again, as in Kubernetes.
const MAX_REMEMBERED = 1000;
// More writes than this at once means that the API server is gone: events are the first thing to drop.
const MAX_IN_FLIGHT = 50;

type Remembered = { readonly name: string; readonly namespace: string; count: number };

export function recordEvents(
  parts: { readonly client: KubeClient; readonly clock: Clock; readonly log: Log },
  settings: { readonly nodeName: string },
): EventRecorder {
  const remembered = new Map<string, Remembered>();
  const inFlight = new Set<Promise<void>>();
  /** One write after the other for equal news, so that a count never overtakes its event. */
  const queues = new Map<string, Promise<void>>();
  let sequence = 0;

  async function write(key: string, pod: PodRef, news: News): Promise<void> {
    const known = remembered.get(key);
    const now = rfc3339(parts.clock.now());
    try {
      if (known !== undefined) {
        known.count += 1;
        const patch = { count: known.count, lastTimestamp: now };
        await parts.client.patch(EVENTS, known.name, known.namespace, patch, { type: 'merge' });
        return;
      }
      sequence += 1;
      const suffix = `${parts.clock.now().toString(16)}${sequence.toString(16).padStart(5, '0')}`;
      const name = `${pod.name}.${suffix}`;
      const oldest = remembered.keys().next();
      if (remembered.size >= MAX_REMEMBERED && oldest.done !== true)
        remembered.delete(oldest.value);
      remembered.set(key, { name, namespace: pod.namespace, count: 1 });
      await parts.client.create<Event>(EVENTS, eventOf(name, pod, news, now, settings.nodeName));
    } catch (error) {
      remembered.delete(key);
      // an event about a namespace that is going away is refused: that is no fault
      const ending = error instanceof KubeError && (error.status === 403 || error.status === 404);
      parts.log[ending ? 'debug' : 'warn']('Cannot record an event', {
        pod: `${pod.namespace}/${pod.name}`,
        reason: news.reason,
        error,
      });
    }
  }

  return {
    record(pod, news) {
      if (inFlight.size >= MAX_IN_FLIGHT) {
        parts.log.debug('Event dropped: too many are waiting', { reason: news.reason });
        return;
      }
      const key = [pod.uid, news.type, news.reason, news.fieldPath ?? '', news.message].join('\0');
      const before = queues.get(key) ?? Promise.resolve();
      const writing = before.then(() => write(key, pod, news));
      queues.set(key, writing);
      inFlight.add(writing);
      void writing.finally(() => {
        inFlight.delete(writing);
        if (queues.get(key) === writing) queues.delete(key);
      });
    },
    async close() {
      await Promise.all(inFlight);
    },
  };
}

/** The fields that only writers of events need. */
type WrittenEvent = Event & {
  readonly reportingComponent: string;
  readonly reportingInstance: string;
  readonly involvedObject: { readonly fieldPath?: string };
};

function eventOf(
  name: string,
  pod: PodRef,
  news: News,
  now: string,
  nodeName: string,
): WrittenEvent {
  return {
    metadata: { name, namespace: pod.namespace },
    involvedObject: {
      apiVersion: 'v1',
      kind: 'Pod',
      namespace: pod.namespace,
      name: pod.name,
      uid: pod.uid,
      ...(news.fieldPath === undefined ? {} : { fieldPath: news.fieldPath }),
    },
    reason: news.reason,
    message: news.message,
    type: news.type,
    source: { component: 'kubelet', host: nodeName },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    reportingComponent: 'kubelet',
    reportingInstance: nodeName,
  };
}
