import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUILT_IN_KINDS, type KindDefinition } from '../kinds.ts';
import type { JsonObject, KubeObject } from '../object.ts';
import { formatDuration } from './age.ts';
import { toTable } from './table.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const created = '2026-03-01T11:55:00Z';

function kindOf(name: string): KindDefinition {
  const kind = BUILT_IN_KINDS.find((candidate) => candidate.kind === name);
  assert.ok(kind, name);
  return kind;
}

/** The row of one object as `Name: cell`, wide columns included. */
function row(kind: KindDefinition | string, fields: JsonObject): Record<string, unknown> {
  const definition = typeof kind === 'string' ? kindOf(kind) : kind;
  const { metadata = {}, ...rest } = fields;
  const object = {
    metadata: { name: 'it', creationTimestamp: created, ...(metadata as object) },
    ...rest,
  } as KubeObject;
  const table = toTable(definition, [object], {}, NOW, 'Metadata') as {
    columnDefinitions: { name: string }[];
    rows: { cells: unknown[] }[];
  };
  return Object.fromEntries(
    table.columnDefinitions.map(({ name }, index) => [name, table.rows[0]?.cells[index]]),
  );
}

const running = { name: 'a', ready: true, restartCount: 0, state: { running: {} } };
const ended = (exitCode: number, more: object = {}): object => ({
  terminated: { exitCode, ...more },
});

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

describe('tables of built-in kinds', () => {
  const cases: readonly {
    readonly kind: string;
    readonly object: JsonObject;
    readonly cells: Readonly<Record<string, unknown>>;
  }[] = [
    {
      kind: 'Node',
      object: {
        metadata: { labels: { 'node-role.kubernetes.io/worker': '' } },
        spec: { unschedulable: true },
        status: {
          conditions: [{ type: 'Ready', status: 'True' }],
          addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
          nodeInfo: { kubeletVersion: 'v1' },
        },
      },
      cells: {
        Status: 'Ready,SchedulingDisabled',
        Roles: 'worker',
        Age: '5m',
        Version: 'v1',
        'Internal-IP': '10.0.0.1',
        'External-IP': '<none>',
        'OS-Image': '<unknown>',
      },
    },
    {
      kind: 'Service',
      object: {
        spec: {
          type: 'NodePort',
          clusterIP: '10.96.0.1',
          selector: { app: 'web' },
          ports: [
            { port: 80, nodePort: 30080, protocol: 'TCP' },
            { port: 53, protocol: 'UDP' },
          ],
        },
      },
      cells: {
        Type: 'NodePort',
        'Cluster-IP': '10.96.0.1',
        'External-IP': '<none>',
        'Port(s)': '80:30080/TCP,53/UDP',
        Selector: 'app=web',
      },
    },
    {
      kind: 'Deployment',
      object: {
        spec: {
          replicas: 3,
          selector: {
            matchLabels: { app: 'web' },
            matchExpressions: [{ key: 'tier', operator: 'In', values: ['b', 'a'] }],
          },
          template: {
            spec: {
              containers: [
                { name: 'a', image: 'x' },
                { name: 'b', image: 'y' },
              ],
            },
          },
        },
        status: { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 },
      },
      cells: {
        Ready: '2/3',
        'Up-to-date': 3,
        Available: 1,
        Containers: 'a,b',
        Images: 'x,y',
        Selector: 'app=web,tier in (a,b)',
      },
    },
    {
      kind: 'DaemonSet',
      object: { spec: {}, status: { desiredNumberScheduled: 2, numberReady: 1 } },
      cells: { Desired: 2, Current: 0, Ready: 1, 'Node Selector': '<none>' },
    },
    {
      kind: 'Endpoints',
      object: {
        subsets: [
          {
            addresses: [{ ip: '1.1.1.1' }, { ip: 'fd00::1' }],
            ports: [{ port: 80 }, { port: 81 }],
          },
        ],
      },
      cells: { Endpoints: '1.1.1.1:80,[fd00::1]:80,1.1.1.1:81 + 1 more...' },
    },
    {
      kind: 'EndpointSlice',
      object: {
        addressType: 'IPv4',
        endpoints: [{ addresses: ['1.1.1.1'] }],
        ports: [{ port: 80 }],
      },
      cells: { AddressType: 'IPv4', Ports: '80', Endpoints: '1.1.1.1' },
    },
    {
      kind: 'Job',
      object: {
        spec: { completions: 1 },
        status: {
          succeeded: 1,
          startTime: '2026-03-01T11:00:00Z',
          completionTime: '2026-03-01T11:00:09Z',
          conditions: [{ type: 'Complete', status: 'True' }],
        },
      },
      cells: { Status: 'Complete', Completions: '1/1', Duration: '9s' },
    },
    {
      kind: 'Secret',
      object: { type: 'Opaque', data: { a: '', b: '' } },
      cells: { Type: 'Opaque', Data: 2 },
    },
    { kind: 'ConfigMap', object: { data: { a: '' }, binaryData: { b: '' } }, cells: { Data: 2 } },
    { kind: 'ServiceAccount', object: {}, cells: { Secrets: 0 } },
    { kind: 'Namespace', object: { status: { phase: 'Active' } }, cells: { Status: 'Active' } },
    { kind: 'Lease', object: { spec: { holderIdentity: 'me' } }, cells: { Holder: 'me' } },
    {
      kind: 'RoleBinding',
      object: {
        roleRef: { kind: 'Role', name: 'r' },
        subjects: [
          { kind: 'ServiceAccount', name: 's', namespace: 'n' },
          { kind: 'User', name: 'u' },
        ],
      },
      cells: { Role: 'Role/r', Users: 'u', Groups: '', ServiceAccounts: 'n/s' },
    },
    {
      kind: 'CustomResourceDefinition',
      object: {},
      cells: { Name: 'it', 'Created At': created },
    },
    {
      kind: 'Event',
      object: {
        type: 'Warning',
        reason: 'BackOff',
        message: 'again ',
        involvedObject: { kind: 'Pod', name: 'p', fieldPath: 'spec.containers{a}' },
        lastTimestamp: '2026-03-01T11:59:50Z',
        count: 4,
        source: { component: 'kubelet', host: 'node-1' },
      },
      cells: {
        'Last Seen': '10s',
        Type: 'Warning',
        Reason: 'BackOff',
        Object: 'pod/p',
        Message: 'again',
        Count: 4,
        Source: 'kubelet, node-1',
      },
    },
    { kind: 'PriorityClass', object: {}, cells: { Name: 'it', Age: '5m' } },
  ];
  for (const { kind, object, cells } of cases) {
    test(`show ${kind} as on a cluster`, () => {
      const shown = row(kind, object);
      for (const [name, cell] of Object.entries(cells)) assert.equal(shown[name], cell, name);
    });
  }

  test('never fail on an object that has nothing', () => {
    for (const kind of BUILT_IN_KINDS) {
      const table = toTable(kind, [{ metadata: {} }], {}, NOW, 'None');
      assert.equal((table['rows'] as unknown[]).length, 1, kind.kind);
    }
  });

  test('carry as much of the object as is asked for', () => {
    const object: KubeObject = { metadata: { name: 'x' }, spec: { secret: true } };
    const shown = (include: 'None' | 'Metadata' | 'Object'): unknown =>
      (toTable(kindOf('Pod'), [object], {}, NOW, include)['rows'] as { object?: unknown }[])[0]
        ?.object;
    assert.equal(shown('None'), undefined);
    assert.equal(shown('Object'), object);
    assert.deepEqual(shown('Metadata'), {
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { name: 'x' },
    });
  });
});

describe('tables of custom kinds', () => {
  const custom = (printerColumns: KindDefinition['printerColumns'] & object): KindDefinition => ({
    ...kindOf('Lease'),
    custom: true,
    printerColumns,
  });

  test('show the columns of the definition', () => {
    const kind = custom([
      { name: 'Action', type: 'string', jsonPath: '.spec.action' },
      {
        name: 'Ready',
        type: 'string',
        jsonPath: ".status.conditions[?(@.type=='Ready')].status",
      },
      { name: 'Port', type: 'integer', jsonPath: '.spec.ports[0]' },
      { name: 'App', type: 'string', jsonPath: '.metadata.labels.app\\.kubernetes\\.io/name' },
      { name: 'Since', type: 'date', jsonPath: '.metadata.creationTimestamp' },
      { name: 'All', type: 'string', jsonPath: '.spec.ports', priority: 1 },
      { name: 'Missing', type: 'string', jsonPath: '.no.such' },
      { name: 'Broken', type: 'string', jsonPath: '.spec[' },
    ]);
    const shown = row(kind, {
      metadata: { labels: { 'app.kubernetes.io/name': 'web' } },
      spec: { action: 'DENY', ports: [80, 81] },
      status: {
        conditions: [
          { type: 'Other', status: 'No' },
          { type: 'Ready', status: 'True' },
        ],
      },
    });
    assert.deepEqual(shown, {
      Name: 'it',
      Action: 'DENY',
      Ready: 'True',
      Port: 80,
      App: 'web',
      Since: '5m',
      All: '[80,81]',
      Missing: null,
      Broken: null,
    });
  });

  test('show just the age without columns', () => {
    assert.deepEqual(row(custom([]), {}), { Name: 'it', Age: '5m' });
  });
});

describe('formatDuration()', () => {
  for (const [seconds, text] of [
    [-5, '<invalid>'],
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [200, '3m20s'],
    [3_600, '60m'],
    [4 * 3_600 + 120, '4h2m'],
    [8 * 3_600, '8h'],
    [47 * 3_600, '47h'],
    [50 * 3_600, '2d2h'],
    [8 * 86_400, '8d'],
    [729 * 86_400, '729d'],
    [730 * 86_400, '2y'],
    [800 * 86_400, '2y70d'],
    [9 * 365 * 86_400, '9y'],
  ] as const) {
    test(`writes ${seconds} s as ${text}`, () => {
      assert.equal(formatDuration(seconds * 1000), text);
    });
  }
});
