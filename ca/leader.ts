// What only one replica does, under the Lease: makes the root, takes a rotation from step to step, and publishes both.
// Called by app.ts while this replica leads. Invariant: each step is one write of the Secret at the version it was decided
// on; everything published follows from the Secret, so that a new leader goes on wherever the old one stopped.

import { backoff } from '../runtime/backoff.ts';
import { KubeError } from '../runtime/kubernetes/client.ts';
import { type Informer, inform } from '../runtime/kubernetes/informer.ts';
import type { ConfigMap, Secret } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, SECRETS } from '../runtime/kubernetes/resources.ts';
import {
  AGENTS_PREFIX,
  CRL_KEY,
  REQUEST_KEY,
  ROOT_KEY,
  ROOT_MAP,
  ROTATION_MAP,
  readMeshTrust,
  readRotationRequest,
  STATUS_KEY,
} from '../wire/rotation.ts';
import { bundleOf, type Kept, type KeptSigner, newKept, writeKept } from './kept.ts';
import { type FollowedRoot, ROOT_SECRET, type Root, type RootParts } from './root.ts';
import {
  distributed,
  nextStep,
  type Observed,
  type Participant,
  type Wish,
  withWaypoints,
} from './rotate.ts';
import { statusOf } from './rotation-status.ts';
import { makeRoot } from './signer.ts';

export type LeaderParts = RootParts & {
  readonly root: FollowedRoot;
  /** Who takes part in a rotation now. */
  readonly participants: () => readonly Participant[];
  /** Whether that pod still runs. */
  readonly runs: (namespace: string, pod: string) => boolean;
  /** Certificates that agents hold, at most: a rotation renews them at a pace this CA can sign. */
  readonly identities: () => number;
};
export type LeaderSettings = {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly rootTtlMs: number;
  readonly maxTtlMs: number;
};

const RETRY = { initialMs: 500, maxMs: 15_000 } as const;
/** While a rotation goes on; words of agents and pods that came or went are seen within it. */
const ROTATING_MS = 1000;
const STEADY_MS = 30_000;
/** A rival who writes what we publish must not make us spin. */
const MIN_TURN_MS = 100;
/** One core signs some 300 a second; a third of that leaves room for pods that come. */
const RENEWALS_PER_SECOND = 100;
const [MIN_RENEW_WITHIN_MS, MAX_RENEW_WITHIN_MS] = [2000, 30 * 60_000];

/** Resolves when `signal` aborts. */
export async function lead(
  parts: LeaderParts,
  settings: LeaderSettings,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, root } = parts;
  const { namespace } = settings;
  const maps = inform<ConfigMap>(parts, CONFIG_MAPS, { namespace });
  let wake = new AbortController();
  const onChange = (): void => wake.abort(new Error('Something has changed'));
  const unsubscribe = [maps.subscribe(onChange), root.subscribe(onChange)];
  const retry = backoff(RETRY);
  const ended = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  try {
    await Promise.race([Promise.all([maps.synced, root.synced]), ended]);
    while (!signal.aborted) {
      wake = new AbortController();
      let pause: number;
      try {
        const rotating = await turn(parts, settings, maps);
        pause = rotating ? ROTATING_MS : STEADY_MS;
        retry.reset();
      } catch (error) {
        pause = retry.next();
        // another leader, or the operator, wrote first: what they wrote is looked at next
        const lostRace = error instanceof KubeError && error.status === 409;
        log[lostRace ? 'debug' : 'warn']('Cannot look after the root now: trying again', { error });
      }
      const until = AbortSignal.any([signal, wake.signal]);
      await clock.sleep(pause, until).catch(() => {});
      if (!signal.aborted) await clock.sleep(MIN_TURN_MS, signal).catch(() => {});
    }
  } finally {
    for (const end of unsubscribe) end();
    await maps.close();
  }
}

/** Brings everything one step on. Returns whether a rotation goes on. */
async function turn(
  parts: LeaderParts,
  settings: LeaderSettings,
  maps: Informer<ConfigMap>,
): Promise<boolean> {
  const { root, log, clock } = parts;
  const { namespace } = settings;
  const current = root.current();
  if (root.secret()?.data?.['tls.crt'] === undefined) {
    await restore(parts, settings, current);
    return true;
  }
  if (current === undefined) return false;
  await publishRoots(parts, settings, maps, current);
  const observed = observe(parts, settings, maps);
  const wish: Wish = {
    plugged: pluggedOf(root),
    request: readRotationRequest(maps.get(ROTATION_MAP, namespace)?.data?.[REQUEST_KEY]),
  };
  const pace = (parts.identities() / RENEWALS_PER_SECOND) * 1000;
  const step =
    root.problem() === undefined
      ? nextStep(current.kept, wish, observed, clock.now(), {
          maxTtlMs: settings.maxTtlMs,
          renewWithinMs: Math.round(
            Math.min(MAX_RENEW_WITHIN_MS, Math.max(MIN_RENEW_WITHIN_MS, pace)),
          ),
        })
      : ({ kind: 'wait', waitingFor: [] } as const);
  const waitingFor = step.kind === 'wait' ? step.waitingFor : [];
  await publishStatus(parts, settings, maps, current, {
    waitingFor,
    participants: observed.participants.length,
  });
  if (step.kind === 'wait') return current.kept.move.phase !== 'steady';
  const kept =
    step.kind === 'write'
      ? step.kept
      : distributed(current.kept, await newRoot(parts, settings), step.request, clock.now());
  await writeSecret(parts, settings, kept);
  log.info(step.kind === 'write' ? step.why : 'Made a new root: distributing it beside the old', {
    phase: kept.move.phase,
    request: kept.request,
  });
  return true;
}

/** The first root of all; or the one that signs, when somebody deleted its Secret under us. */
async function restore(
  parts: LeaderParts,
  settings: LeaderSettings,
  current: Root | undefined,
): Promise<void> {
  const { root, log, clock } = parts;
  const plugged = root.plugged();
  // with a plugged-in signer that is broken, a root of our own would be a second trust nobody asked for
  if (current === undefined && plugged.kind === 'unusable') return;
  const signer = async (): Promise<KeptSigner> =>
    plugged.kind === 'good'
      ? { ...plugged.plugged.signer, source: 'plugged' }
      : newRoot(parts, settings);
  const kept = current?.kept ?? newKept(await signer(), clock.now());
  await writeSecret(parts, settings, kept);
  const what =
    current === undefined
      ? kept.active.source === 'own'
        ? 'Made a new root'
        : 'Signing with the plugged-in signer'
      : 'Wrote the Secret of the root again: it was deleted while in use';
  log.info(what, { trustDomain: settings.trustDomain, secret: ROOT_SECRET });
}

async function newRoot({ clock }: LeaderParts, settings: LeaderSettings): Promise<KeptSigner> {
  const { trustDomain, rootTtlMs } = settings;
  const pem = await makeRoot({ trustDomain, now: clock.now(), ttlMs: rootTtlMs });
  return { ...pem, source: 'own' };
}

async function writeSecret(
  { client, root }: LeaderParts,
  { namespace }: LeaderSettings,
  kept: Kept,
): Promise<void> {
  const data = writeKept(kept);
  const present = root.secret();
  if (present === undefined) {
    const metadata = { name: ROOT_SECRET, namespace };
    await client.create<Secret>(SECRETS, { metadata, type: 'kubernetes.io/tls', data });
  } else await client.update<Secret>(SECRETS, { ...present, data });
}

/** The ConfigMap that processes mount, whoever changes or deletes it. */
async function publishRoots(
  { client, root, log }: LeaderParts,
  { namespace }: LeaderSettings,
  maps: Informer<ConfigMap>,
  { kept }: Root,
): Promise<void> {
  const present = maps.get(ROOT_MAP, namespace)?.data ?? {};
  const plugged = root.plugged();
  // a Secret that turned bad does not end a revocation
  const crl =
    plugged.kind === 'good'
      ? plugged.plugged.crlPem
      : plugged.kind === 'unusable'
        ? (present[CRL_KEY] ?? '')
        : '';
  const data = { [ROOT_KEY]: bundleOf(kept), ...(crl === '' ? {} : { [CRL_KEY]: crl }) };
  const same = present[ROOT_KEY] === data[ROOT_KEY] && (present[CRL_KEY] ?? '') === crl;
  if (same) return;
  const object = { metadata: { name: ROOT_MAP, namespace }, data };
  await client.apply<ConfigMap>(CONFIG_MAPS, object, { fieldManager: 'ambit-ca', force: true });
  log.info('Published whom to believe', { configMap: `${namespace}/${ROOT_MAP}` });
}

async function publishStatus(
  { client, root }: LeaderParts,
  { namespace }: LeaderSettings,
  maps: Informer<ConfigMap>,
  current: Root,
  facts: { readonly waitingFor: readonly string[]; readonly participants: number },
): Promise<void> {
  const map = maps.get(ROTATION_MAP, namespace);
  const status = statusOf(current, { ...facts, plugged: root.plugged(), problem: root.problem() });
  const data: Record<string, string | null> = {};
  const text = JSON.stringify(status);
  if (map?.data?.[STATUS_KEY] !== text) data[STATUS_KEY] = text;
  if (status.phase === 'steady') {
    // words of a rotation that is over would be taken for words of the next
    for (const key of Object.keys(map?.data ?? {})) {
      if (key.startsWith(AGENTS_PREFIX)) data[key] = null;
    }
  }
  if (Object.keys(data).length === 0) return;
  if (map === undefined) {
    const metadata = { name: ROTATION_MAP, namespace };
    await client.create<ConfigMap>(CONFIG_MAPS, { metadata, data: { [STATUS_KEY]: text } });
  } else await client.patch<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, namespace, { data });
}

function observe(
  { participants, runs }: LeaderParts,
  { namespace }: LeaderSettings,
  maps: Informer<ConfigMap>,
): Observed {
  const data = Object.entries(maps.get(ROTATION_MAP, namespace)?.data ?? {});
  const words = data.flatMap(([key, text]) =>
    key.startsWith(AGENTS_PREFIX) && runs(namespace, key.slice(AGENTS_PREFIX.length))
      ? readMeshTrust(text)
      : [],
  );
  return withWaypoints({ participants: participants(), words }, runs);
}

function pluggedOf(root: FollowedRoot): Wish['plugged'] {
  const state = root.plugged();
  if (state.kind === 'none') return undefined;
  return state.kind === 'good' ? state.plugged.signer : 'unusable';
}
