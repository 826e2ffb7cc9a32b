// A node with its kubelet for tests: a real network, a real kubelet, an API server in memory. Everything is
// gone when the test ends.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ClientOptions, WebSocket } from 'ws';
import { systemClock } from '../../../runtime/clock.ts';
import type { ConfigMap } from '../../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, PODS } from '../../../runtime/kubernetes/resources.ts';
import { createLog } from '../../../runtime/log.ts';
import {
  type CertificateRequest,
  createAuthority,
  type KeyPair,
} from '../../apiserver/auth/certificates.ts';
import { openLoopbackNetwork } from '../../network/loopback/cluster.ts';
import { openNetnsNetwork } from '../../network/netns/cluster.ts';
import type { ClusterNetwork, NetworkMode, NodeNetwork } from '../../network/network.ts';
import { type KubeletSettings, startKubelet } from '../kubelet.ts';
import type { Pod, PodSpec } from '../pod/pod-spec.ts';
import { MemoryKube } from './memory-kube.ts';

export const testLog = createLog({
  component: 'test',
  level: process.env['KUBELET_TEST_LOG'] === 'debug' ? 'debug' : 'error',
  format: 'text',
});

export type TestNode = {
  readonly kube: MemoryKube;
  /** Asks the kubelet's server, as the API server would; `nobody` shows no certificate. */
  ask(path: string, as?: KeyPair | 'nobody'): Promise<Answer>;
  /** Runs a command as `kubectl exec` does: WebSocket, protocol v5. */
  exec(pod: string, container: string, ask: ExecAsk): Promise<ExecAnswer>;
  /** One connection to a port of a pod, as `kubectl port-forward` makes it: sends, half-closes, gives the answer. */
  forward(pod: string, port: number, send: string): Promise<string>;
  /** A client certificate of the cluster. */
  issue(request: CertificateRequest): Promise<KeyPair>;
  readonly network: NodeNetwork;
  readonly nodeDir: string;
  /** Binds a pod to the node. */
  run(name: string, spec: Partial<PodSpec> & Pick<PodSpec, 'containers'>): Promise<Pod>;
  until(name: string, holds: (pod: Pod | undefined) => boolean): Promise<Pod>;
  close(): Promise<void>;
};

function openNetwork(mode: NetworkMode, nodeDir: string): Promise<ClusterNetwork> {
  const parts = { clock: systemClock, log: testLog };
  if (mode === 'netns') return openNetnsNetwork(parts);
  return openLoopbackNetwork(parts, {
    directory: join(nodeDir, 'network'),
    podNetnsDirectory: () => join(nodeDir, 'run/ambit/pods'),
  });
}

export type Answer = { readonly status: number; readonly body: string };

export async function openNode(
  t: TestContext,
  settings: Partial<KubeletSettings> = {},
): Promise<TestNode> {
  const nodeDir = await mkdtemp(join(tmpdir(), 'ambit-kubelet-'));
  const mode = settings.mode ?? 'netns';
  const cluster = await openNetwork(mode, nodeDir);
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
      mode,
      refreshMs: 50,
      restarts: { initialMs: 50, maxMs: 400, forgetMs: 600_000 },
      ...settings,
    },
  );
  const host = network.addresses[0] ?? '';
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
    ask: (path, as = apiServer) => ask(host, path, as),
    exec(pod, container, asked) {
      const query = new URLSearchParams({ output: '1', error: '1' });
      if (asked.stdin !== undefined) query.set('input', '1');
      if (asked.tty === true) query.set('tty', '1');
      for (const word of asked.command) query.append('command', word);
      const path = `/exec/demo/${pod}/${container}?${query.toString()}`;
      return exec(`wss://${host}:10250${path}`, apiServer, asked);
    },
    forward: (pod, port, send) =>
      forward(`wss://${host}:10250/portForward/demo/${pod}?ports=${port}`, apiServer, send),
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

export type ExecAsk = {
  readonly command: readonly string[];
  readonly stdin?: string;
  readonly tty?: boolean;
};
export type ExecAnswer = { stdout: string; stderr: string; status: string };

// Channels of the protocols v4 and v5; on v5 a message of channel 255 closes the channel that it names.
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const CLOSE = 255;

async function exec(url: string, as: KeyPair, { stdin }: ExecAsk): Promise<ExecAnswer> {
  const socket = new WebSocket(url, ['v5.channel.k8s.io'], credentials(as));
  const answer: ExecAnswer = { stdout: '', stderr: '', status: '' };
  socket.on('message', (message: Buffer) => {
    const text = message.subarray(1).toString();
    if (message[0] === STDOUT) answer.stdout += text;
    if (message[0] === STDERR) answer.stderr += text;
    if (message[0] === ERROR) answer.status += text;
  });
  const closed = once(socket, 'close');
  await once(socket, 'open');
  if (stdin !== undefined) {
    socket.send(Buffer.from([STDIN, ...Buffer.from(stdin)]));
    socket.send(Buffer.from([CLOSE, STDIN]));
  }
  await closed;
  return answer;
}

/** The port's own number comes first on both of its channels (0: data, 1: error). */
async function forward(url: string, as: KeyPair, send: string): Promise<string> {
  const socket = new WebSocket(url, ['v4.channel.k8s.io'], credentials(as));
  const { promise, resolve } = Promise.withResolvers<string>();
  const seen = new Set<number>();
  socket.on('message', (message: Buffer) => {
    const channel = message[0] ?? 0;
    if (!seen.has(channel)) seen.add(channel);
    else resolve(message.subarray(1).toString());
  });
  await once(socket, 'open');
  socket.send(Buffer.from([0, ...Buffer.from(send)]));
  const text = await promise;
  const closed = once(socket, 'close');
  socket.close();
  await closed;
  return text;
}

function credentials({ certPem, keyPem }: KeyPair): ClientOptions {
  return { cert: certPem, key: keyPem, rejectUnauthorized: false };
}

async function ask(host: string, path: string, as: KeyPair | 'nobody'): Promise<Answer> {
  const asking = request({
    host,
    port: 10_250,
    path,
    ...(as === 'nobody' ? {} : { cert: as.certPem, key: as.keyPem }),
    rejectUnauthorized: false,
    agent: false,
  });
  asking.end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}
