import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ContainerLife, ContainerRecord } from '../container/container-life.ts';
import { newContainer } from '../container/container-life.ts';
import type { PodLife, PodSandbox } from './pod-life.ts';
import type { Pod, PodCondition, PodStatus } from './pod-spec.ts';
import { podStatus, qosClass } from './pod-status.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const sandbox = {
  network: { addresses: ['10.0.0.5', 'fd00::5'] },
  volumes: new Map(),
} as unknown as PodSandbox;

const running: ContainerLife = {
  state: 'running',
  startedAt: NOW,
  pid: 1,
  started: true,
  ready: true,
};

function ended(exitCode: number): ContainerLife {
  const at = '2026-01-02T03:04:05Z';
  const reason = exitCode === 0 ? 'Completed' : 'Error';
  return {
    state: 'terminated',
    terminated: { exitCode, reason, startedAt: at, finishedAt: at },
  };
}

function container(life: ContainerLife, name = 'main'): ContainerRecord {
  const runs = life.state === 'waiting' ? 0 : 1;
  return { ...newContainer(name, 'host', 'ContainerCreating'), life, runs };
}

function status(
  life: PodLife,
  main: ContainerRecord[],
  more: { pod?: Partial<Pod>; init?: ContainerRecord[]; previous?: PodStatus; now?: number } = {},
): PodStatus {
  const pod: Pod = {
    metadata: { name: 'web', generation: 3 },
    spec: { containers: [] },
    ...more.pod,
  };
  const view = { pod, life, init: more.init ?? [], main, startedAt: NOW, hostIps: ['172.30.0.11'] };
  return podStatus(view, more.previous, more.now ?? NOW);
}

function condition(of: PodStatus, type: string): PodCondition | undefined {
  return of.conditions?.find((candidate) => candidate.type === type);
}

const waiting = container({ state: 'waiting', reason: 'ContainerCreating' });
const lives = {
  preparing: { state: 'preparing' },
  initializing: { state: 'initializing', sandbox },
  running: { state: 'running', sandbox },
  finished: { state: 'finished', addresses: ['10.0.0.5'] },
} as const satisfies Record<string, PodLife>;

describe('podStatus() phase', () => {
  for (const [what, life, main, phase] of [
    ['being prepared', lives.preparing, [waiting], 'Pending'],
    ['initializing', lives.initializing, [waiting], 'Pending'],
    ['nothing started yet', lives.running, [waiting], 'Pending'],
    ['one container runs', lives.running, [container(running)], 'Running'],
    ['waiting to restart', lives.running, [{ ...waiting, runs: 1 }], 'Running'],
    ['all ended well', lives.finished, [container(ended(0))], 'Succeeded'],
    ['one failed', lives.finished, [container(ended(0)), container(ended(1), 'b')], 'Failed'],
    ['stopped before it ran', lives.finished, [waiting], 'Failed'],
  ] as const) {
    test(`${what}: ${phase}`, () => assert.equal(status(life, [...main]).phase, phase));
  }

  test('a sidecar that was killed does not fail its pod', () => {
    const pod = {
      spec: { containers: [], initContainers: [{ name: 'side', restartPolicy: 'Always' }] },
    };
    const init = [container(ended(137), 'side')];
    const result = status(lives.finished, [container(ended(0))], { pod, init });
    assert.equal(result.phase, 'Succeeded');
  });
});

describe('podStatus() conditions', () => {
  test('a ready pod is ready in every way and has its addresses', () => {
    const result = status(lives.running, [container(running)]);
    assert.ok(result.conditions?.every((each) => each.status === 'True'));
    assert.deepEqual(result.podIPs, [{ ip: '10.0.0.5' }, { ip: 'fd00::5' }]);
    assert.equal(result.observedGeneration, 3);
  });

  test('an unready container is named', () => {
    const result = status(lives.running, [container({ ...running, ready: false })]);
    const ready = condition(result, 'Ready');
    assert.equal(ready?.status, 'False');
    assert.match(ready?.message ?? '', /\[main\]/);
  });

  test('a readiness gate that is not True keeps the pod unready', () => {
    const pod = {
      spec: { containers: [], readinessGates: [{ conditionType: 'example.com/ok' }] },
    };
    const closed = status(lives.running, [container(running)], { pod });
    assert.equal(condition(closed, 'Ready')?.reason, 'ReadinessGatesNotReady');
    assert.equal(condition(closed, 'ContainersReady')?.status, 'True');
    const previous: PodStatus = { conditions: [{ type: 'example.com/ok', status: 'True' }] };
    const open = status(lives.running, [container(running)], { pod, previous });
    assert.equal(condition(open, 'Ready')?.status, 'True');
  });

  test('the time of a condition changes only with its status', () => {
    const first = status(lives.running, [container(running)]);
    const later = status(lives.running, [container({ ...running, ready: false })], {
      previous: first,
      now: NOW + 60_000,
    });
    assert.equal(condition(later, 'Ready')?.lastTransitionTime, '2026-01-02T03:05:05Z');
    assert.equal(condition(later, 'Initialized')?.lastTransitionTime, '2026-01-02T03:04:05Z');
  });

  test('a completed pod is unready because it is completed', () => {
    const result = status(lives.finished, [container(ended(0))]);
    assert.equal(condition(result, 'Ready')?.reason, 'PodCompleted');
  });
});

describe('qosClass()', () => {
  const spec = (resources: object) => ({ containers: [{ name: 'main', resources }] });
  for (const [resources, expected] of [
    [{}, 'BestEffort'],
    [{ requests: { cpu: '1' } }, 'Burstable'],
    [{ limits: { cpu: '1', memory: '1Gi' } }, 'Guaranteed'],
    [{ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }, 'Burstable'],
  ] as const) {
    test(`${JSON.stringify(resources)} is ${expected}`, () =>
      assert.equal(qosClass(spec(resources)), expected));
  }
});
