// The next step of a rotation, decided on plain values: what is kept, what is wished, what agents say. Called by
// leader.ts. Invariants: nothing signs under a root that some agent does not trust yet, and no root is dropped while
// some agent holds a certificate under it.

import { bundleId, fingerprintOf, splitPem } from '../runtime/trust.ts';
import type { MeshTrust, RotationRequest } from '../wire/rotation.ts';
import { bundleOf, type Kept, type KeptSigner } from './kept.ts';
import type { SignerPem } from './signer.ts';

/** A process that takes part: an agent, or a replica of the control plane. */
export type Participant = {
  readonly pod: string;
  readonly node: string;
  readonly ready: boolean;
  /** It is being deleted: it ends what is open, and another one takes what is new. */
  readonly leaving: boolean;
};

export type Observed = {
  readonly participants: readonly Participant[];
  readonly words: readonly MeshTrust[];
};

/**
 * Waypoints take part as far as they are heard: they run in namespaces of users, so that pods that merely look like one
 * must not hold up a rotation. Their names have their namespace before them.
 */
export function withWaypoints(
  { participants, words }: Observed,
  runs: (namespace: string, pod: string) => boolean,
): Observed {
  const heard = new Set(words.map(({ pod }) => pod).filter((pod) => pod.includes('/')));
  const waypoints = [...heard].flatMap((pod): Participant[] => {
    const [namespace = '', name = ''] = pod.split('/');
    return runs(namespace, name) ? [{ pod, node: '', ready: true, leaving: false }] : [];
  });
  return { participants: [...participants, ...waypoints], words };
}

export type Wish = {
  /** The plugged-in signer; undefined when nothing is plugged in. */
  readonly plugged: SignerPem | 'unusable' | undefined;
  readonly request: RotationRequest | undefined;
};

export type Step =
  | { readonly kind: 'wait'; readonly waitingFor: readonly string[] }
  /** A new root is to be made and distributed. */
  | { readonly kind: 'make-root'; readonly request: string }
  | { readonly kind: 'write'; readonly kept: Kept; readonly why: string };

export type RotateSettings = {
  /** No certificate lives longer: what was issued before that long ago has ended, whoever held it. */
  readonly maxTtlMs: number;
  /** Over how long agents shall spread their renewals. */
  readonly renewWithinMs: number;
};

/**
 * A request that was signed under the old root may be on its way to its agent for as long as clients wait (10 s), and
 * other replicas of the CA see the switch a watch's delay later.
 */
const MIN_RENEWING_MS = 15_000;

export function nextStep(
  kept: Kept,
  wish: Wish,
  observed: Observed,
  now: number,
  settings: RotateSettings,
): Step {
  const asked = answerRequest(kept, wish);
  if (asked !== undefined) return asked;
  const { move } = kept;
  if (move.phase === 'renewing') return finish(kept, observed, now, settings);
  const { plugged } = wish;
  const goal = move.phase === 'distributing' ? move.next : kept.active;
  if (typeof plugged === 'object' && !sameSigner(plugged, goal)) {
    return plug(kept, { ...plugged, source: 'plugged' }, now, settings);
  }
  if (move.phase === 'steady') return { kind: 'wait', waitingFor: [] };
  const bundle = bundleId(splitPem(bundleOf(kept)));
  const waitingFor = waitFor(kept, observed, now, settings, (word) =>
    word.bundle === bundle ? undefined : 'has not taken the new root',
  );
  if (waitingFor.length > 0) return { kind: 'wait', waitingFor };
  return {
    kind: 'write',
    kept: switched(kept, move.next, now, settings),
    why: 'Everybody trusts the new root: signing under it from now on',
  };
}

/** `next` beside what signs now: trusted, but not signing yet. */
export function distributed(kept: Kept, next: KeptSigner, request: string, now: number): Kept {
  const { refused: _, ...rest } = kept;
  return { ...rest, move: { phase: 'distributing', next }, since: now, request, force: false };
}

function answerRequest(kept: Kept, { plugged, request }: Wish): Step | undefined {
  if (request === undefined) return undefined;
  const { id, force } = request;
  if (id === kept.request || id === kept.refused?.id) return undefined;
  const refuse = (message: string): Step => ({
    kind: 'write',
    kept: { ...kept, refused: { id, message } },
    why: `Refused to rotate the root: ${message}`,
  });
  if (kept.move.phase !== 'steady') {
    if (!force) return refuse(`a rotation is under way already (${kept.move.phase})`);
    const why = 'Agents that are neither ready nor connected are not waited for any more';
    return { kind: 'write', kept: { ...kept, request: id, force: true }, why };
  }
  if (plugged !== undefined) {
    return refuse(
      'what signs is plugged in: put the new signer into that Secret, and the rest follows by itself',
    );
  }
  return { kind: 'make-root', request: id };
}

/** A signer whose roots are all trusted signs at once; for any other, trust comes first. */
function plug(kept: Kept, next: KeptSigner, now: number, settings: RotateSettings): Step {
  const trusted = prints(kept.move.phase === 'steady' ? bundleOf(kept) : kept.active.roots);
  const isTrusted = [...prints(next.roots)].every((one) => trusted.has(one));
  if (isTrusted && kept.move.phase === 'steady') {
    const why = 'The plugged-in signer was renewed under a trusted root: signing with it';
    return { kind: 'write', kept: switched(kept, next, now, settings), why };
  }
  const why = 'A signer with another root was plugged in: distributing its root first';
  return { kind: 'write', kept: distributed(kept, next, kept.request, now), why };
}

function switched(kept: Kept, next: KeptSigner, now: number, settings: RotateSettings): Kept {
  const stays = prints(next.roots);
  const old = splitPem(kept.active.roots).filter((root) => !stays.has(fingerprintOf(root)));
  const { renewWithinMs } = settings;
  const move =
    old.length === 0
      ? ({ phase: 'steady' } as const)
      : ({ phase: 'renewing', old: old.join(''), renewWithinMs } as const);
  return { ...kept, active: next, move, since: now };
}

function finish(kept: Kept, observed: Observed, now: number, settings: RotateSettings): Step {
  const { move } = kept;
  if (move.phase !== 'renewing') return { kind: 'wait', waitingFor: [] };
  const old = prints(move.old);
  const bundle = bundleId(splitPem(bundleOf(kept)));
  const waitingFor = waitFor(kept, observed, now, settings, (word) => {
    if (word.rootsInUse.some((root) => old.has(root))) return 'holds certificates of the old root';
    // what it said before it knew may be of a moment before the switch
    if ([...old].some((root) => !word.retiring.includes(root)))
      return 'has not heard that a root leaves';
    return word.bundle === bundle ? undefined : 'has not taken the new root';
  });
  if (waitingFor.length > 0) return { kind: 'wait', waitingFor };
  if (now - kept.since < MIN_RENEWING_MS) {
    return {
      kind: 'wait',
      waitingFor: ['answers of the CA under the old root that are on their way'],
    };
  }
  return {
    kind: 'write',
    kept: { ...kept, move: { phase: 'steady' }, since: now, force: false },
    why: 'Nobody holds a certificate of the old root any more: it is not trusted from now on',
  };
}

/** Who is not there yet, with the reason. Nobody, once everything that was issued before this phase has ended. */
function waitFor(
  kept: Kept,
  { participants, words }: Observed,
  now: number,
  { maxTtlMs }: RotateSettings,
  lacks: (word: MeshTrust) => string | undefined,
): string[] {
  if (now - kept.since > maxTtlMs) return [];
  return participants.flatMap(({ pod, node, ready, leaving }) => {
    const own = words.filter((word) => word.pod === pod);
    const name = node === '' ? pod : `${node} (${pod})`;
    if (own.length === 0) {
      // by force only what neither runs nor is heard: a live agent would fail handshakes
      if (leaving || (kept.force && !ready)) return [];
      return [`${name}: no control plane has heard its word${ready ? '' : '; it is not ready'}`];
    }
    // after it changed replicas two may speak of it for a moment: the slower one counts
    const lack = own.map(lacks).find((one) => one !== undefined);
    return lack === undefined ? [] : [`${name}: ${lack}`];
  });
}

function sameSigner(a: SignerPem, b: SignerPem): boolean {
  const [first = '', second = ''] = [splitPem(a.chain)[0], splitPem(b.chain)[0]];
  return first === second && bundleId(splitPem(a.roots)) === bundleId(splitPem(b.roots));
}

function prints(pem: string): Set<string> {
  return new Set(splitPem(pem).map(fingerprintOf));
}
