// WorkloadEntry, seen through the whole translation: what agents are told of workloads that are no pods.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Service as KubeService } from '../../runtime/kubernetes/objects.ts';
import { conditions, run, workloadEntry } from './test-entries.ts';

describe('a WorkloadEntry', () => {
  test('is behind Kubernetes Services that select its labels, named ports by its own word', () => {
    const kube: KubeService = {
      metadata: { name: 'db', namespace: 'shop' },
      spec: {
        clusterIP: '10.96.0.1',
        selector: { app: 'db' },
        ports: [
          { name: 'pg', port: 5432 },
          { name: 'admin', port: 80, targetPort: 'web' },
          { name: 'other', port: 81, targetPort: 'unknown' },
        ],
      },
    };
    const { workloads } = run({
      services: [kube],
      workloadEntries: [
        workloadEntry({ address: '192.0.2.9', labels: { app: 'db' }, ports: { web: 8080 } }),
      ],
    });
    const ports = workloads[0]?.services.get('shop/db.shop.svc.cluster.local');
    assert.deepEqual(
      ports?.map(({ servicePort, targetPort }) => [servicePort, targetPort]),
      [
        [5432, 5432],
        [80, 8080],
      ],
    );
  });

  test('reached by name keeps its name', () => {
    const { workloads } = run({ workloadEntries: [workloadEntry({ address: 'VM.example' })] });
    assert.deepEqual([workloads[0]?.hostname, workloads[0]?.addresses], ['vm.example', []]);
  });

  for (const address of ['unix:///run/x', '10.0.0', 'a b', '']) {
    test(`at "${address}" is nobody, and its status says so`, () => {
      const { workloads, outcomes } = run({ workloadEntries: [workloadEntry({ address })] });
      assert.deepEqual(workloads, []);
      assert.deepEqual(conditions(outcomes[0]), ['Accepted=False UnsupportedAddress']);
    });
  }
});
