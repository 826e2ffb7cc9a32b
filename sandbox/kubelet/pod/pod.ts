// One pod on its node, top to bottom: prepare (network, volumes), initialise, serve, end. Made by kubelet.ts, which also
// hands it newer versions of its object. Invariants: one journey per pod UID; after it nothing of the pod runs, its
// network is given back, and its netns link is gone; its logs stay until remove().

import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Backoff, backoff } from '../../../runtime/backoff.ts';
import type { Timer } from '../../../runtime/clock.ts';
import type { PodNetwork } from '../../network/network.ts';
import { Container } from '../container/container.ts';
import { hostnameOf } from '../container/environment.ts';
import type { Bind } from '../container/mount-view.ts';
import { endStrays } from '../container/processes.ts';
import type { News } from '../events.ts';
import {
  logDirectory,
  type NodeParts,
  type NodeSettings,
  netnsDirectory,
  nodeRunDirectory,
  podDirectory,
} from '../node-parts.ts';
import { AnnouncedSandbox } from '../nri/pod-sandbox.ts';
import { configSource, type TokenSource, tokenSource } from '../volumes/config-source.ts';
import { prepareVolumes, type VolumePaths } from '../volumes/volumes.ts';
import { podKubeconfig, startInPod } from './pod-containers.ts';
import { addressesOf, type PodLife, type PodSandbox, sandboxOf, step } from './pod-life.ts';
import { type ContainerSpec, type Pod, type PodRef, type PodStatus, podRef } from './pod-spec.ts';
import { isSidecar, podStatus } from './pod-status.ts';

/** An init container failed and will not be tried again. */
class InitFailure extends Error {
  override readonly name = 'InitFailure';
}

// Kubernetes' default when the pod does not say (terminationGracePeriodSeconds)
const DEFAULT_GRACE_SECONDS = 30;
// What a pod waits for (a ConfigMap, an address) is looked for at this pace; Kubernetes goes up to two minutes, which
// is long for a person who watches.
const PREPARE_RETRY = { initialMs: 500, maxMs: 5000, jitter: 0 } as const;

export class PodOnNode {
  readonly ref: PodRef;
  readonly #parts: NodeParts & { readonly onChange: () => void };
  readonly #settings: NodeSettings;
  readonly #tokens: TokenSource;
  readonly #init: readonly Container[];
  readonly #main: readonly Container[];
  readonly #startedAt: number;
  readonly #stop = new AbortController();
  readonly #force = new AbortController();
  #pod: Pod;
  #life: PodLife = { state: 'preparing' };
  #network: PodNetwork | undefined;
  readonly #announced: AnnouncedSandbox;
  #journey: Promise<void> | undefined;
  #endBy = Number.POSITIVE_INFINITY;
  #forceTimer: Timer | undefined;

  constructor(
    pod: Pod,
    parts: NodeParts & { readonly onChange: () => void },
    settings: NodeSettings,
  ) {
    this.ref = podRef(pod);
    this.#pod = pod;
    this.#parts = parts;
    this.#settings = settings;
    this.#startedAt = parts.clock.now();
    this.#announced = new AnnouncedSandbox(parts.nri);
    this.#tokens = tokenSource(parts, this.ref, pod.spec.serviceAccountName ?? 'default');
    this.#init = (pod.spec.initContainers ?? []).map((spec) =>
      this.#container(spec, isSidecar(spec) ? 'sidecar' : 'init'),
    );
    this.#main = pod.spec.containers.map((spec) => this.#container(spec, 'main'));
  }

  get pod(): Pod {
    return this.#pod;
  }

  get life(): PodLife['state'] {
    return this.#life.state;
  }

  /** The network while there is one; for port-forward. */
  get network(): PodNetwork | undefined {
    return sandboxOf(this.#life)?.network;
  }

  /** The pod's own, when nobody asks for another. */
  get gracePeriodMs(): number {
    return (this.#pod.spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS) * 1000;
  }

  container(name: string): Container | undefined {
    return [...this.#init, ...this.#main].find(({ spec }) => spec.name === name);
  }

  /** A newer version of the same object (labels, annotations; a pod's containers do not change). */
  update(pod: Pod): void {
    this.#pod = pod;
  }

  status(): PodStatus {
    return podStatus(
      {
        pod: this.#pod,
        life: this.#life,
        init: this.#init.map(({ record }) => record),
        main: this.#main.map(({ record }) => record),
        startedAt: this.#startedAt,
        hostIps: this.#parts.network.addresses,
      },
      this.#pod.status,
      this.#parts.clock.now(),
    );
  }

  /** The whole journey; resolves when the pod is finished. Never rejects. */
  run(): Promise<void> {
    this.#journey ??= this.#run();
    return this.#journey;
  }

  /** Ends the pod within `graceMs`; a second call can only bring the end nearer. */
  terminate(graceMs: number): void {
    const { clock } = this.#parts;
    this.#stop.abort(new Error(`Pod "${this.ref.namespace}/${this.ref.name}" is being terminated`));
    const end = clock.monotonic() + graceMs;
    if (end >= this.#endBy) return;
    this.#endBy = end;
    this.#forceTimer?.cancel();
    const force = (): void => this.#force.abort(new Error('The grace period is over'));
    if (graceMs <= 0) force();
    else this.#forceTimer = clock.timer(graceMs, force);
  }

  /** Forgets the pod's files; the object is gone. */
  async remove(): Promise<void> {
    this.#move({ state: 'removed' });
    await rm(logDirectory(this.#settings.nodeDir, this.ref), { recursive: true, force: true });
  }

  async #run(): Promise<void> {
    const { log } = this.#parts;
    const stop = this.#stop.signal;
    const refreshing = new AbortController();
    let refresh: Promise<void> = Promise.resolve();
    try {
      const sandbox = await this.#prepare(stop);
      this.#move({ state: 'initializing', sandbox });
      refresh = this.#refreshVolumes(AbortSignal.any([stop, refreshing.signal]));
      await this.#initialize(stop);
      this.#move({ state: 'running', sandbox });
      await orStopped(Promise.all(this.#main.map((container) => container.run())), stop);
    } catch (error) {
      if (!stop.aborted && !(error instanceof InitFailure)) {
        log.error('The pod cannot go on', { error });
      }
    }
    refreshing.abort(new Error('The pod has ended'));
    await refresh;
    await this.#end();
  }

  async #prepare(stop: AbortSignal): Promise<PodSandbox> {
    const delays = backoff(PREPARE_RETRY);
    const network = await this.#retry('FailedCreatePodSandBox', delays, stop, () =>
      this.#connect(),
    );
    delays.reset();
    const volumes = await this.#retry('FailedMount', delays, stop, () => this.#mount(network));
    return { network, volumes };
  }

  async #retry<T>(
    reason: string,
    delays: Backoff,
    stop: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T> {
    for (;;) {
      stop.throwIfAborted();
      try {
        return await work();
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#parts.log.debug('The pod waits', { reason, error });
        this.#tell({ type: 'Warning', reason, message });
        await this.#parts.clock.sleep(delays.next(), stop);
      }
    }
  }

  async #connect(): Promise<PodNetwork> {
    const node = this.#parts.network;
    const { uid } = this.ref;
    const network = this.#pod.spec.hostNetwork === true ? node.host : await node.addPod(this.ref);
    this.#network = network;
    const directory = netnsDirectory(this.#settings.nodeDir, uid);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { recursive: true });
    if (network.netnsPath !== undefined && network !== node.host) {
      await symlink(network.netnsPath, join(directory, 'netns'));
    }
    try {
      await this.#announced.begin(this.#pod, network);
    } catch (error) {
      await this.#disconnect();
      throw error;
    }
    return network;
  }

  async #mount(network: PodNetwork): Promise<VolumePaths> {
    const { nodeDir } = this.#settings;
    const directory = podDirectory(nodeDir, this.ref.uid);
    await mkdir(join(directory, 'root'), { recursive: true });
    await mkdir(join(directory, 'etc'), { recursive: true });
    await writeFile(join(directory, 'etc', 'resolv.conf'), network.resolvConf);
    await writeFile(join(directory, 'etc', 'hosts'), this.#hosts(network.addresses));
    const volumes = await this.#volumes(network);
    const kubeconfig = podKubeconfig(this.#pod, volumes, this.#settings);
    if (kubeconfig !== undefined)
      await writeFile(kubeconfig.path, kubeconfig.text, { mode: 0o600 });
    return volumes;
  }

  #volumes(network: PodNetwork): Promise<VolumePaths> {
    const { nodeDir } = this.#settings;
    return prepareVolumes(
      {
        pod: this.#pod,
        facts: this.#facts(network),
        config: configSource(this.#parts.client, this.ref.namespace),
        tokens: this.#tokens,
      },
      {
        directory: join(podDirectory(nodeDir, this.ref.uid), 'volumes'),
        nodeRunDirectory: nodeRunDirectory(nodeDir),
      },
    );
  }

  /** Fills the volumes again and again: what changed in the cluster shows up in the files. */
  async #refreshVolumes(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const network = this.#network;
    while (!signal.aborted && network !== undefined) {
      try {
        await clock.sleep(this.#settings.refreshMs, signal);
        await this.#volumes(network);
      } catch (error) {
        // the files of before stay; the next round tries again
        if (!signal.aborted) log.debug('Cannot refresh the volumes of a pod', { error });
      }
    }
  }

  /** Init containers one after the other; a sidecar only has to be started. */
  async #initialize(stop: AbortSignal): Promise<void> {
    for (const container of this.#init) {
      stop.throwIfAborted();
      const finished = container.run();
      if (isSidecar(container.spec)) {
        await orStopped(Promise.race([container.started, finished]), stop);
        continue;
      }
      await orStopped(finished, stop);
      if (!container.succeeded) throw new InitFailure(container.spec.name);
    }
  }

  async #end(): Promise<void> {
    // ended by itself: its sidecars have the pod's own grace period
    if (!this.#stop.signal.aborted) this.terminate(this.gracePeriodMs);
    const force = this.#force.signal;
    const addresses = addressesOf(this.#life);
    this.#move({ state: 'terminating', sandbox: sandboxOf(this.#life) });
    await Promise.all(this.#main.map((container) => container.stop(force)));
    for (const container of this.#init.toReversed()) await container.stop(force);
    const directory = podDirectory(this.#settings.nodeDir, this.ref.uid);
    endStrays(directory);
    await this.#announced.end();
    await this.#disconnect();
    await rm(directory, { recursive: true, force: true });
    this.#forceTimer?.cancel();
    this.#move({ state: 'finished', addresses });
  }

  async #disconnect(): Promise<void> {
    const network = this.#network;
    this.#network = undefined;
    const directory = netnsDirectory(this.#settings.nodeDir, this.ref.uid);
    // an agent may be writing there at this very moment
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
    if (network === this.#parts.network.host) return;
    await network?.close().catch((error: unknown) => {
      this.#parts.log.warn('Cannot give back the network of a pod', { error });
    });
  }

  #container(spec: ContainerSpec, kind: 'main' | 'init' | 'sidecar'): Container {
    const { restarts, maxLogBytes, nodeDir } = this.#settings;
    const { clock, log, onChange } = this.#parts;
    const pod = this.#pod.spec;
    const hasInit = (pod.initContainers ?? []).length > 0;
    return new Container(
      {
        clock,
        log,
        onChange,
        tell: (news) => this.#tell(news),
        start: async (container, output) => {
          await this.#announced.beforeContainer();
          const sandbox = sandboxOf(this.#life);
          if (sandbox === undefined) throw new TypeError('The pod has no network any more');
          const facts = this.#facts(sandbox.network);
          const here = { pod: this.#pod, sandbox, facts, etc: this.#etc() };
          return startInPod(container, here, output, this.#parts, this.#settings);
        },
      },
      {
        spec,
        kind,
        restartPolicy: pod.restartPolicy ?? 'Always',
        waitingReason: kind === 'main' && hasInit ? 'PodInitializing' : 'ContainerCreating',
        containerId: this.ref.uid,
        gracePeriodMs: this.gracePeriodMs,
        restarts,
        logDirectory: logDirectory(nodeDir, this.ref),
        maxLogBytes,
      },
    );
  }

  #facts(network: PodNetwork): {
    podIps: readonly string[];
    hostIps: readonly string[];
    nodeName: string;
    capacity: NodeSettings['capacity'];
  } {
    const { nodeName, capacity } = this.#settings;
    const hostIps = this.#parts.network.addresses;
    return { podIps: network.addresses, hostIps, nodeName, capacity };
  }

  #etc(): Bind[] {
    const directory = join(podDirectory(this.#settings.nodeDir, this.ref.uid), 'etc');
    return ['resolv.conf', 'hosts'].map((name) => ({
      source: join(directory, name),
      kind: 'file',
      target: `/etc/${name}`,
      readOnly: false,
    }));
  }

  #hosts(addresses: readonly string[]): string {
    const { hostAliases = [] } = this.#pod.spec;
    const hostname = hostnameOf(this.#pod, this.#settings.nodeName);
    return [
      '127.0.0.1\tlocalhost',
      '::1\tlocalhost ip6-localhost ip6-loopback',
      ...addresses.map((ip) => `${ip}\t${hostname}`),
      ...hostAliases.map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join(' ')}`),
      '',
    ].join('\n');
  }

  #tell(news: News): void {
    this.#parts.events.record(this.ref, news);
  }

  #move(next: PodLife): void {
    const { state } = this.#life;
    const moved = step(this.#life, next);
    if (moved === undefined) {
      this.#parts.log.debug(`pod ${state} -/-> ${next.state}: refused`);
      return;
    }
    this.#life = moved;
    this.#parts.log.debug(`pod ${state} -> ${next.state}`);
    this.#parts.onChange();
  }
}

/** What `work` does, or the stop's reason as soon as it comes; `work` goes on and is awaited by whoever ends it. */
async function orStopped<T>(work: Promise<T>, stop: AbortSignal): Promise<T> {
  stop.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  const onAbort = (): void => stopped.reject(stop.reason as Error);
  stop.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, stopped.promise]);
  } finally {
    stop.removeEventListener('abort', onAbort);
  }
}
