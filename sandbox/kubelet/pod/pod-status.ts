// A pod's status from the states of its containers: phase, conditions, container statuses. Pure; called by pod.ts after
// each change. Conditions of others (the scheduler's, readiness gates) are left alone; a condition's time changes only
// when its status does.

import { type ContainerRecord, restartCount } from '../container/container-life.ts';
import { rfc3339 } from '../time.ts';
import { addressesOf, type PodLife } from './pod-life.ts';
import type {
  ContainerSpec,
  ContainerState,
  ContainerStatus,
  Pod,
  PodCondition,
  PodPhase,
  PodSpec,
  PodStatus,
} from './pod-spec.ts';

export type PodView = {
  readonly pod: Pod;
  readonly life: PodLife;
  readonly init: readonly ContainerRecord[];
  readonly main: readonly ContainerRecord[];
  readonly startedAt: number;
  readonly hostIps: readonly string[];
};

export function podStatus(view: PodView, previous: PodStatus | undefined, now: number): PodStatus {
  const { pod, life } = view;
  const [hostIP] = view.hostIps;
  const ips = addressesOf(life);
  const [podIP] = ips;
  const generation = pod.metadata.generation;
  return {
    phase: phaseOf(view),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: conditionsOf(view, previous?.conditions ?? [], now),
    qosClass: qosClass(pod.spec),
    ...(hostIP === undefined ? {} : { hostIP, hostIPs: view.hostIps.map((ip) => ({ ip })) }),
    ...(podIP === undefined ? {} : { podIP, podIPs: ips.map((ip) => ({ ip })) }),
    startTime: rfc3339(view.startedAt),
    ...(view.init.length === 0
      ? {}
      : { initContainerStatuses: view.init.map((record) => containerStatus(record)) }),
    containerStatuses: view.main.map((record) => containerStatus(record)),
  };
}

export function isSidecar(container: ContainerSpec): boolean {
  return container.restartPolicy === 'Always';
}

function containerStatus(record: ContainerRecord): ContainerStatus {
  const { life, last } = record;
  return {
    name: record.name,
    state: stateOf(record),
    lastState: last === undefined ? {} : { terminated: last },
    // an init container that ended well counts as ready
    ready: life.state === 'running' ? life.ready : life.state === 'terminated' && completed(record),
    started: life.state === 'running' && life.started,
    restartCount: restartCount(record),
    image: record.image,
    imageID: `sandbox://${record.image}`,
    ...(record.containerId === undefined ? {} : { containerID: record.containerId }),
  };
}

function stateOf({ life }: ContainerRecord): ContainerState {
  switch (life.state) {
    case 'waiting':
      return {
        waiting: {
          reason: life.reason,
          ...(life.message === undefined ? {} : { message: life.message }),
        },
      };
    case 'running':
      return { running: { startedAt: rfc3339(life.startedAt) } };
    case 'terminated':
      return { terminated: life.terminated };
  }
}

function completed({ life }: ContainerRecord): boolean {
  return life.state === 'terminated' && life.terminated.exitCode === 0;
}

/** Pending until every init container is done and a container ran; ended only when nothing starts again. */
export function phaseOf({ life, init, main, pod }: PodView): PodPhase {
  if (life.state === 'preparing' || life.state === 'initializing') return 'Pending';
  if (life.state === 'running') {
    const begun = main.some((record) => record.life.state !== 'waiting' || record.runs > 0);
    return begun ? 'Running' : 'Pending';
  }
  if (life.state === 'terminating') return pod.status?.phase ?? 'Running';
  const sidecars = new Set(
    (pod.spec.initContainers ?? []).filter(isSidecar).map(({ name }) => name),
  );
  const counted = [...init.filter(({ name }) => !sidecars.has(name)), ...main];
  return counted.every(completed) ? 'Succeeded' : 'Failed';
}

type Fact = {
  readonly type: string;
  readonly holds: boolean;
  readonly reason?: string;
  readonly message?: string;
};

function conditionsOf(
  view: PodView,
  previous: readonly PodCondition[],
  now: number,
): PodCondition[] {
  const { pod, life, main } = view;
  const prepared = life.state !== 'preparing';
  const ended = life.state === 'finished' || life.state === 'removed';
  const initialized = prepared && life.state !== 'initializing';
  const unready = main.filter(({ life: own }) => !(own.state === 'running' && own.ready));
  const finished = ended && phaseOf(view) === 'Succeeded';
  const because = unreadiness(finished, unready);
  const gate = (pod.spec.readinessGates ?? []).find(
    ({ conditionType }) => previous.find(({ type }) => type === conditionType)?.status !== 'True',
  );
  const facts: Fact[] = [
    { type: 'PodReadyToStartContainers', holds: prepared && !ended },
    {
      type: 'Initialized',
      holds: initialized,
      ...(initialized ? {} : incompleteInit(view)),
    },
    { type: 'ContainersReady', holds: unready.length === 0, ...because },
    {
      type: 'Ready',
      holds: unready.length === 0 && gate === undefined,
      ...because,
      ...(unready.length === 0 && gate !== undefined
        ? { reason: 'ReadinessGatesNotReady', message: `gate ${gate.conditionType} is not True` }
        : {}),
    },
    { type: 'PodScheduled', holds: true },
  ];
  return facts.map((fact) => condition(fact, previous, pod.metadata.generation, now));
}

function unreadiness(
  finished: boolean,
  unready: readonly ContainerRecord[],
): { reason?: string; message?: string } {
  if (unready.length === 0) return {};
  if (finished) return { reason: 'PodCompleted' };
  const names = unready.map(({ name }) => name).join(' ');
  return {
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${names}]`,
  };
}

function incompleteInit({ init }: PodView): { reason?: string; message?: string } {
  const names = init.filter((record) => !completed(record)).map(({ name }) => name);
  if (names.length === 0) return {};
  return {
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${names.join(' ')}]`,
  };
}

function condition(
  fact: Fact,
  previous: readonly PodCondition[],
  generation: number | undefined,
  now: number,
): PodCondition {
  const status = fact.holds ? 'True' : 'False';
  const before = previous.find(({ type }) => type === fact.type);
  const kept = before?.status === status ? before.lastTransitionTime : undefined;
  return {
    type: fact.type,
    status,
    ...(fact.reason === undefined ? {} : { reason: fact.reason }),
    ...(fact.message === undefined ? {} : { message: fact.message }),
    lastProbeTime: null,
    lastTransitionTime: kept ?? rfc3339(now),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}

/** Guaranteed, Burstable or BestEffort, by the requests and limits of CPU and memory. */
export function qosClass(spec: PodSpec): string {
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  let any = false;
  let allEqual = true;
  for (const { resources } of containers) {
    for (const name of ['cpu', 'memory']) {
      const limit = resources?.limits?.[name];
      const request = resources?.requests?.[name] ?? limit;
      if (request !== undefined) any = true;
      if (limit === undefined || request !== limit) allEqual = false;
    }
  }
  if (!any) return 'BestEffort';
  return allEqual ? 'Guaranteed' : 'Burstable';
}
