// What /status says of pods, seen from a small cluster.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Namespace, Pod } from '../../runtime/kubernetes/objects.ts';
import { statusOf } from './view.ts';

const MODE = 'ambit-mesh.io/mode';

function pod(name: string, changes: { hostNetwork?: boolean; mode?: string } = {}): Pod {
  return {
    metadata: {
      name,
      namespace: 'shop',
      uid: name,
      ...(changes.mode === undefined ? {} : { labels: { [MODE]: changes.mode } }),
    },
    spec: { nodeName: 'n1', containers: [], hostNetwork: changes.hostNetwork ?? false },
    status: { phase: 'Running', podIP: '10.0.0.1' },
  };
}

function status(mode: string | undefined, pods: readonly Pod[]) {
  const labels = mode === undefined ? {} : { [MODE]: mode };
  const namespaces: Namespace[] = [{ metadata: { name: 'shop', labels } }];
  return statusOf({
    version: '0',
    pod: 'cp',
    leader: true,
    rootsPem: undefined,
    rotation: undefined,
    trustDomain: 'cluster.local',
    proxies: [],
    namespaces,
    pods,
    problems: [],
    waypoints: [],
  });
}

describe('statusOf()', () => {
  test('says which pods of an enrolled namespace are left alone, and why', () => {
    const { workloads, namespaces } = status('ambient', [
      pod('web'),
      pod('exporter', { hostNetwork: true }),
      pod('legacy', { mode: 'none' }),
    ]);
    assert.deepEqual(
      workloads.map(({ name, redirection, leftAlone }) => [name, redirection, leftAlone]),
      [
        ['exporter', 'none', 'host-network'],
        ['legacy', 'none', 'opted-out'],
        ['web', 'wanted', undefined],
      ],
    );
    assert.deepEqual(namespaces, [
      { name: 'shop', mode: 'ambient', pods: 3, enrolled: 0, leftAlone: 2 },
    ]);
  });

  test('leaves nobody alone where nobody is to be in the mesh', () => {
    const { workloads, namespaces } = status(undefined, [pod('exporter', { hostNetwork: true })]);
    assert.deepEqual(workloads, []);
    assert.equal(namespaces[0]?.leftAlone, 0);
  });
});
