// Tables of built-in and custom kinds: the columns and cells that kubectl shows.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUILT_IN_KINDS } from '../built-in-kinds.ts';
import type { KindDefinition } from '../kinds.ts';
import type { JsonObject, KubeObject } from '../object.ts';
import { formatDuration } from './age.ts';
import { toTable } from './table.ts';
import { created, kindOf, NOW, row } from './test-row.ts';

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
