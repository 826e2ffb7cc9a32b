// The container runtime's side of NRI, as containerd plays it: plugins connect to a socket of the node at any time and are
// told of pods before their first container starts. Started by kubelet.ts, told by pod.ts through pod-sandbox.ts.
// Invariant: one thing at a time, so that a plugin is told of each sandbox exactly once, in order.

import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { VERSION } from '../../../runtime/version.ts';
import { NRI_EVENTS, type PodSandbox } from '../../../wire/nri.ts';
import { Plugin, REQUEST_TIMEOUT_MS } from './plugin.ts';

const RUNTIME = { name: 'ambit-sandbox', version: VERSION } as const;
/** sun_path of a Unix address, with its end. */
const MAX_SOCKET_PATH = 107;

type Parts = { readonly clock: Clock; readonly log: Log };

export class NriRuntime {
  readonly #parts: Parts;
  readonly #path: string;
  readonly #requestTimeoutMs: number;
  readonly #server: Server;
  readonly #sandboxes = new Map<string, PodSandbox>();
  readonly #all = new Set<Plugin>();
  #plugins: readonly Plugin[] = [];
  #turn: Promise<unknown> = Promise.resolve();
  #closing = false;

  /** With a path longer than a socket's may be the node has no NRI, as a node of old has. */
  static async listen(
    parts: Parts,
    path: string,
    requestTimeoutMs = REQUEST_TIMEOUT_MS,
  ): Promise<NriRuntime> {
    const runtime = new NriRuntime(parts, path, requestTimeoutMs);
    if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
      parts.log.warn('No NRI on this node: the path of its socket is too long', { path });
      return runtime;
    }
    await mkdir(dirname(path), { recursive: true });
    // what an earlier sandbox left: nobody listens there any more
    await rm(path, { force: true });
    const listening = once(runtime.#server, 'listening');
    runtime.#server.listen(path);
    await listening;
    return runtime;
  }

  private constructor(parts: Parts, path: string, requestTimeoutMs: number) {
    this.#parts = parts;
    this.#requestTimeoutMs = requestTimeoutMs;
    this.#path = path;
    this.#server = createServer((socket) => void this.#accept(socket));
  }

  /** @throws RpcError when a plugin does not want the pod to start */
  async runPodSandbox(pod: PodSandbox): Promise<void> {
    await this.#inTurn(async () => {
      try {
        await this.#tellAll('RunPodSandbox', NRI_EVENTS.runPodSandbox, pod);
      } catch (error) {
        await this.#tellEnd(pod);
        throw error;
      }
      this.#sandboxes.set(pod.id, pod);
    });
  }

  /** @throws RpcError when a plugin does not want the container to start */
  async createContainer(pod: PodSandbox): Promise<void> {
    await this.#inTurn(() => this.#tellAll('CreateContainer', NRI_EVENTS.createContainer, pod));
  }

  async endPodSandbox(pod: PodSandbox): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#sandboxes.delete(pod.id)) await this.#tellEnd(pod);
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    const closed = [...this.#all].map((plugin) => plugin.closed);
    for (const plugin of this.#all) plugin.drop('the sandbox goes down');
    await Promise.all(closed);
    if (this.#server.listening) {
      const ended = once(this.#server, 'close');
      this.#server.close();
      await ended;
    }
    await this.#turn;
    await rm(this.#path, { force: true });
  }

  async #accept(socket: Socket): Promise<void> {
    const { clock, log } = this.#parts;
    const plugin = new Plugin({ clock, log, socket }, { requestTimeoutMs: this.#requestTimeoutMs });
    this.#all.add(plugin);
    void plugin.closed.then((why) => {
      this.#all.delete(plugin);
      this.#plugins = this.#plugins.filter((other) => other !== plugin);
      if (!this.#closing) log.info('An NRI plugin has gone', { plugin: plugin.name, why });
    });
    try {
      await plugin.start(RUNTIME);
      await this.#inTurn(async () => {
        await plugin.synchronize([...this.#sandboxes.values()]);
        this.#plugins = [...this.#plugins, plugin].toSorted((a, b) =>
          a.index.localeCompare(b.index),
        );
      });
      log.info('An NRI plugin is registered', { plugin: plugin.name });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (!this.#closing) log.warn('Refused an NRI plugin', { plugin: plugin.name, why });
      plugin.drop(why);
    }
  }

  async #tellAll(method: string, event: number, pod: PodSandbox): Promise<void> {
    for (const plugin of this.#plugins) await plugin.tell(method, event, pod);
  }

  /** Nobody can keep a sandbox from ending. */
  async #tellEnd(pod: PodSandbox): Promise<void> {
    for (const [method, event] of [
      ['StopPodSandbox', NRI_EVENTS.stopPodSandbox],
      ['RemovePodSandbox', NRI_EVENTS.removePodSandbox],
    ] as const) {
      await this.#tellAll(method, event, pod).catch((error: unknown) =>
        this.#parts.log.warn('An NRI plugin failed at the end of a pod', { method, error }),
      );
    }
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    await turn;
  }
}
