// The rows of pods: what kubectl shows as their state, readiness and restarts.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { JsonObject } from '../object.ts';
import { created, ended, row, running } from './test-row.ts';

describe('pods', () => {
  const two = { containers: [{ name: 'a' }, { name: 'b' }] };
  const cases: readonly {
    readonly name: string;
    readonly pod: JsonObject;
    readonly status: string;
    readonly ready: string;
  }[] = [
    {
      name: 'runs',
      pod: { spec: two, status: { phase: 'Running', containerStatuses: [running, running] } },
      status: 'Running',
      ready: '2/2',
    },
    {
      name: 'is being started',
      pod: {
        spec: two,
        status: {
          phase: 'Pending',
          containerStatuses: [{ name: 'a', state: { waiting: { reason: 'ContainerCreating' } } }],
        },
      },
      status: 'ContainerCreating',
      ready: '0/2',
    },
    {
      name: 'waits for a node',
      pod: { spec: two, status: { phase: 'Pending' } },
      status: 'Pending',
      ready: '0/2',
    },
    {
      name: 'crashes again and again',
      pod: {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [
            { name: 'a', restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } } },
            running,
          ],
        },
      },
      status: 'CrashLoopBackOff',
      ready: '1/2',
    },
    {
      name: 'has ended well',
      pod: {
        spec: { containers: [{ name: 'a' }] },
        status: {
          phase: 'Succeeded',
          containerStatuses: [{ name: 'a', state: ended(0, { reason: 'Completed' }) }],
        },
      },
      status: 'Completed',
      ready: '0/1',
    },
    {
      name: 'has ended with a code and no reason',
      pod: {
        spec: { containers: [{ name: 'a' }] },
        status: { phase: 'Failed', containerStatuses: [{ name: 'a', state: ended(7) }] },
      },
      status: 'ExitCode:7',
      ready: '0/1',
    },
    {
      name: 'has one container that ended and one that runs, unready',
      pod: {
        spec: two,
        status: {
          phase: 'Running',
          containerStatuses: [{ name: 'a', state: ended(0, { reason: 'Completed' }) }, running],
        },
      },
      status: 'NotReady',
      ready: '1/2',
    },
    {
      name: 'is being deleted',
      pod: {
        metadata: { deletionTimestamp: created },
        spec: two,
        status: { phase: 'Running', containerStatuses: [running, running] },
      },
      status: 'Terminating',
      ready: '2/2',
    },
    {
      name: 'was evicted',
      pod: { spec: two, status: { phase: 'Failed', reason: 'Evicted' } },
      status: 'Evicted',
      ready: '0/2',
    },
    {
      name: 'is in the first of its init containers',
      pod: {
        spec: { ...two, initContainers: [{ name: 'x' }, { name: 'y' }] },
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ name: 'x', state: { running: {} } }, { name: 'y' }],
          containerStatuses: [{ name: 'a', state: { waiting: { reason: 'PodInitializing' } } }],
        },
      },
      status: 'Init:0/2',
      ready: '0/2',
    },
    {
      name: 'has a failed init container',
      pod: {
        spec: { ...two, initContainers: [{ name: 'x' }] },
        status: {
          phase: 'Pending',
          initContainerStatuses: [{ name: 'x', state: ended(1, { reason: 'Error' }) }],
        },
      },
      status: 'Init:Error',
      ready: '0/2',
    },
    {
      name: 'has a sidecar that runs',
      pod: {
        spec: { ...two, initContainers: [{ name: 'x', restartPolicy: 'Always' }] },
        status: {
          phase: 'Running',
          initContainerStatuses: [{ ...running, name: 'x', started: true }],
          containerStatuses: [running, running],
        },
      },
      status: 'Running',
      ready: '3/3',
    },
    {
      name: 'is gated',
      pod: {
        spec: two,
        status: {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
        },
      },
      status: 'SchedulingGated',
      ready: '0/2',
    },
  ];
  for (const { name, pod, status, ready } of cases) {
    test(`are ${status} ${ready} when one ${name}`, () => {
      const { Status, Ready } = row('Pod', pod);
      assert.deepEqual({ Status, Ready }, { Status: status, Ready: ready });
    });
  }

  test('show restarts with the time of the last one', () => {
    const containerStatuses = [
      {
        ...running,
        restartCount: 2,
        lastState: ended(1, { finishedAt: '2026-03-01T11:57:00Z' }),
      },
      { ...running, restartCount: 1 },
    ];
    const shown = row('Pod', { spec: two, status: { phase: 'Running', containerStatuses } });
    assert.equal(shown['Restarts'], '3 (3m ago)');
    assert.equal(row('Pod', { spec: two, status: {} })['Restarts'], '0');
  });

  test('show address, node and readiness gates when wide', () => {
    const {
      IP,
      Node,
      'Nominated Node': nominated,
      'Readiness Gates': gates,
    } = row('Pod', {
      spec: {
        ...two,
        nodeName: 'node-1',
        readinessGates: [{ conditionType: 'x' }, { conditionType: 'y' }],
      },
      status: { podIPs: [{ ip: '10.0.0.9' }], conditions: [{ type: 'x', status: 'True' }] },
    });
    assert.deepEqual([IP, Node, nominated, gates], ['10.0.0.9', 'node-1', '<none>', '1/2']);
  });
});
