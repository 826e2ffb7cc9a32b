// The CA's root: made once for the cluster under a Lease, kept in a Secret, published in a ConfigMap. Safe with any
// number of replicas: whoever comes second finds the first one's root. Called by app.ts at start.

import { backoff } from '../runtime/backoff.ts';
import type { Clock } from '../runtime/clock.ts';
import { type KubeClient, KubeError } from '../runtime/kubernetes/client.ts';
import { inform } from '../runtime/kubernetes/informer.ts';
import { elect } from '../runtime/kubernetes/lease.ts';
import type { ConfigMap, Secret } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS } from '../runtime/kubernetes/resources.ts';
import type { Log } from '../runtime/log.ts';
import { makeRoot, readSigner, type Signer } from './signer.ts';

export type RootParts = { readonly client: KubeClient; readonly clock: Clock; readonly log: Log };
export type RootSettings = {
  readonly namespace: string;
  readonly holder: string;
  readonly trustDomain: string;
  readonly rootTtlMs: number;
};

const SECRET = 'ambit-ca-root';
const LEASE = 'ambit-ca-root';
const CONFIG_MAP = 'ambit-ca-root-cert';
const CONFIG_KEY = 'root-cert.pem';
const RETRY = { initialMs: 500, maxMs: 15_000 } as const;

/** Waits for Kubernetes as long as it takes. @throws Error when the kept root cannot be used, or `signal` aborts */
export async function loadSigner(
  parts: RootParts,
  settings: RootSettings,
  signal: AbortSignal,
): Promise<Signer> {
  const retry = backoff(RETRY);
  for (;;) {
    signal.throwIfAborted();
    try {
      const kept = await readKept(parts.client, settings.namespace);
      if (kept !== undefined) return kept;
      await elect(
        parts,
        { namespace: settings.namespace, name: LEASE, holder: settings.holder },
        () => makeOnce(parts, settings),
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof KubeError)) throw error;
      parts.log.warn('Cannot load the root yet: trying again', { error });
      await parts.clock.sleep(retry.next(), signal);
    }
  }
}

async function readKept(client: KubeClient, namespace: string): Promise<Signer | undefined> {
  const secret = await client.get<Secret>(SECRETS, SECRET, namespace);
  const chain = decoded(secret, 'tls.crt');
  const key = decoded(secret, 'tls.key');
  if (chain === undefined || key === undefined) return undefined;
  const roots = decoded(secret, 'ca.crt');
  try {
    return await readSigner({ chain, key, ...(roots === undefined ? {} : { roots }) });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Cannot use the root in Secret ${namespace}/${SECRET}: ${why}. Mend the Secret; or delete it to get a new root, ` +
        'which ends trust in every certificate issued so far',
      { cause },
    );
  }
}

async function makeOnce({ client, clock, log }: RootParts, settings: RootSettings): Promise<void> {
  const { namespace, trustDomain, rootTtlMs } = settings;
  const existing = await client.get<Secret>(SECRETS, SECRET, namespace);
  // another replica may have made it while we waited for the lease
  if (decoded(existing, 'tls.crt') !== undefined) return;
  const pem = await makeRoot({ trustDomain, now: clock.now(), ttlMs: rootTtlMs });
  const data = { 'tls.crt': base64(pem.chain), 'tls.key': base64(pem.key) };
  try {
    if (existing === undefined) {
      await client.create<Secret>(SECRETS, {
        metadata: { name: SECRET, namespace },
        type: 'kubernetes.io/tls',
        data,
      });
    } else
      await client.update<Secret>(SECRETS, { ...existing, data: { ...existing.data, ...data } });
    log.info('Made a new root', { trustDomain, secret: `${namespace}/${SECRET}` });
  } catch (error) {
    // lost a race in spite of the lease: the other's root is as good, and is read next
    if (!(error instanceof KubeError && error.status === 409)) throw error;
  }
}

/** Keeps the ConfigMap saying what the root is, whoever changes or deletes it, until closed. */
export function publishRoot(
  parts: RootParts,
  settings: { readonly namespace: string; readonly rootsPem: string },
): { close(): Promise<void> } {
  const { client, clock, log } = parts;
  const { namespace, rootsPem } = settings;
  const informer = inform<ConfigMap>(parts, CONFIG_MAPS, {
    namespace,
    fieldSelector: `metadata.name=${CONFIG_MAP}`,
  });
  const stop = new AbortController();
  let wake = Promise.withResolvers<void>();
  const unsubscribe = informer.subscribe(() => wake.resolve());
  const isPublished = (): boolean =>
    informer.get(CONFIG_MAP, namespace)?.data?.[CONFIG_KEY] === rootsPem;

  const run = async (): Promise<void> => {
    const retry = backoff(RETRY);
    await informer.synced.catch(() => {});
    while (!stop.signal.aborted) {
      wake = Promise.withResolvers();
      if (isPublished()) {
        retry.reset();
        await wake.promise;
        continue;
      }
      try {
        const object = {
          metadata: { name: CONFIG_MAP, namespace },
          data: { [CONFIG_KEY]: rootsPem },
        };
        await client.apply<ConfigMap>(CONFIG_MAPS, object, {
          fieldManager: 'ambit-ca',
          force: true,
        });
        log.info('Published the root', { configMap: `${namespace}/${CONFIG_MAP}` });
      } catch (error) {
        log.warn('Cannot publish the root: trying again', { error });
      }
      // also after success: the informer needs a moment to show it, and a rival writer must not make us spin
      await clock.sleep(retry.next(), stop.signal).catch(() => {});
    }
  };
  const running = run();
  return {
    async close() {
      stop.abort(new Error('Stopped publishing the root'));
      wake.resolve();
      unsubscribe();
      await informer.close();
      await running;
    },
  };
}

function decoded(secret: Secret | undefined, key: string): string | undefined {
  const value = secret?.data?.[key];
  return value === undefined || value === ''
    ? undefined
    : Buffer.from(value, 'base64').toString('utf8');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
