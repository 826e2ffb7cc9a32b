// `kubectl get pods`: the STATUS word sums up a pod's phase, its containers and its deletion.

import { type JsonObject, type KubeObject, recordAt, stringAt } from '../../object.ts';
import { formatAge } from '../age.ts';
import {
  AGE,
  type Column,
  count,
  NAME,
  NONE,
  numberAt,
  orNone,
  recordsAt,
  spec,
  status,
  text,
  wide,
} from '../columns.ts';

type Summary = {
  readonly ready: number;
  readonly total: number;
  readonly reason: string;
  readonly restarts: string;
};

export const POD_COLUMNS: readonly Column[] = [
  NAME,
  text('Ready', (pod, now) => {
    const { ready, total } = summarize(pod, now);
    return `${ready}/${total}`;
  }),
  text('Status', (pod, now) => summarize(pod, now).reason),
  text('Restarts', (pod, now) => summarize(pod, now).restarts),
  AGE,
  wide('IP', (pod) =>
    orNone(stringAt(recordsAt(status(pod), 'podIPs')[0], 'ip') ?? stringAt(status(pod), 'podIP')),
  ),
  wide('Node', (pod) => orNone(stringAt(spec(pod), 'nodeName'))),
  wide('Nominated Node', (pod) => orNone(stringAt(status(pod), 'nominatedNodeName'))),
  wide('Readiness Gates', readinessGates),
];

/** Progress of the pod's start: what its init containers say, or undefined when they are done. */
type InitPhase = { readonly reason: string | undefined; readonly restarts: Restarts };
type Restarts = { count: number; last: number };

function summarize(pod: KubeObject, now: number): Summary {
  const containers = recordsAt(spec(pod), 'containers');
  const inits = recordsAt(spec(pod), 'initContainers');
  const sidecars = new Set(inits.filter(isSidecar).map((init) => stringAt(init, 'name')));
  const initStatuses = recordsAt(status(pod), 'initContainerStatuses');
  const readySidecars = initStatuses.filter(
    (state) => sidecars.has(stringAt(state, 'name')) && isStarted(state) && state['ready'] === true,
  ).length;
  const phase = initPhase(initStatuses, inits.length, sidecars);
  const isInitializing = phase.reason !== undefined && !isInitialized(pod);
  const main = mainPhase(pod, isInitializing ? phase.reason : undefined);
  const restarts = isInitializing
    ? phase.restarts
    : add(main.restarts, sidecarRestarts(initStatuses, sidecars));
  return {
    total: containers.length + sidecars.size,
    ready: (isInitializing ? 0 : main.ready) + readySidecars,
    reason: withDeletion(pod, main.reason),
    restarts:
      restarts.count > 0 && restarts.last > 0
        ? `${restarts.count} (${formatAge(new Date(restarts.last).toISOString(), now)} ago)`
        : String(restarts.count),
  };
}

function isSidecar(container: JsonObject): boolean {
  return container['restartPolicy'] === 'Always';
}

function isStarted(state: JsonObject): boolean {
  return state['started'] === true;
}

function isInitialized(pod: KubeObject): boolean {
  return isConditionTrue(pod, 'Initialized');
}

function isConditionTrue(pod: KubeObject, type: string): boolean {
  return recordsAt(status(pod), 'conditions').some(
    (condition) => condition['type'] === type && condition['status'] === 'True',
  );
}

function initPhase(
  states: readonly JsonObject[],
  total: number,
  sidecars: ReadonlySet<string | undefined>,
): InitPhase {
  const restarts: Restarts = { count: 0, last: 0 };
  for (const [index, container] of states.entries()) {
    countRestarts(restarts, container);
    const state = recordAt(container, 'state');
    const terminated = recordAt(state, 'terminated');
    const waiting = stringAt(recordAt(state, 'waiting'), 'reason') ?? '';
    if ('terminated' in state && numberAt(terminated, 'exitCode') === 0) continue;
    if (sidecars.has(stringAt(container, 'name')) && isStarted(container)) continue;
    if ('terminated' in state) return { reason: `Init:${endReason(terminated)}`, restarts };
    if (waiting !== '' && waiting !== 'PodInitializing') {
      return { reason: `Init:${waiting}`, restarts };
    }
    return { reason: `Init:${index}/${total}`, restarts };
  }
  return { reason: undefined, restarts };
}

function mainPhase(
  pod: KubeObject,
  initReason: string | undefined,
): { readonly ready: number; readonly reason: string; readonly restarts: Restarts } {
  const restarts: Restarts = { count: 0, last: 0 };
  let reason = initReason ?? phaseReason(pod);
  let ready = 0;
  let running = false;
  if (initReason !== undefined) return { ready, reason, restarts };
  for (const container of recordsAt(status(pod), 'containerStatuses').reverse()) {
    countRestarts(restarts, container);
    const state = recordAt(container, 'state');
    const waiting = stringAt(recordAt(state, 'waiting'), 'reason') ?? '';
    if (waiting !== '') reason = waiting;
    else if ('terminated' in state) reason = endReason(recordAt(state, 'terminated'));
    else if (container['ready'] === true && 'running' in state) {
      running = true;
      ready += 1;
    }
  }
  if (reason === 'Completed' && running) {
    reason = isConditionTrue(pod, 'Ready') ? 'Running' : 'NotReady';
  }
  return { ready, reason, restarts };
}

function phaseReason(pod: KubeObject): string {
  const own = stringAt(status(pod), 'reason') ?? '';
  const isGated = recordsAt(status(pod), 'conditions').some(
    ({ type, reason }) => type === 'PodScheduled' && reason === 'SchedulingGated',
  );
  if (isGated) return 'SchedulingGated';
  return own === '' ? (stringAt(status(pod), 'phase') ?? 'Unknown') : own;
}

/** `OOMKilled`, or what the exit code says when there is no reason. */
function endReason(terminated: JsonObject): string {
  const reason = stringAt(terminated, 'reason') ?? '';
  if (reason !== '') return reason;
  const signal = numberAt(terminated, 'signal');
  return signal === 0 ? `ExitCode:${numberAt(terminated, 'exitCode')}` : `Signal:${signal}`;
}

function countRestarts(restarts: Restarts, container: JsonObject): void {
  restarts.count += numberAt(container, 'restartCount');
  const last = recordAt(recordAt(container, 'lastState'), 'terminated');
  const finished = Date.parse(stringAt(last, 'finishedAt') ?? '');
  if (finished > restarts.last) restarts.last = finished;
}

function sidecarRestarts(
  states: readonly JsonObject[],
  sidecars: ReadonlySet<string | undefined>,
): Restarts {
  const restarts: Restarts = { count: 0, last: 0 };
  for (const container of states) {
    if (sidecars.has(stringAt(container, 'name'))) countRestarts(restarts, container);
  }
  return restarts;
}

function add(a: Restarts, b: Restarts): Restarts {
  return { count: a.count + b.count, last: Math.max(a.last, b.last) };
}

function withDeletion(pod: KubeObject, reason: string): string {
  if (pod.metadata.deletionTimestamp === undefined) return reason;
  if (stringAt(status(pod), 'reason') === 'NodeLost') return 'Unknown';
  const phase = stringAt(status(pod), 'phase');
  return phase === 'Succeeded' || phase === 'Failed' ? reason : 'Terminating';
}

function readinessGates(pod: KubeObject): string {
  const gates = recordsAt(spec(pod), 'readinessGates').map((gate) =>
    stringAt(gate, 'conditionType'),
  );
  if (gates.length === 0) return NONE;
  const met = gates.filter((gate) => gate !== undefined && isConditionTrue(pod, gate));
  return `${met.length}/${gates.length}`;
}

export const POD_TEMPLATE_COLUMNS: readonly Column[] = [
  NAME,
  count(
    'Containers',
    (object) => recordsAt(recordAt(recordAt(object, 'template'), 'spec'), 'containers').length,
  ),
];
