// A whole sandbox for end-to-end tests, started as people start it: `sandbox/main.ts up`, as a process, with a state
// directory of its own. sandboxSuite() is what every file of test/e2e/ is made of: it starts one, shows its state when a
// test fails, and takes it down whatever happens.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, type TestContext } from 'node:test';
import { entryPath } from '../../runtime/entry.ts';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import { loadAccess } from '../../runtime/kubernetes/kubeconfig.ts';
import type { Event, Node, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  DAEMON_SETS,
  DEPLOYMENTS,
  EVENTS,
  NODES,
  PODS,
} from '../../runtime/kubernetes/resources.ts';
import type { DaemonSet, Deployment } from '../../sandbox/controllers/objects.ts';
import { ambit, type Ran } from '../../sandbox/demo/cli.ts';
import { captureLink, type LinkCaptureResult } from '../../sandbox/link-service.ts';
import type { NetworkMode } from '../../sandbox/network/network.ts';
import { type Kubectl, kubectlFor } from './kubectl.ts';
import { type PodApi, podApi } from './pod-api.ts';
import { waitFor } from './wait-for.ts';

export type Sandbox = PodApi & {
  readonly mode: NetworkMode;
  readonly directory: string;
  readonly kubeconfig: string;
  readonly client: KubeClient;
  readonly kubectl: Kubectl;
  /** Runs `ambit ARGS` on this cluster, whatever its exit code. */
  ambit(...args: string[]): Promise<Ran>;
  /** The TCP packets between the nodes in the next `ms`. */
  captureLink(ms: number, until?: AbortSignal): Promise<LinkCaptureResult>;
  /** Names of its nodes, in order. */
  nodes(): Promise<readonly string[]>;
  /** Waits until every Deployment and DaemonSet of a namespace has rolled out. */
  rolledOut(namespace: string): Promise<void>;
};

// far above the 5 s it takes on an idle machine with two cores
const START_TIMEOUT_MS = 120_000;
const ROLLOUT_TIMEOUT_MS = 120_000;
// taking down lets pods end gracefully, 30 s by default
const STOP_TIMEOUT_MS = 60_000;
const SHOWN_LINES = 25;

type Started = { readonly sandbox: Sandbox; close(): Promise<void> };

/** `AMBIT_TEST_NETWORK=loopback` runs all of it without namespaces, wherever that can be proven so. */
export const TEST_NETWORK = process.env['AMBIT_TEST_NETWORK'] ?? 'auto';

/** `AMBIT_TEST_KUBECONFIG=FILE` runs all of it against the API server of that file. */
const GIVEN = process.env['AMBIT_TEST_KUBECONFIG'];
const givenWords = async (): Promise<readonly string[]> =>
  GIVEN === undefined ? [] : ['--mesh', '--kubeconfig', GIVEN];

/**
 * The tests that `body` declares share one sandbox with Ambit in it; `sandbox()` is for use inside of tests.
 * @param missing why they cannot run on this machine: said on stderr, and none of them runs
 * @param words what `up` is to be told beside its name
 */
export function sandboxSuite(
  title: string,
  body: (sandbox: () => Sandbox) => void,
  missing?: string,
  words: () => Promise<readonly string[]> = givenWords,
): void {
  if (missing !== undefined) process.stderr.write(`SKIPPED "${title}": ${missing}\n`);
  describe(title, { skip: missing ?? false }, () => {
    let started: Started | undefined;
    const sandbox = (): Sandbox => {
      if (started === undefined) throw new Error('The sandbox is there only while tests run');
      return started.sandbox;
    };
    before(async () => {
      started = await startSandbox(await words());
    });
    afterEach(async (context) => {
      // the hook is given the context of the test, which says so
      const { name, passed } = context as TestContext & { readonly passed?: boolean };
      if (passed !== false || started === undefined) return;
      process.stderr.write(`# State at the end of "${name}":\n${await stateOf(started.sandbox)}\n`);
    });
    after(() => started?.close());
    body(sandbox);
  });
}

export async function startSandbox(words: readonly string[]): Promise<Started> {
  const name = `e2e-${randomBytes(4).toString('hex')}`;
  const home = mkdtempSync(join(tmpdir(), 'ambit-e2e-'));
  const directory = join(home, 'ambit', 'sandboxes', name);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [entryPath('sandbox/main'), 'up', '--name', name, '--network', TEST_NETWORK, ...words],
    { env: { ...env, XDG_STATE_HOME: home }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const takeDown = owned(child, home);
  try {
    const mode = await up(child);
    const kubeconfig = join(directory, 'apiserver', 'kubeconfig');
    const client = await connectKubernetes({ kubeconfig });
    const sandbox: Sandbox = {
      ...podApi(await loadAccess({ kubeconfig })),
      mode,
      directory,
      kubeconfig,
      client,
      kubectl: kubectlFor(kubeconfig),
      ambit: (...args) => ambit({ kubeconfig }, args),
      captureLink: (ms, until) => captureLink(join(directory, 'link.sock'), ms, until),
      nodes: async () => (await client.list<Node>(NODES)).items.map(nameOf).sort(),
      rolledOut: (namespace) => rolledOut(client, namespace),
    };
    await sandbox.rolledOut('ambit-system').catch(async (error: unknown) => {
      throw new Error(`Ambit did not start\n${await stateOf(sandbox)}`, { cause: error });
    });
    return { sandbox, close: takeDown };
  } catch (error) {
    const log = await lastLines(join(directory, 'sandbox.log'));
    await takeDown();
    throw new Error(`Cannot start the sandbox of the test\n${log}`, { cause: error });
  }
}

/** Resolves with the network mode once it says that it is up. */
function up(child: ChildProcess): Promise<NetworkMode> {
  const { promise, resolve, reject } = Promise.withResolvers<NetworkMode>();
  let said = '';
  const fail = (how: string): void => reject(new Error(`The sandbox ${how}; it said:\n${said}`));
  const timer = setTimeout(() => fail(`was not up after ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
  const read = (text: string): void => {
    said += text;
    const mode = /The sandbox is up \((netns|loopback)\)/.exec(said)?.[1];
    if (mode !== undefined) resolve(mode as NetworkMode);
  };
  child.stdout?.setEncoding('utf8').on('data', read);
  child.stderr?.setEncoding('utf8').on('data', read);
  child.on('error', reject);
  child.on('exit', (code) => fail(`ended with code ${code}`));
  return promise.finally(() => clearTimeout(timer));
}

/** The one way to end it; also when this process is told to end, e.g. by the test runner's time limit. */
function owned(child: ChildProcess, home: string): () => Promise<void> {
  const ended = new Promise<void>((resolve) => {
    child.on('exit', () => resolve());
    child.on('error', () => resolve());
  });
  const lastResort = (): void => void child.kill('SIGTERM');
  const onSignal = (): void => process.exit(143);
  process.on('exit', lastResort);
  process.on('SIGTERM', onSignal);
  return async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    process.off('exit', lastResort);
    process.off('SIGTERM', onSignal);
    const left = leftovers(home);
    rmSync(home, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`The sandbox left behind: ${left.join(', ')}`);
  };
}

/** What is below a state root after a sandbox ended: nothing, if all is well. */
export function leftovers(home: string): string[] {
  try {
    return readdirSync(join(home, 'ambit', 'sandboxes'));
  } catch {
    return [];
  }
}

async function rolledOut(client: KubeClient, namespace: string): Promise<void> {
  const where = { namespace, timeoutMs: ROLLOUT_TIMEOUT_MS };
  await waitFor<Deployment>(client, DEPLOYMENTS, where, (all) =>
    all.every(
      ({ metadata, spec, status }) =>
        status?.observedGeneration === metadata.generation &&
        (status?.availableReplicas ?? 0) === (spec?.replicas ?? 1) &&
        (status?.updatedReplicas ?? 0) === (spec?.replicas ?? 1),
    ),
  );
  await waitFor<DaemonSet>(client, DAEMON_SETS, where, (all) =>
    all.every(
      ({ metadata, status }) =>
        status?.['observedGeneration'] === metadata.generation &&
        status?.['desiredNumberScheduled'] !== 0 &&
        status?.['numberAvailable'] === status?.['desiredNumberScheduled'],
    ),
  );
}

function nameOf({ metadata }: Node): string {
  return metadata.name ?? '';
}

/** Pods, warnings, the ends of logs: what a person would look at first. */
async function stateOf(sandbox: Sandbox): Promise<string> {
  try {
    const { items: pods } = await sandbox.client.list<Pod>(PODS);
    const { items: events } = await sandbox.client.list<Event>(EVENTS);
    const system = pods.filter(({ metadata }) => metadata.namespace === 'ambit-system');
    const logs = system.map(async ({ metadata: { namespace = '', name = '' } }) => {
      const log = await sandbox.logs({ namespace, name }, SHOWN_LINES).catch(String);
      return `## log of ${name}\n${log}`;
    });
    return [
      '## pods',
      ...pods.map(describePod),
      '## warnings',
      ...events.filter(isWarning).map(describeEvent),
      ...(await Promise.all(logs)),
      '## sandbox.log',
      await lastLines(join(sandbox.directory, 'sandbox.log')),
    ].join('\n');
  } catch (error) {
    return `Cannot show the state: ${String(error)}`;
  }
}

/** A pod that is not ready yet is how every pod begins. */
function isWarning({ type, reason, message }: Event): boolean {
  return type === 'Warning' && !(reason === 'Unhealthy' && message?.includes('Readiness') === true);
}

function describePod({ metadata, spec, status }: Pod): string {
  const { namespace, name, annotations, deletionTimestamp } = metadata;
  const restarts = status?.containerStatuses?.map(({ restartCount }) => restartCount);
  const going = deletionTimestamp === undefined ? '' : ' going';
  return `${namespace}/${name} on ${spec.nodeName} ${status?.phase}${going} ${status?.podIP} restarts ${restarts} ${JSON.stringify(annotations ?? {})}`;
}

function describeEvent({
  involvedObject: { kind, namespace, name },
  reason,
  message,
}: Event): string {
  return `${kind} ${namespace}/${name}: ${reason}: ${message}`;
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(-SHOWN_LINES).join('\n');
}
