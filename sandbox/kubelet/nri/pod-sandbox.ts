// A pod's sandbox as NRI plugins are told of it, from its making to its end. Held by pod.ts, one a pod; each making is a
// sandbox of its own, as it is in Kubernetes.

import type { PodSandbox } from '../../../wire/nri.ts';
import type { PodNetwork } from '../../network/network.ts';
import type { Pod } from '../pod/pod-spec.ts';
import { podRef } from '../pod/pod-spec.ts';
import type { NriRuntime } from './runtime.ts';

export class AnnouncedSandbox {
  readonly #runtime: NriRuntime;
  #made = 0;
  #current: PodSandbox | undefined;

  constructor(runtime: NriRuntime) {
    this.#runtime = runtime;
  }

  /** The network is there, no container has started. @throws Error when a plugin does not want the pod to start */
  async begin(pod: Pod, network: PodNetwork): Promise<void> {
    this.#made++;
    const sandbox = sandboxOf(pod, network, this.#made);
    try {
      await this.#runtime.runPodSandbox(sandbox);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      // the words a kubelet uses
      throw new Error(`Failed to create pod sandbox: NRI RunPodSandbox failed: ${why}`, {
        cause: error,
      });
    }
    this.#current = sandbox;
  }

  /** @throws Error when a plugin does not want the container to start */
  async beforeContainer(): Promise<void> {
    if (this.#current !== undefined) await this.#runtime.createContainer(this.#current);
  }

  async end(): Promise<void> {
    const sandbox = this.#current;
    this.#current = undefined;
    if (sandbox !== undefined) await this.#runtime.endPodSandbox(sandbox);
  }
}

function sandboxOf(pod: Pod, network: PodNetwork, made: number): PodSandbox {
  const { uid, name, namespace } = podRef(pod);
  return {
    id: `${uid}-${made}`,
    name,
    uid,
    namespace,
    labels: pod.metadata.labels ?? {},
    annotations: pod.metadata.annotations ?? {},
    network: networkOf(pod, network),
    pid: 0,
    ips: network.addresses,
  };
}

function networkOf(pod: Pod, { netnsPath }: PodNetwork): PodSandbox['network'] {
  if (pod.spec.hostNetwork === true) return { kind: 'host' };
  // in loopback mode a pod is an address; what captures it there needs no more
  return netnsPath === undefined ? { kind: 'unknown' } : { kind: 'own', path: netnsPath };
}
