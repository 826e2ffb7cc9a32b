import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryKube } from '../../runtime/kubernetes/memory.ts';
import type { NetworkPolicy, Node, Pod } from '../../runtime/kubernetes/objects.ts';
import { PODS } from '../../runtime/kubernetes/resources.ts';
import { renderChecks } from '../render/check.ts';
import { plainStyle } from '../render/style.ts';
import type { StatusReport } from '../status/report.ts';
import { MESH_CHECKS, type MeshFacts } from './after.ts';
import { CLUSTER_CHECKS, INSTALL_CHECKS, INSTALL_RIGHTS } from './before.ts';
import { type CheckResult, passed, runChecks } from './check.ts';
import { type ClusterFacts, gatherFacts } from './facts.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

const node: Node = {
  metadata: { name: 'node-1' },
  status: {
    nodeInfo: {
      operatingSystem: 'linux',
      architecture: 'amd64',
      kernelVersion: '6.1.0-18-amd64',
      containerRuntimeVersion: 'containerd://2.0.1',
    },
  },
};
const nodeWith = (nodeInfo: object): Node => ({
  ...node,
  status: { nodeInfo: { ...node.status?.nodeInfo, ...nodeInfo } },
});

const fit: ClusterFacts = {
  version: { value: 'v1.32.0' },
  nodes: { value: [node] },
  heartbeats: {
    value: [{ metadata: { name: 'node-1' }, spec: { renewTime: '2025-12-31T23:59:55Z' } }],
  },
  namespaces: { value: [{ metadata: { name: 'ambit-system' } }, { metadata: { name: 'shop' } }] },
  definitions: {
    value: [
      'authorizationpolicies.security',
      'peerauthentications.security',
      'requestauthentications.security',
      'serviceentries.networking',
      'workloadentries.networking',
    ].map((name) => ({ metadata: { name: `${name}.ambit-mesh.io` } })),
  },
  pods: {
    value: [
      {
        metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
        spec: { containers: [] },
      },
    ],
  },
  networkPolicies: { value: [] },
  rights: INSTALL_RIGHTS.map((right) => ({ ...right, granted: { value: true } })),
  now: NOW,
};

/** What did not succeed, as `result: message`. */
function complaints(results: readonly CheckResult[]): string[] {
  return results.flatMap((it) => (it.result === 'success' ? [] : [`${it.result}: ${it.message}`]));
}

describe('ambit check --pre', () => {
  const judge = (change: Partial<ClusterFacts>): string[] =>
    complaints(runChecks([...CLUSTER_CHECKS, ...INSTALL_CHECKS], { ...fit, ...change }));

  test('a fit cluster passes without a word', () => {
    assert.deepEqual(judge({}), []);
  });

  const cases: readonly (readonly [string, Partial<ClusterFacts>, RegExp])[] = [
    ['a server that does not answer', { version: { error: 'Cannot ask' } }, /^error: Cannot ask$/],
    ['Kubernetes 1.26', { version: { value: 'v1.26.9' } }, /^error: .*v1\.26\.9/],
    ['a version that is none', { version: { value: 'latest' } }, /^error: .*latest/],
    ['no Linux node', { nodes: { value: [nodeWith({ operatingSystem: 'windows' })] } }, /^error/],
    [
      'a machine without images',
      { nodes: { value: [nodeWith({ architecture: 's390x' })] } },
      /^warning: node-1 is s390x/,
    ],
    [
      'Linux 4.18',
      { nodes: { value: [nodeWith({ kernelVersion: '4.18.0' })] } },
      /^error: node-1 runs 4\.18\.0/,
    ],
    [
      'Linux 5.3',
      { nodes: { value: [nodeWith({ kernelVersion: '5.3.0' })] } },
      /^error: node-1 runs 5\.3/,
    ],
    [
      'containerd without NRI',
      { nodes: { value: [nodeWith({ containerRuntimeVersion: 'containerd://1.7.9' })] } },
      /^warning: node-1 has containerd:\/\/1/,
    ],
    ['a clock ahead', { now: NOW - 120_000 }, /^warning: node-1 is \d+ s ahead/],
    ['a silent kubelet', { now: NOW + 300_000 }, /^warning: node-1 was last heard of/],
    [
      'a missing right',
      {
        rights: INSTALL_RIGHTS.map((right, index) => ({
          ...right,
          granted: { value: index !== 1 },
        })),
      },
      /^error: you may not create customresourcedefinitions/,
    ],
    [
      'a namespace that forbids the agent',
      {
        namespaces: {
          value: [
            {
              metadata: {
                name: 'ambit-system',
                labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
              },
            },
          ],
        },
      },
      /^error: .*restricted/,
    ],
    [
      'another mesh',
      {
        namespaces: {
          value: [{ metadata: { name: 'old', labels: { 'istio.io/dataplane-mode': 'ambient' } } }],
        },
      },
      /^warning: namespace old is in Istio ambient/,
    ],
  ];
  for (const [what, change, expected] of cases) {
    test(`${what} is told, once, with its remedy`, () => {
      const found = judge(change);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', expected);
    });
  }

  test('Linux 5.4 and 1.27 are new enough', () => {
    const nodes = { value: [nodeWith({ kernelVersion: '5.4.0-generic' })] };
    assert.deepEqual(judge({ nodes, version: { value: 'v1.27.0-gke.1' } }), []);
  });

  test('after a server that does not answer nothing more is judged', () => {
    const results = runChecks(CLUSTER_CHECKS, { ...fit, version: { error: 'no' } });
    assert.equal(results.length, 1);
  });
});

describe('ambit check', () => {
  const report = {
    cliVersion: '0.1.0',
    controlPlaneVersion: '0.1.0',
    agents: [{ node: 'node-1', version: '0.1.0' }],
    namespaces: [{ name: 'shop', mode: 'ambient', pods: 1, enrolled: 1 }],
    workloads: [],
    problems: [],
  } as unknown as StatusReport;
  const judge = (change: { report?: object; cluster?: Partial<ClusterFacts> }): string[] => {
    const facts: MeshFacts = {
      cluster: { ...fit, ...change.cluster },
      report: { ...report, ...change.report },
    };
    return complaints(runChecks(MESH_CHECKS, facts));
  };

  test('a mesh without problems passes without a word', () => {
    assert.deepEqual(judge({}), []);
  });

  test('a cluster without the mesh ends at that', () => {
    const found = judge({ cluster: { namespaces: { value: [] }, definitions: { value: [] } } });
    assert.deepEqual(found, [
      'error: There is no namespace ambit-system: the mesh is not installed',
    ]);
  });

  test('every problem of `ambit status` fails exactly one check', () => {
    const problem = (object: string, reason: string) => ({
      object,
      reason,
      message: 'M',
      remedy: 'R',
    });
    for (const it of [
      problem('Deployment ambit-system/ambit-control-plane', 'NotReady'),
      problem('Deployment ambit-system/ambit-ca', 'NotInstalled'),
      problem('Secret ambit-system/ambit-ca-root', 'RootExpiresSoon'),
      problem('Node node-1', 'NoAgent'),
      problem('Pod ambit-system/agent', 'AgentNotInSync'),
      problem('Namespace shop', 'UnknownMode'),
      problem('AuthorizationPolicy shop/p', 'Unsupported'),
    ]) {
      assert.deepEqual(judge({ report: { problems: [it] } }), [`error: ${it.object}: M`]);
    }
  });

  test('a pod that is not enrolled fails', () => {
    const workloads = [{ namespace: 'shop', name: 'web', redirection: 'failed' }];
    assert.deepEqual(judge({ report: { workloads } }), ['error: pod shop/web: failed']);
  });

  test('an agent of another version is a warning', () => {
    const agents = [{ node: 'node-1', version: '0.0.9' }];
    assert.deepEqual(judge({ report: { agents } }), ['warning: the agent on node-1 is 0.0.9']);
  });

  const policies: readonly (readonly [string, object, boolean])[] = [
    ['one port that is not the tunnel', { ingress: [{ ports: [{ port: 8080 }] }] }, true],
    ['a port by name', { ingress: [{ ports: [{ port: 'http' }] }] }, true],
    ['the tunnel for UDP only', { ingress: [{ ports: [{ port: 15008, protocol: 'UDP' }] }] }, true],
    ['a range below the tunnel', { ingress: [{ ports: [{ port: 1, endPort: 15007 }] }] }, true],
    ['the tunnel', { ingress: [{ ports: [{ port: 8080 }, { port: 15008 }] }] }, false],
    ['a range around it', { ingress: [{ ports: [{ port: 15000, endPort: 15100 }] }] }, false],
    ['every port', { ingress: [{}] }, false],
    ['nothing at all, on purpose', { ingress: [] }, false],
    ['egress only', { policyTypes: ['Egress'], ingress: [{ ports: [{ port: 80 }] }] }, false],
    [
      'other pods',
      { podSelector: { matchLabels: { app: 'db' } }, ingress: [{ ports: [{ port: 80 }] }] },
      false,
    ],
  ];
  for (const [what, spec, warned] of policies) {
    test(`a NetworkPolicy that lets in ${what} is ${warned ? 'a warning' : 'fine'}`, () => {
      const policy = { metadata: { name: 'p', namespace: 'shop' }, spec } as NetworkPolicy;
      const expected = warned ? ['warning: NetworkPolicy shop/p'] : [];
      assert.deepEqual(judge({ cluster: { networkPolicies: { value: [policy] } } }), expected);
    });
  }
});

test('facts that cannot be had are facts, not crashes', async () => {
  const client = new MemoryKube();
  client.breakDown();
  const facts = await gatherFacts(client, INSTALL_RIGHTS, () => NOW);
  assert.ok('error' in facts.version && 'error' in facts.pods);
  const results = runChecks(CLUSTER_CHECKS, facts);
  assert.equal(passed(results), false);
});

test('facts hold what the cluster has', async () => {
  const client = new MemoryKube();
  await client.create<Pod>(PODS, {
    metadata: { name: 'a', namespace: 'b' },
    spec: { containers: [] },
  });
  const facts = await gatherFacts(client, [], () => NOW);
  assert.deepEqual(facts.version, { value: 'v1.32.0' });
  assert.ok('value' in facts.pods && facts.pods.value.length === 1);
});

test('people see categories, signs, messages and remedies', () => {
  const text = renderChecks(
    [
      { category: 'a', description: 'is well', result: 'success' },
      { category: 'a', description: 'is warm', result: 'warning', message: 'cold', remedy: 'heat' },
      { category: 'b', description: 'is there', result: 'error', message: 'gone', remedy: 'find' },
    ],
    plainStyle,
  );
  const expected = [
    'a',
    '-',
    '√ is well',
    '‼ is warm',
    '    cold',
    '    -> heat',
    '',
    'b',
    '-',
    '× is there',
    '    gone',
    '    -> find',
    '',
    'Status check results are ×',
    '',
  ];
  assert.equal(text, expected.join('\n'));
});
