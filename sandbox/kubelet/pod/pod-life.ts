// The states of a pod on its node and the one gate between them. Held by pod.ts; the status writer only reads.
// A step that the table does not allow is refused: it comes from work that lost its race against the pod's end.

import type { PodNetwork } from '../../network/network.ts';
import type { VolumePaths } from '../volumes/volumes.ts';

/** What a pod has once it is prepared: its network and its volumes. */
export type PodSandbox = {
  readonly network: PodNetwork;
  readonly volumes: VolumePaths;
};

export type PodLife =
  | { readonly state: 'preparing' }
  | { readonly state: 'initializing'; readonly sandbox: PodSandbox }
  | { readonly state: 'running'; readonly sandbox: PodSandbox }
  | { readonly state: 'terminating'; readonly sandbox: PodSandbox | undefined }
  /** Nothing runs any more; the network is given back, logs are kept until the object is gone. */
  | { readonly state: 'finished'; readonly addresses: readonly string[] }
  | { readonly state: 'removed' };

const STEPS: Readonly<Record<PodLife['state'], readonly PodLife['state'][]>> = {
  preparing: ['initializing', 'terminating'],
  initializing: ['running', 'terminating'],
  running: ['terminating'],
  terminating: ['finished'],
  finished: ['removed'],
  removed: [],
};

export function mayMove(from: PodLife['state'], to: PodLife['state']): boolean {
  return STEPS[from].includes(to);
}

/** @returns the new state, or undefined when there is no such step */
export function step(from: PodLife, to: PodLife): PodLife | undefined {
  return mayMove(from.state, to.state) ? to : undefined;
}

export function sandboxOf(life: PodLife): PodSandbox | undefined {
  return 'sandbox' in life ? life.sandbox : undefined;
}

/** The pod's addresses; they stay in its status after its end. */
export function addressesOf(life: PodLife): readonly string[] {
  if (life.state === 'finished') return life.addresses;
  return sandboxOf(life)?.network.addresses ?? [];
}
