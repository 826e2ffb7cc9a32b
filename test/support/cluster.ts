// A whole sandbox for end-to-end tests, started as people start it: by launch, in namespaces of its own or in loopback
// mode, with the API server reached from outside. Every file of test/e2e/ makes one and closes it.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { entryPath } from '../../runtime/entry.ts';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import { DAEMON_SETS, DEPLOYMENTS } from '../../runtime/kubernetes/resources.ts';
import type { DaemonSet, Deployment } from '../../sandbox/controllers/objects.ts';
import { installManifests, installMesh } from '../../sandbox/install.ts';
import { launch } from '../../sandbox/launch/launch.ts';
import { captureLink, type LinkCaptureResult } from '../../sandbox/link-service.ts';
import type { NetworkMode } from '../../sandbox/network/network.ts';
import { type Answer, type Kubectl, kubectlFor } from './kubectl.ts';
import { waitFor } from './wait-for.ts';

export type TestClusterSettings = {
  readonly nodes: number;
  readonly network: 'auto' | NetworkMode;
  /** Install Ambit, and wait until every part of it is ready. */
  readonly mesh: boolean;
};

export interface TestCluster extends AsyncDisposable {
  readonly mode: NetworkMode;
  readonly kubeconfig: string;
  readonly client: KubeClient;
  readonly kubectl: Kubectl;
  /** Applies folders of manifests/ and waits until their Deployments and DaemonSets have rolled out. */
  install(folders: readonly string[], namespace: string): Promise<void>;
  /** Runs a command in a pod's first container. @throws Error unless it exits 0 */
  exec(namespace: string, pod: string, command: readonly string[]): Promise<string>;
  /** Runs `ambit ARGS` on this cluster. */
  ambit(args: readonly string[]): Promise<Answer>;
  /** The TCP packets between nodes in the next `ms`. */
  captureLink(ms: number, until?: AbortSignal): Promise<LinkCaptureResult>;
  close(): Promise<void>;
}

export async function startCluster(settings: TestClusterSettings): Promise<TestCluster> {
  const reports: string[] = [];
  const note = (line: string): void => {
    reports.push(line);
  };
  const launched = await launch(
    { clock: systemClock, report: note, progress: note },
    {
      name: `test-${randomBytes(4).toString('hex')}`,
      network: settings.network,
      program: [entryPath('sandbox/inner-main'), String(settings.nodes), 'bare'],
      uid: process.getuid?.() ?? -1,
      env: process.env,
    },
  );
  try {
    const { kubeconfig = '', linkSocket = '' } = await launched.ready;
    const client = await connectKubernetes({ kubeconfig });
    const kubectl = kubectlFor(kubeconfig);
    if (settings.mesh) {
      await installMesh(client, { capture: launched.mode });
      await rolledOut(client, 'ambit-system');
    }
    return {
      mode: launched.mode,
      kubeconfig,
      client,
      kubectl,
      async install(folders, namespace) {
        await installManifests(client, folders);
        await rolledOut(client, namespace);
      },
      exec: (namespace, pod, command) => kubectl(['exec', '-n', namespace, pod, '--', ...command]),
      ambit: (args) => runAmbit(kubeconfig, args),
      captureLink: (ms, until) => captureLink(linkSocket, ms, until),
      close: () => launched.close(),
      [Symbol.asyncDispose]: () => launched.close(),
    };
  } catch (cause) {
    const log = await lastLines(join(launched.directory, 'sandbox.log'));
    await launched.close();
    throw new Error(`Cannot start the test's cluster after: ${reports.join(', ')}\n${log}`, {
      cause,
    });
  }
}

async function rolledOut(client: KubeClient, namespace: string): Promise<void> {
  // starting a dozen Node.js processes on a busy two-core machine
  const where = { namespace, timeoutMs: 180_000 };
  await waitFor<Deployment>(client, DEPLOYMENTS, where, (all) =>
    all.every(
      ({ metadata, spec, status }) =>
        status?.observedGeneration === metadata.generation &&
        status?.availableReplicas === (spec?.replicas ?? 1),
    ),
  );
  await waitFor<DaemonSet>(client, DAEMON_SETS, where, (all) =>
    all.every(
      ({ metadata, status }) =>
        status?.['observedGeneration'] === metadata.generation &&
        status?.['numberAvailable'] === status?.['desiredNumberScheduled'],
    ),
  );
}

function runAmbit(kubeconfig: string, args: readonly string[]): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const child = spawn(process.execPath, [entryPath('cli/main'), ...args], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.on('error', reject);
  child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  return promise;
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(-30).join('\n');
}
