// Which controllers a sandbox runs: all of them for its own API server; for a given one those whose work nobody does there.
// That is told by the Leases under which Kubernetes' own controllers work, one a group. Called by sandbox/cluster.ts.
// Invariant: a group that has to be led is never run beside another holder of its Lease.

import { type ElectionParts, elect } from '../../runtime/kubernetes/lease.ts';
import { allControllers, type ControllerSettings, startControllers } from './start.ts';

export const DUTIES = ['auto', 'all', 'none'] as const;
export type Duty = (typeof DUTIES)[number];

export type DutySettings = {
  /** auto: the groups whose Lease is free; they are taken over when it gets free, and left to nobody meanwhile. */
  readonly duty: Duty;
  /** The name we hold Leases by: the same after a crash, so that they are ours again at once. */
  readonly holder: string;
  /** The API server's CA; undefined: not known, and nobody publishes it to the pods. */
  readonly caPem: string | undefined;
};

const NAMESPACE = 'kube-system';
const SCHEDULER = {
  lease: 'kube-scheduler',
  has: (name: string) => name === 'default-scheduler',
};
const CONTROLLER_MANAGER = {
  lease: 'kube-controller-manager',
  has: (name: string) => !SCHEDULER.has(name),
};
/** It publishes the CA. */
const PUBLISHER = 'serviceaccount-controller';

export function runControllers(
  parts: ElectionParts,
  settings: DutySettings,
): { close(): Promise<void> } {
  const { duty, holder } = settings;
  if (duty === 'none') return { close: async () => {} };
  const stop = new AbortController();
  const all =
    duty === 'all'
      ? startControllers(
          parts,
          choice(settings, () => true),
        )
      : undefined;
  const groups = [CONTROLLER_MANAGER, SCHEDULER].map(async ({ lease: name, has }) => {
    const work = async (signal: AbortSignal): Promise<void> => {
      const group = all === undefined ? startControllers(parts, choice(settings, has)) : undefined;
      await ended(signal);
      await group?.close();
    };
    await elect(parts, { namespace: NAMESPACE, name, holder }, work, stop.signal);
  });
  return {
    async close() {
      stop.abort(new Error('The controllers are closing'));
      await Promise.all([all?.close(), ...groups]);
    },
  };
}

function choice({ caPem }: DutySettings, has: (name: string) => boolean): ControllerSettings {
  const names = allControllers({ caPem: caPem ?? '' }).map(({ name }) => name);
  const only = names.filter((name) => has(name) && (caPem !== undefined || name !== PUBLISHER));
  return { caPem: caPem ?? '', only };
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
