// The sandbox's side of its launch: which network it has, where its files are, and when to stop. Called first thing by
// sandbox/main.ts when it was started by launch.ts. Invariant: it does not outlive the process that launched it.

import type { NetworkMode } from '../network/network.ts';
import type { Environment } from './requirements.ts';

export const INNER_VARIABLE = 'AMBIT_SANDBOX_INNER';

export type InnerSettings = {
  readonly name: string;
  readonly mode: NetworkMode;
  readonly directory: string;
  readonly api: OwnApi | GivenApi;
};

export type OwnApi = {
  readonly kind: 'own';
  /** The API server is to serve TLS connections here too; the outer process passes those of the machine on to it. */
  readonly socketPath: string;
  /** The port of 127.0.0.1 at which people on the machine reach the API server. */
  readonly port: number;
};

export type GivenApi = {
  readonly kind: 'given';
  /** For people on the machine: names the server as they reach it. */
  readonly kubeconfigPath: string;
  /** The outer process passes connections made here on to the API server. */
  readonly socketPath: string;
  /** One a node: connections to `port` of the machine's 127.0.0.1 are passed on to what listens at `socketPath`. */
  readonly kubelets: readonly { readonly socketPath: string; readonly port: number }[];
};

export interface InnerSandbox extends InnerSettings {
  /** Aborts when the outer process asks us to end. */
  readonly stop: AbortSignal;
  /** Tells the outer process what is being started, for people who wait. */
  progress(what: string): void;
  /** Tells the outer process that the sandbox is up; `details` is for its caller. */
  ready(details: Readonly<Record<string, string>>): void;
  /** Lets this process end by itself. */
  close(): void;
}

export type OuterMessage = { readonly type: 'stop' };
export type InnerMessage =
  | { readonly type: 'progress'; readonly what: string }
  | { readonly type: 'ready'; readonly details: Readonly<Record<string, string>> };

/** undefined when this process was not started by {@link launch}. */
export function innerSandbox(env: Environment): InnerSandbox | undefined {
  const text = env[INNER_VARIABLE];
  if (text === undefined || process.send === undefined) return undefined;
  const settings = JSON.parse(text) as InnerSettings;
  const stop = new AbortController();
  process.on('message', (message: OuterMessage) => {
    if (message.type === 'stop') stop.abort(new Error('The sandbox was asked to end'));
  });
  // The outer process is gone without a word: killed. With it go the namespaces, and the pods with them.
  const orphaned = (): never => process.exit(1);
  process.on('disconnect', orphaned);
  return {
    ...settings,
    stop: stop.signal,
    progress(what) {
      const message: InnerMessage = { type: 'progress', what };
      process.send?.(message);
    },
    ready(details) {
      const message: InnerMessage = { type: 'ready', details };
      process.send?.(message);
    },
    close() {
      process.off('disconnect', orphaned);
      process.disconnect();
    },
  };
}
