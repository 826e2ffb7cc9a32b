// What signs and who is trusted, followed: the CA's own Secret, which every replica signs by, and the Secret that an
// operator may plug in, which only the leader acts on. Started by app.ts. Invariant: what was good stays in use when a
// Secret turns bad or vanishes; the log says so, and what to mend.

import type { Clock } from '../runtime/clock.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import { inform } from '../runtime/kubernetes/informer.ts';
import type { Secret } from '../runtime/kubernetes/objects.ts';
import { SECRETS } from '../runtime/kubernetes/resources.ts';
import type { Log } from '../runtime/log.ts';
import { bundleOf, type Kept, readKept } from './kept.ts';
import { type Plugged, readPlugged } from './plugged.ts';
import { readSigner, type Signer } from './signer.ts';

export type RootParts = { readonly client: KubeClient; readonly clock: Clock; readonly log: Log };
export type RootSettings = {
  readonly namespace: string;
  /** Name of the Secret that an operator may plug in. */
  readonly pluggedSecret: string;
};

/** The Secret of our own. */
export const ROOT_SECRET = 'ambit-ca-root';

export type Root = { readonly kept: Kept; readonly signer: Signer };

export type PluggedState =
  | { readonly kind: 'none' }
  | { readonly kind: 'good'; readonly plugged: Plugged }
  | { readonly kind: 'unusable'; readonly message: string };

export type FollowedRoot = {
  /** Resolves when there is something to sign with. */
  readonly ready: Promise<void>;
  /** Resolves when both Secrets were looked at once. */
  readonly synced: Promise<void>;
  /** The last good one. */
  current(): Root | undefined;
  /** Our Secret as it is, good or not. */
  secret(): Secret | undefined;
  /** Why our Secret cannot be used as it is. */
  problem(): string | undefined;
  plugged(): PluggedState;
  /** Called after each change that was looked at. */
  subscribe(listener: () => void): () => void;
  close(): Promise<void>;
};

export function followRoot(parts: RootParts, settings: RootSettings): FollowedRoot {
  const { clock, log } = parts;
  const { namespace, pluggedSecret } = settings;
  const one = (name: string) =>
    inform<Secret>(parts, SECRETS, { namespace, fieldSelector: `metadata.name=${name}` });
  const own = one(ROOT_SECRET);
  const foreign = one(pluggedSecret);
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  const listeners = new Set<() => void>();
  let root: Root | undefined;
  let problem: string | undefined;
  let plugged: PluggedState = { kind: 'none' };

  const readOwn = async (): Promise<void> => {
    const secret = own.get(ROOT_SECRET, namespace);
    try {
      const kept = readKept(secret);
      if (kept === undefined) {
        if (root !== undefined) log.warn('The Secret of the root is gone: signing goes on');
        return;
      }
      const signer = await readSigner(kept.active, clock.now(), bundleOf(kept));
      root = { kept, signer };
      problem = undefined;
      ready.resolve();
    } catch (error) {
      problem = `Cannot use the root in Secret ${namespace}/${ROOT_SECRET}: ${textOf(error)}`;
      const state =
        root === undefined
          ? 'nothing signs. Mend the Secret; or delete it to get a new root, which ends trust in all that was issued so far'
          : 'signing with the last good one. Mend the Secret; nothing need be restarted';
      log.error(`${problem}: ${state}`, { error });
    }
  };
  const readForeign = async (): Promise<void> => {
    try {
      const found = readPlugged(foreign.get(pluggedSecret, namespace));
      if (found !== undefined) await readSigner(found.signer, clock.now());
      plugged = found === undefined ? { kind: 'none' } : { kind: 'good', plugged: found };
    } catch (error) {
      const message = `Cannot use the signer in Secret ${namespace}/${pluggedSecret}: ${textOf(error)}`;
      plugged = { kind: 'unusable', message };
      log.error(`${message}: signing with what signed before. Mend the Secret`, { error });
    }
  };

  // one after the other: a slow reading of an old state must not overtake that of a new one
  let last = Promise.resolve();
  const look = (read: () => Promise<void>) => (): void => {
    last = last.then(read).then(() => {
      for (const listener of listeners) listener();
    });
  };
  const unsubscribe = [own.subscribe(look(readOwn)), foreign.subscribe(look(readForeign))];
  const synced = Promise.all([own.synced, foreign.synced]).then(() => last);
  synced.catch(() => {});

  return {
    ready: ready.promise,
    synced,
    current: () => root,
    secret: () => own.get(ROOT_SECRET, namespace),
    problem: () => problem,
    plugged: () => plugged,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      for (const end of unsubscribe) end();
      listeners.clear();
      ready.reject(new Error('Stopped following the root'));
      await Promise.all([own.close(), foreign.close()]);
      await last;
    },
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
