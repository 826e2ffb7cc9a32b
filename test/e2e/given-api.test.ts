// A sandbox that brings nodes to somebody else's API server: here to one that runs alone in this process, with Service
// addresses that are not the sandbox's, and an endpoint that leads nowhere from inside of it.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { entryPath } from '../../runtime/entry.ts';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import type { Lease, Node, Pod, Service } from '../../runtime/kubernetes/objects.ts';
import { LEASES, NODES, PODS, SERVICES } from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { type ApiServer, startApiServer } from '../../sandbox/apiserver/start.ts';
import { allEncrypted, labelNamespace, podIps, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { call, openEchoes } from '../support/traffic.ts';

const SHOP = 'shop';
/** RFC 5737: nobody's address. */
const ENDPOINT = { host: '203.0.113.7', port: 6443 };

let given: { readonly api: ApiServer; readonly client: KubeClient };
const stateDir = mkdtempSync(join(tmpdir(), 'ambit-given-'));

async function startGiven(): Promise<readonly string[]> {
  const api = await startApiServer(
    { log: silentLog, clock: systemClock },
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      advertise: [{ host: '127.0.0.1', port: 0 }],
      endpoint: ENDPOINT,
      serviceCidrs: ['10.43.0.0/16'],
      stateDir,
    },
  );
  given = { api, client: await connectKubernetes({ kubeconfig: api.kubeconfigPath }) };
  return ['--mesh', '--kubeconfig', api.kubeconfigPath];
}

after(async () => {
  await given?.api.close();
  rmSync(stateDir, { recursive: true, force: true });
});

/** What the API server answers a pod: refused as its ServiceAccount, so it was reached, trusted, and knew the pod. */
async function askedFromPod(sandbox: Sandbox, pod: Pod): Promise<void> {
  const program = [process.execPath, entryPath('test/support/api-client/main')];
  const { name = '' } = pod.metadata;
  const { stdout, stderr } = await sandbox.exec({ namespace: SHOP, name }, program);
  assert.match(stdout + stderr, /^403 .*"system:serviceaccount:shop:default" cannot list/);
}

sandboxSuite(
  'nodes for a given API server',
  (sandbox) => {
    let pods: readonly Pod[];
    before(async () => {
      await openEchoes(sandbox(), SHOP);
      ({ items: pods } = await sandbox().client.list<Pod>(PODS, { namespace: SHOP }));
    });

    test('the nodes have the names of the sandbox, and addresses where that server reaches kubelets', async () => {
      const { items } = await given.client.list<Node>(NODES);
      assert.equal(items.length, 2);
      for (const { metadata, status } of items) {
        assert.match(metadata.name ?? '', /^e2e-.*-node-[12]$/);
        assert.deepEqual(status?.addresses, [{ type: 'InternalIP', address: '127.0.0.1' }]);
      }
    });

    test('controllers that nobody runs there are run, under the Leases of Kubernetes', async () => {
      for (const name of ['kube-controller-manager', 'kube-scheduler']) {
        const lease = await given.client.get<Lease>(LEASES, name, 'kube-system');
        assert.match(lease?.spec?.holderIdentity ?? '', /^ambit-sandbox-e2e-/);
      }
    });

    test('that server carries logs and commands of the pods', async () => {
      const [{ metadata }] = pods as [Pod];
      const pod = { namespace: SHOP, name: metadata.name ?? '' };
      assert.match(await sandbox().logs(pod), /Echoing/);
      const answer = await sandbox().exec(pod, ['sh', '-c', 'cat; exit 3'], 'through');
      assert.deepEqual([answer.code, answer.stdout], [3, 'through']);
    });

    test('pods find a Service by name, at the address which that server gave it', async () => {
      const service = await given.client.get<Service>(SERVICES, 'echo', SHOP);
      assert.match(service?.spec.clusterIP ?? '', /^10\.43\./);
      const from = { namespace: SHOP, name: pods[0]?.metadata.name ?? '' };
      const called = await call(sandbox(), from, 'http://echo:8080/');
      assert.equal(called.ok, true, JSON.stringify(called));
    });

    test('pods reach that server by its Service, though its endpoint is not in their network', async () => {
      await askedFromPod(sandbox(), pods[0]!);
    });

    test('the mesh enrols the pods, and they still reach that server', async () => {
      await labelNamespace(sandbox(), SHOP, 'ambient');
      await redirectionOfAll(sandbox(), SHOP, 'enabled');
      const ips = await podIps(sandbox(), SHOP);
      const from = { namespace: SHOP, name: pods[0]?.metadata.name ?? '' };
      const evidence = allEncrypted(sandbox(), ips);
      const peers = pods.map(({ status }) => status?.podIP ?? '');
      for (const peer of peers) {
        const called = await call(sandbox(), from, `http://${peer}:8080/`);
        assert.equal(called.ok, true, JSON.stringify(called));
      }
      await evidence;
      await askedFromPod(sandbox(), pods[0]!);
    });
  },
  undefined,
  startGiven,
);

test('a sandbox that has ended leaves no nodes, no pods on them and no held Leases on that server', async () => {
  const { items: nodes } = await given.client.list<Node>(NODES);
  assert.deepEqual(nodes, []);
  const { items: pods } = await given.client.list<Pod>(PODS);
  assert.deepEqual(
    pods.filter(({ spec }) => spec.nodeName !== undefined),
    [],
  );
  const { items: leases } = await given.client.list<Lease>(LEASES);
  const held = leases.filter(({ spec }) => (spec?.holderIdentity ?? '').includes('e2e-'));
  assert.deepEqual(held, []);
});
