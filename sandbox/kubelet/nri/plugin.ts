// A plugin as the runtime sees it: from its connection to its end. Made by runtime.ts for each connection. As with containerd,
// a plugin that does not answer in time is dropped, and one that answers with an error fails what it was asked about.

import type { Socket } from 'node:net';
import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { NriConnection, RpcError } from '../../../runtime/nri-connection.ts';
import {
  decodeRegistration,
  decodeSandboxesTaken,
  decodeSubscription,
  encodeConfiguration,
  encodePodEvent,
  encodeSandboxes,
  type PluginRegistration,
  type PodSandbox,
} from '../../../wire/nri.ts';
import { RPC_CODES } from '../../../wire/ttrpc.ts';

/** containerd's defaults. */
export const REGISTRATION_TIMEOUT_MS = 5000;
export const REQUEST_TIMEOUT_MS = 2000;

/** A message holds 4 MiB at most, a pod's annotations alone up to 256 KiB. */
const PART_BYTES = 1024 * 1024;

export class Plugin {
  readonly closed: Promise<string>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #connection: NriConnection;
  readonly #requestTimeoutMs: number;
  readonly #registered = Promise.withResolvers<PluginRegistration>();
  #name = 'unknown';
  #index = '';
  #events = 0;

  constructor(
    parts: { readonly clock: Clock; readonly log: Log; readonly socket: Socket },
    settings: { readonly requestTimeoutMs: number },
  ) {
    this.#requestTimeoutMs = settings.requestTimeoutMs;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#connection = new NriConnection(
      { ...parts, handler: (method, payload) => this.#answer(method, payload) },
      { side: 'runtime' },
    );
    this.closed = this.#connection.closed;
    void this.closed.then((why) => this.#registered.reject(new Error(why)));
    this.#registered.promise.catch(() => {});
  }

  /** Plugins are called in its order. */
  get index(): string {
    return this.#index;
  }

  get name(): string {
    return `${this.#index}-${this.#name}`;
  }

  /** Waits for the registration and learns what the plugin wants to hear of. @throws Error when it does not come */
  async start(runtime: { readonly name: string; readonly version: string }): Promise<void> {
    const late = this.#clock.timer(REGISTRATION_TIMEOUT_MS, () =>
      this.drop('it did not register in time'),
    );
    try {
      const { name, index } = await this.#registered.promise;
      this.#name = name;
      this.#index = index;
    } finally {
      late.cancel();
    }
    const configuration = encodeConfiguration({
      runtimeName: runtime.name,
      runtimeVersion: runtime.version,
      requestTimeoutMs: this.#requestTimeoutMs,
    });
    this.#events = decodeSubscription(await this.#call('Configure', configuration));
  }

  /** Tells of the sandboxes that are there. */
  async synchronize(pods: readonly PodSandbox[]): Promise<void> {
    for (const { part, more } of parts(pods)) {
      const taken = await this.#call('Synchronize', encodeSandboxes({ pods: part, more }));
      if (more && !decodeSandboxesTaken(taken))
        throw new Error('it does not take sandboxes in parts');
    }
  }

  /** @throws RpcError with the plugin's own words; a plugin that does not answer is dropped, and throws nothing */
  async tell(method: string, event: number, pod: PodSandbox): Promise<void> {
    const subscribed = this.#events === 0 || (this.#events & (1 << (event - 1))) !== 0;
    if (!subscribed) return;
    try {
      await this.#call(method, encodePodEvent(pod));
    } catch (error) {
      if (error instanceof RpcError && error.kind === 'status') throw error;
      const why = error instanceof Error ? error.message : String(error);
      this.#log.error('Dropped an NRI plugin: it did not answer', {
        plugin: this.name,
        method,
        why,
      });
      this.drop(why);
    }
  }

  drop(reason: string): void {
    this.#connection.close(reason);
  }

  #call(method: string, payload: Uint8Array): Promise<Uint8Array> {
    return this.#connection.call(method, payload, this.#requestTimeoutMs);
  }

  async #answer(method: string, payload: Uint8Array): Promise<Uint8Array> {
    if (method !== 'RegisterPlugin') {
      const message = `The sandbox's runtime does not know ${method}`;
      throw new RpcError('status', RPC_CODES.unimplemented, message);
    }
    const registration = decodeRegistration(payload);
    if (!/^\d\d$/.test(registration.index) || !/^[\w.+-]+$/.test(registration.name)) {
      throw new RpcError(
        'status',
        RPC_CODES.invalidArgument,
        `Cannot register plugin "${registration.index}-${registration.name}": expected two digits and a name`,
      );
    }
    this.#registered.resolve(registration);
    return new Uint8Array();
  }
}

/** At least one part, be it empty; each of about the size a message may well have. */
function* parts(pods: readonly PodSandbox[]): Generator<{ part: PodSandbox[]; more: boolean }> {
  let part: PodSandbox[] = [];
  let bytes = 0;
  for (const pod of pods) {
    if (bytes >= PART_BYTES) {
      yield { part, more: true };
      [part, bytes] = [[], 0];
    }
    part.push(pod);
    bytes += encodePodEvent(pod).length;
  }
  yield { part, more: false };
}
