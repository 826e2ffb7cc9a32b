// Kubernetes Events about users' objects: what `kubectl describe` shows under an object that is wrong. Used by reports.ts
// and problems.ts. Best effort: an Event that cannot be written is logged, never waited for.

import type { Clock } from '../../runtime/clock.ts';
import type { KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Event, KubeObject } from '../../runtime/kubernetes/objects.ts';
import { EVENTS } from '../../runtime/kubernetes/resources.ts';
import type { Log } from '../../runtime/log.ts';

export type Warning = {
  readonly kind: string;
  readonly object: KubeObject;
  readonly reason: string;
  readonly message: string;
};

export interface EventWriter {
  warn(warning: Warning): void;
  /** Waits for what is being written. */
  close(): Promise<void>;
}

// Kubernetes refuses longer notes.
const MAX_MESSAGE_CHARS = 1024;
// More at once than this is a storm in which single Events help nobody.
const MAX_WRITING = 64;

export function createEventWriter(parts: {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}): EventWriter {
  const { client, clock, log } = parts;
  const writing = new Set<Promise<void>>();
  return {
    warn(warning) {
      if (writing.size >= MAX_WRITING) {
        log.warn('Left out an Event: too many at once', { reason: warning.reason });
        return;
      }
      const written: Promise<void> = client
        .create<Event>(EVENTS, eventOf(warning, clock.now()))
        .then(
          () => {},
          (error: unknown) => log.warn('Cannot write an Event', { reason: warning.reason, error }),
        )
        .finally(() => writing.delete(written));
      writing.add(written);
    },
    async close() {
      await Promise.all(writing);
    },
  };
}

function eventOf({ kind, object, reason, message }: Warning, now: number): Event {
  const { name = '', namespace, uid } = object.metadata;
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    metadata: {
      generateName: `${name}.`,
      // Events about objects without a namespace live in default, as Kubernetes has it
      namespace: namespace ?? 'default',
    },
    involvedObject: {
      apiVersion: object.apiVersion ?? 'v1',
      kind,
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
    },
    reason,
    message: message.slice(0, MAX_MESSAGE_CHARS),
    type: 'Warning',
    source: { component: 'ambit-control-plane' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}
