// The agent as a plugin of the container runtime: connects to its NRI socket, registers, and answers its events, which
// arrivals.ts decides. Called by app.ts. Invariants: without a socket, or with a runtime that speaks nonsense, the agent
// goes on (pods are then found late, by their namespaces) and looks again; at most one connection is open.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Backoff, backoff } from '../../runtime/backoff.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { NriConnection, RpcError } from '../../runtime/nri-connection.ts';
import {
  decodeConfiguration,
  decodePodEvent,
  decodeSandboxes,
  encodeRegistration,
  encodeSandboxesTaken,
  encodeSubscription,
  eventMask,
  NRI_EVENTS,
  type PodSandbox,
} from '../../wire/nri.ts';
import { RPC_CODES } from '../../wire/ttrpc.ts';
import type { Arrivals } from './arrivals.ts';

export type PluginParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly arrivals: Pick<Arrivals, 'started' | 'container' | 'ended' | 'synchronized'>;
};

/** Under this name the runtime's log and its list of required plugins know us. */
export const PLUGIN_NAME = 'ambit';
// Only the order among plugins hangs on it, and we change nothing that another one sees.
const PLUGIN_INDEX = '10';
// A runtime that restarts is back within seconds; one without NRI is not asked often.
const RETRY = { initialMs: 500, maxMs: 30_000 } as const;
// The runtime's own defaults: 5 s for registering, 2 s for a request.
const REGISTRATION_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 2000;
/** Of the runtime's time for a request: the rest is for the way there and back on a busy node. */
const USED_SHARE = 0.85;
// A connection that lived this long was good: the next attempt starts soon.
const GOOD_CONNECTION_MS = 5000;
// Kubernetes allows 110 pods a node by default, large nodes 500; the runtime also names those that have ended.
const MAX_SANDBOXES = 16_384;
const SUBSCRIBED = eventMask([
  NRI_EVENTS.runPodSandbox,
  NRI_EVENTS.stopPodSandbox,
  NRI_EVENTS.removePodSandbox,
  NRI_EVENTS.createContainer,
]);
const NOTHING = new Uint8Array();

export class NriPlugin {
  /** Resolves when it is known whether there is a runtime to work with: it was registered with, or is not there. */
  readonly settled: Promise<void>;
  readonly #parts: PluginParts;
  readonly #socket: string;
  readonly #stop = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #connected = false;

  constructor(parts: PluginParts, settings: { readonly socket: string }) {
    this.#parts = parts;
    this.#socket = settings.socket;
    this.settled = this.#settled.promise;
    this.#running = this.#run();
  }

  /** Whether the runtime tells us of pods before they start. */
  get connected(): boolean {
    return this.#connected;
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('The agent is stopping'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const retry: Backoff = backoff(RETRY);
    let told = '';
    while (!this.#stop.signal.aborted) {
      const started = clock.monotonic();
      const why = await this.#connectOnce();
      this.#settled.resolve();
      if (this.#stop.signal.aborted) break;
      if (clock.monotonic() - started >= GOOD_CONNECTION_MS) retry.reset();
      // once for each reason: a node whose runtime has no NRI must not fill its log
      const level = why === told ? 'debug' : 'warn';
      told = why;
      log[level](
        'The container runtime does not tell of pods before they start: they are captured moments later. Looking again',
        { socket: this.#socket, why },
      );
      await clock.sleep(retry.next(), this.#stop.signal).catch(() => {});
    }
    this.#settled.resolve();
  }

  /** Resolves, when the connection has ended, with the reason. */
  async #connectOnce(): Promise<string> {
    const socket = connect(this.#socket);
    try {
      await once(socket, 'connect', { signal: this.#stop.signal });
    } catch (error) {
      socket.destroy();
      return error instanceof Error ? error.message : String(error);
    }
    return this.#serve(socket);
  }

  async #serve(socket: Socket): Promise<string> {
    const { clock, log } = this.#parts;
    const session = new Session(this.#parts, () => {
      this.#connected = true;
      this.#settled.resolve();
      log.info('The container runtime tells of pods before they start', { socket: this.#socket });
    });
    const connection = new NriConnection(
      {
        clock,
        socket,
        handler: (method, payload, signal) => session.answer(method, payload, signal),
      },
      { side: 'plugin' },
    );
    const onStop = (): void => connection.close('the agent is stopping');
    this.#stop.signal.addEventListener('abort', onStop, { once: true });
    if (this.#stop.signal.aborted) onStop();
    const unsynchronized = clock.timer(REGISTRATION_TIMEOUT_MS, () => {
      if (!session.synchronized) connection.close('the runtime did not finish our registration');
    });
    try {
      // the version is that of NRI's own Go module, which we do not use
      const registration = { name: PLUGIN_NAME, index: PLUGIN_INDEX, version: '' };
      await connection
        .call('RegisterPlugin', encodeRegistration(registration), REGISTRATION_TIMEOUT_MS)
        .catch((error: unknown) => {
          connection.close(
            `cannot register: ${error instanceof Error ? error.message : String(error)}`,
          );
        });
      return await connection.closed;
    } finally {
      this.#connected = false;
      unsynchronized.cancel();
      this.#stop.signal.removeEventListener('abort', onStop);
    }
  }
}

/** One connection's answers. */
class Session {
  readonly #parts: PluginParts;
  readonly #onSynchronized: () => void;
  #patienceMs = REQUEST_TIMEOUT_MS * USED_SHARE;
  #collected: PodSandbox[] = [];
  synchronized = false;

  constructor(parts: PluginParts, onSynchronized: () => void) {
    this.#parts = parts;
    this.#onSynchronized = onSynchronized;
  }

  async answer(method: string, payload: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { arrivals } = this.#parts;
    const patience = { ms: this.#patienceMs, signal };
    switch (method) {
      case 'Configure':
        return this.#configure(payload);
      case 'Synchronize':
        return this.#synchronize(payload);
      case 'RunPodSandbox':
        await this.#refusing(decodePodEvent(payload), (pod) => arrivals.started(pod, patience));
        return NOTHING;
      case 'CreateContainer':
        await this.#refusing(decodePodEvent(payload), (pod) => arrivals.container(pod, patience));
        return NOTHING;
      case 'StopPodSandbox':
      case 'RemovePodSandbox':
        await arrivals.ended(decodePodEvent(payload));
        return NOTHING;
      case 'Shutdown':
      case 'StateChange':
        return NOTHING;
      default:
        throw new RpcError('status', RPC_CODES.unimplemented, `Ambit does not know ${method}`);
    }
  }

  #configure(payload: Uint8Array): Uint8Array {
    const { runtimeName, runtimeVersion, requestTimeoutMs } = decodeConfiguration(payload);
    if (requestTimeoutMs > 0) this.#patienceMs = requestTimeoutMs * USED_SHARE;
    this.#parts.log.info('Registered with the container runtime', {
      runtime: `${runtimeName} ${runtimeVersion}`.trim(),
      requestTimeoutMs,
    });
    return encodeSubscription(SUBSCRIBED);
  }

  #synchronize(payload: Uint8Array): Uint8Array {
    const { pods, more } = decodeSandboxes(payload);
    this.#collected.push(...pods);
    if (this.#collected.length > MAX_SANDBOXES) {
      const message = `More than ${MAX_SANDBOXES} pods on one node`;
      throw new RpcError('status', RPC_CODES.resourceExhausted, message);
    }
    if (!more) {
      this.#parts.arrivals.synchronized(this.#collected);
      this.#collected = [];
      this.synchronized = true;
      this.#onSynchronized();
    }
    return encodeSandboxesTaken(more);
  }

  /** An error makes the runtime give the sandbox up: that is said here too, where people look for the agent's reasons. */
  async #refusing(pod: PodSandbox, decide: (pod: PodSandbox) => Promise<void>): Promise<void> {
    try {
      await decide(pod);
    } catch (error) {
      this.#parts.log.error('A pod was kept from starting: it could not be captured', {
        pod: `${pod.namespace}/${pod.name}`,
        podUid: pod.uid,
        error,
      });
      throw error;
    }
  }
}
