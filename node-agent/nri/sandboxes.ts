// The pod sandboxes of this node as the container runtime tells of them, and so a source of network namespaces. Written by
// plugin.ts's events through arrivals.ts, asked by capture. Invariant: the end of an older sandbox changes nothing of the
// pod's newest.

import { join } from 'node:path';
import type { PodSandbox } from '../../wire/nri.ts';
import { inodeOf, type NetnsSource } from '../capture/find-netns.ts';

export class Sandboxes implements NetnsSource {
  /** Newest first: a kubelet makes a pod's sandbox anew when its first process died, and takes the old one away later. */
  readonly #byPod = new Map<string, readonly PodSandbox[]>();
  readonly #proc: string;

  constructor(settings: { readonly proc: string } = { proc: '/proc' }) {
    this.#proc = settings.proc;
  }

  add(pod: PodSandbox): void {
    const others = (this.#byPod.get(pod.uid) ?? []).filter(({ id }) => id !== pod.id);
    this.#byPod.set(pod.uid, [pod, ...others]);
  }

  delete({ uid, id }: Pick<PodSandbox, 'uid' | 'id'>): void {
    const rest = (this.#byPod.get(uid) ?? []).filter((pod) => pod.id !== id);
    if (rest.length === 0) this.#byPod.delete(uid);
    else this.#byPod.set(uid, rest);
  }

  /** These are all there are. */
  replace(pods: readonly PodSandbox[]): void {
    this.#byPod.clear();
    for (const pod of pods) this.add(pod);
  }

  get(podUid: string): PodSandbox | undefined {
    return this.#byPod.get(podUid)?.[0];
  }

  has({ uid, id }: Pick<PodSandbox, 'uid' | 'id'>): boolean {
    return this.#byPod.get(uid)?.some((pod) => pod.id === id) === true;
  }

  async find(podUid: string): Promise<string | undefined> {
    const own = await inodeOf(join(this.#proc, 'self/ns/net'));
    for (const path of (this.#byPod.get(podUid) ?? []).flatMap((pod) => this.#paths(pod))) {
      const inode = await inodeOf(path);
      // whatever the runtime says, rules never go into the node's own namespace
      if (inode !== undefined && inode !== own) return path;
    }
    return undefined;
  }

  /** Where the runtime says, if that leads anywhere from here; else by the sandbox's first process. */
  #paths({ network, pid }: PodSandbox): string[] {
    if (network.kind === 'host') return [];
    const said = network.kind === 'own' && network.path !== '' ? [network.path] : [];
    return pid > 0 ? [...said, join(this.#proc, String(pid), 'ns/net')] : said;
  }

  async list(): Promise<readonly string[]> {
    return [...this.#byPod.keys()];
  }
}
