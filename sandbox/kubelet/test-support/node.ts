// A node with its kubelet for tests: real network namespaces, a real kubelet, an API server in memory. Everything is
// gone when the test ends.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../../runtime/clock.ts';
import type { ConfigMap } from '../../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, PODS } from '../../../runtime/kubernetes/resources.ts';
import { createLog } from '../../../runtime/log.ts';
import {
  type CertificateRequest,
  createAuthority,
  type KeyPair,
} from '../../apiserver/auth/certificates.ts';
import { openNetnsNetwork } from '../../network/netns/cluster.ts';
import type { NodeNetwork } from '../../network/network.ts';
import { type KubeletSettings, startKubelet } from '../kubelet.ts';
import type { Pod, PodSpec } from '../pod-spec.ts';
import { MemoryKube } from './memory-kube.ts';

export const testLog = createLog({
  component: 'test',
  level: process.env['KUBELET_TEST_LOG'] === 'debug' ? 'debug' : 'error',
  format: 'text',
});

export type TestNode = {
  readonly kube: MemoryKube;
  /** Asks the kubelet's server, as the API server would. */
  ask(path: string, as?: KeyPair): Promise<Answer>;
  /** A client certificate of the cluster. */
  issue(request: CertificateRequest): Promise<KeyPair>;
  readonly network: NodeNetwork;
  readonly nodeDir: string;
  /** Binds a pod to the node. */
  run(name: string, spec: Partial<PodSpec> & Pick<PodSpec, 'containers'>): Promise<Pod>;
  until(name: string, holds: (pod: Pod | undefined) => boolean): Promise<Pod>;
  close(): Promise<void>;
};

export type Answer = { readonly status: number; readonly body: string };

export async function openNode(
  t: TestContext,
  settings: Partial<KubeletSettings> = {},
): Promise<TestNode> {
  const nodeDir = await mkdtemp(join(tmpdir(), 'ambit-kubelet-'));
  const cluster = await openNetnsNetwork({ clock: systemClock, log: testLog });
  const network = await cluster.addNode('node-1');
  const kube = new MemoryKube(() => systemClock.now());
  const authority = await createAuthority(systemClock.now());
  await kube.create(CONFIG_MAPS, {
    metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
    data: { 'client-ca-file': authority.caPem },
  } as ConfigMap);
  const apiServer = await authority.issue({
    commonName: 'kube-apiserver-kubelet-client',
    organizations: ['system:masters'],
  });
  const kubelet = await startKubelet(
    { client: kube, network, clock: systemClock, log: testLog },
    {
      nodeName: 'node-1',
      nodeDir,
      mode: 'netns',
      refreshMs: 50,
      restarts: { initialMs: 50, maxMs: 400, forgetMs: 600_000 },
      ...settings,
    },
  );
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await kubelet.close();
    await cluster.close();
    await rm(nodeDir, { recursive: true, force: true });
  };
  t.after(close);
  return {
    kube,
    network,
    nodeDir,
    close,
    issue: (request) => authority.issue(request),
    ask: (path, as = apiServer) => ask(network.addresses[0] ?? '', path, as),
    async run(name, spec) {
      return kube.create<Pod>(PODS, {
        metadata: { name, namespace: 'demo', uid: `uid-${name}`, generation: 1 },
        spec: { nodeName: 'node-1', terminationGracePeriodSeconds: 5, ...spec },
      });
    },
    async until(name, holds) {
      const pod = await kube.until<Pod>(PODS, name, 'demo', holds);
      return pod ?? { metadata: { name }, spec: { containers: [] } };
    },
  };
}

export function isReady(pod: Pod | undefined): boolean {
  return (
    pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ===
    true
  );
}

async function ask(host: string, path: string, as: KeyPair): Promise<Answer> {
  const asking = request({
    host,
    port: 10_250,
    path,
    cert: as.certPem,
    key: as.keyPem,
    rejectUnauthorized: false,
    agent: false,
  });
  asking.end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}
