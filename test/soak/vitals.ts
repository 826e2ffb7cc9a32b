// What must be back at its start after a soak: descriptors and heap of the mesh's processes, from their own metrics. Called
// by soak.ts. The least of some readings counts: it is the nearest to what is left after a collection.

import { setTimeout as sleep } from 'node:timers/promises';
import { getThroughPod } from '../../cli/cluster/pod-http.ts';
import { readSamples } from '../../cli/status/exposition.ts';
import type { Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import type { Sandbox } from '../support/sandbox.ts';

const SYSTEM = 'ambit-system';
const DESCRIPTORS = 'process_open_fds';
const HEAP = 'nodejs_heap_size_used_bytes';

export type Vitals = {
  readonly pod: string;
  /** Component and node: the same place before and after, whatever process it is. */
  readonly place: string;
  readonly descriptors: number;
  readonly heapBytes: number;
};

/** Collections of young objects come every few seconds under load, of all objects within a minute. */
const READINGS = 12;
const BETWEEN_MS = 5000;

export async function vitalsOf(sandbox: Sandbox): Promise<Vitals[]> {
  let least = await readVitals(sandbox);
  for (let reading = 1; reading < READINGS; reading++) {
    await sleep(BETWEEN_MS);
    const now = await readVitals(sandbox);
    least = now.map((one) => {
      const before = least.find(({ pod }) => pod === one.pod) ?? one;
      return {
        ...one,
        descriptors: Math.min(one.descriptors, before.descriptors),
        heapBytes: Math.min(one.heapBytes, before.heapBytes),
      };
    });
  }
  return least;
}

async function readVitals({ client }: Sandbox): Promise<Vitals[]> {
  const { items } = await client.list<Pod>(PODS, { namespace: SYSTEM });
  return Promise.all(
    items.map(async ({ metadata, spec }) => {
      const { name: pod = '', labels = {} } = metadata;
      const at = { namespace: SYSTEM, pod };
      const text = await getThroughPod(client, { ...at, port: 15000, path: '/metrics' });
      const samples = readSamples(text, new Set([DESCRIPTORS, HEAP]));
      const value = (wanted: string): number =>
        samples.find(({ name }) => name === wanted)?.value ?? Number.NaN;
      return {
        pod,
        place: `${labels['app.kubernetes.io/name']} on ${spec.nodeName}`,
        descriptors: value(DESCRIPTORS),
        heapBytes: value(HEAP),
      };
    }),
  );
}

/** Sockets of connections that are just ending, and of whoever asks for these very numbers. */
const DESCRIPTORS_MORE = 30;
/** What a process learns in its first minutes (compiled code, caches with limits) does not grow any more after that. */
const HEAP_MORE_BYTES = 24 * 1024 * 1024;

/** What has grown beyond that, in words; empty when all is back. */
export function grown(before: readonly Vitals[], after: readonly Vitals[]): string[] {
  return after.flatMap(({ place, descriptors, heapBytes }) => {
    const start = before.find((one) => one.place === place);
    if (start === undefined) return [`${place}: was not there at the start`];
    const words: string[] = [];
    if (!(descriptors <= start.descriptors + DESCRIPTORS_MORE)) {
      words.push(`${place}: ${start.descriptors} descriptors at the start, ${descriptors} now`);
    }
    if (!(heapBytes <= start.heapBytes + HEAP_MORE_BYTES)) {
      words.push(`${place}: heap ${mib(start.heapBytes)} at the start, ${mib(heapBytes)} now`);
    }
    return words;
  });
}

export function showVitals(all: readonly Vitals[]): string {
  return all
    .map(
      ({ place, descriptors, heapBytes }) =>
        `  ${place}: ${descriptors} descriptors, heap ${mib(heapBytes)}`,
    )
    .sort()
    .join('\n');
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
