// The states of one container and the one gate between them, as values. Moved by container.ts, read by pod-status.ts.
// The record keeps what Kubernetes shows beside the state: the run before this one and how often it began again.

import type { Terminated } from '../pod/pod-spec.ts';

export type ContainerLife =
  | { readonly state: 'waiting'; readonly reason: string; readonly message?: string }
  | {
      readonly state: 'running';
      readonly startedAt: number;
      readonly pid: number;
      /** The startup probe has passed, or there is none. */
      readonly started: boolean;
      /** The readiness probe passes, or there is none; never true before `started`. */
      readonly ready: boolean;
    }
  | { readonly state: 'terminated'; readonly terminated: Terminated };

export type ContainerRecord = {
  readonly name: string;
  readonly image: string;
  readonly life: ContainerLife;
  readonly last: Terminated | undefined;
  /** How often it was started; Kubernetes' restartCount is one less. */
  readonly runs: number;
  readonly containerId: string | undefined;
};

/** Reason of a container whose program could not be executed, as in Kubernetes. */
export const START_ERROR = 'StartError';

const STEPS: Readonly<Record<ContainerLife['state'], readonly ContainerLife['state'][]>> = {
  // waiting -> terminated: a pod that ended before this container ever ran
  waiting: ['waiting', 'running', 'terminated'],
  running: ['running', 'terminated'],
  terminated: ['waiting', 'running'],
};

export function mayMove(from: ContainerLife['state'], to: ContainerLife['state']): boolean {
  return STEPS[from].includes(to);
}

export function newContainer(name: string, image: string, reason: string): ContainerRecord {
  return {
    name,
    image,
    life: { state: 'waiting', reason },
    last: undefined,
    runs: 0,
    containerId: undefined,
  };
}

/** @returns the record in its new state, or the same record when there is no such step */
export function move(record: ContainerRecord, next: ContainerLife): ContainerRecord {
  const { life } = record;
  if (!mayMove(life.state, next.state)) return record;
  // a start that failed was a run too: its end is shown, and the next one is a restart
  const failedStart = life.state !== 'running' && isStartError(next);
  return {
    ...record,
    life: next,
    last: life.state === 'terminated' ? life.terminated : record.last,
    runs:
      next.state === 'running' && life.state !== 'running'
        ? record.runs + 1
        : record.runs + Number(failedStart),
  };
}

function isStartError(life: ContainerLife): boolean {
  return life.state === 'terminated' && life.terminated.reason === START_ERROR;
}

export function restartCount({ runs }: ContainerRecord): number {
  return Math.max(0, runs - 1);
}
