// Writes the statuses of pods to the API server: one write at a time for a pod, always the newest, none that changes
// nothing. Called by kubelet.ts. A failed write is tried again; a pod that is gone is left alone.

import { isDeepStrictEqual } from 'node:util';
import { backoff } from '../../../runtime/backoff.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { type KubeClient, KubeError } from '../../../runtime/kubernetes/client.ts';
import { PODS } from '../../../runtime/kubernetes/resources.ts';
import type { Log } from '../../../runtime/log.ts';
import type { Pod, PodRef, PodStatus } from './pod-spec.ts';

export interface StatusWriter {
  /** Asks for `read()` to be written soon; several calls may become one write. */
  changed(pod: PodRef, read: () => PodStatus): void;
  /** Resolves when what is known now is written, or the pod is gone. */
  settled(pod: PodRef): Promise<void>;
  forget(uid: string): void;
  close(): Promise<void>;
}

const RETRY = { initialMs: 200, maxMs: 10_000 } as const;

type Entry = {
  read: () => PodStatus;
  dirty: boolean;
  written: PodStatus | undefined;
  writing: Promise<void> | undefined;
};

export function writeStatuses(parts: {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
}): StatusWriter {
  const entries = new Map<string, Entry>();
  const stop = new AbortController();

  async function writeAll(pod: PodRef, entry: Entry): Promise<void> {
    const delays = backoff(RETRY);
    // a turn later: changes that come together are written together
    await Promise.resolve();
    while (entry.dirty && !stop.signal.aborted) {
      entry.dirty = false;
      const status = entry.read();
      if (isDeepStrictEqual(status, entry.written)) continue;
      try {
        await write(pod, status);
        entry.written = status;
        delays.reset();
      } catch (error) {
        if (error instanceof KubeError && (error.status === 404 || error.status === 409)) return;
        parts.log.warn('Cannot write the status of a pod: trying again', { error });
        entry.dirty = true;
        await parts.clock.sleep(delays.next(), stop.signal).catch(() => {});
      }
    }
  }

  async function write(pod: PodRef, status: PodStatus): Promise<void> {
    await parts.client.patch<Pod>(
      PODS,
      pod.name,
      pod.namespace,
      // with the uid a pod of the same name, made meanwhile, is refused (409)
      { metadata: { uid: pod.uid }, status },
      { type: 'strategic', subresource: 'status' },
    );
  }

  return {
    changed(pod, read) {
      const entry = entries.get(pod.uid) ?? {
        read,
        dirty: false,
        written: undefined,
        writing: undefined,
      };
      entries.set(pod.uid, entry);
      entry.read = read;
      entry.dirty = true;
      entry.writing ??= writeAll(pod, entry).finally(() => {
        entry.writing = undefined;
      });
    },
    async settled(pod) {
      await entries.get(pod.uid)?.writing;
    },
    forget(uid) {
      entries.delete(uid);
    },
    async close() {
      stop.abort(new Error('The kubelet is closing'));
      for (const { writing } of entries.values()) await writing;
    },
  };
}
