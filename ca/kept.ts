// What the CA keeps in its Secret: what signs, who is trusted, and how far a rotation is. Pure: root.ts reads and writes
// the object, rotate.ts decides. Invariant: each step of a rotation is one write of this value, so that a crash leaves
// either the state before or the state after, and any replica goes on from there.

import type { Secret } from '../runtime/kubernetes/objects.ts';
import { mergeRoots, splitPem } from '../runtime/trust.ts';
import type { RotationPhase } from '../wire/rotation.ts';
import { textOf } from './plugged.ts';
import type { SignerPem } from './signer.ts';

export type Source = 'own' | 'plugged';

export type KeptSigner = SignerPem & { readonly source: Source };

export type Move =
  | { readonly phase: 'steady' }
  /** `next` is trusted already; it signs once everybody trusts it. */
  | { readonly phase: 'distributing'; readonly next: KeptSigner }
  /** `old` roots are trusted until nobody holds a certificate under them. */
  | { readonly phase: 'renewing'; readonly old: string; readonly renewWithinMs: number };

export type Kept = {
  readonly active: KeptSigner;
  readonly move: Move;
  /** Unix ms: since when this move. */
  readonly since: number;
  /** The request acted on, or last acted on. */
  readonly request: string;
  /** Agents that are neither ready nor heard of are not waited for. */
  readonly force: boolean;
  /** The last request that was not acted on. */
  readonly refused?: { readonly id: string; readonly message: string };
};

type Note = Pick<Kept, 'since' | 'request' | 'force' | 'refused'> & {
  readonly phase: RotationPhase;
  readonly source: Source;
  readonly nextSource: Source;
  readonly renewWithinMs: number;
};

const NOTE_KEY = 'rotation';

/** Every root that is trusted now, in one text. @throws Error when one cannot be read */
export function bundleOf({ active, move }: Kept): string {
  const more =
    move.phase === 'distributing' ? move.next.roots : move.phase === 'renewing' ? move.old : '';
  return mergeRoots(splitPem(active.roots), splitPem(more)).join('');
}

export function newKept(signer: KeptSigner, now: number): Kept {
  return { active: signer, move: { phase: 'steady' }, since: now, request: '', force: false };
}

/** Undefined when there is nothing in it yet. @throws Error that says what is missing */
export function readKept(secret: Secret | undefined): Kept | undefined {
  const chain = textOf(secret, 'tls.crt');
  const key = textOf(secret, 'tls.key');
  if (chain === undefined || key === undefined) return undefined;
  const note = readNote(textOf(secret, NOTE_KEY));
  // a Secret from before rotation, or made by hand: the root ends its chain
  const roots = textOf(secret, 'ca.crt') ?? splitPem(chain).at(-1) ?? '';
  return {
    active: { chain, key, roots, source: note.source },
    move: readMove(secret, note),
    since: note.since,
    request: note.request,
    force: note.force,
    ...(note.refused === undefined ? {} : { refused: note.refused }),
  };
}

/** The Secret's `data`, whole: what is not in it is gone. */
export function writeKept(kept: Kept): Record<string, string> {
  const { active, move, since, request, force, refused } = kept;
  const note: Note = {
    phase: move.phase,
    since,
    request,
    force,
    ...(refused === undefined ? {} : { refused }),
    source: active.source,
    nextSource: move.phase === 'distributing' ? move.next.source : active.source,
    renewWithinMs: move.phase === 'renewing' ? move.renewWithinMs : 0,
  };
  const texts: Record<string, string> = {
    'tls.crt': active.chain,
    'tls.key': active.key,
    'ca.crt': active.roots,
    [NOTE_KEY]: JSON.stringify(note),
  };
  if (move.phase === 'distributing') {
    texts['next.crt'] = move.next.chain;
    texts['next.key'] = move.next.key;
    texts['next-ca.crt'] = move.next.roots;
  }
  if (move.phase === 'renewing') texts['old-ca.crt'] = move.old;
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  );
}

function readMove(secret: Secret | undefined, note: Note): Move {
  if (note.phase === 'distributing') {
    const chain = textOf(secret, 'next.crt');
    const key = textOf(secret, 'next.key');
    const roots = textOf(secret, 'next-ca.crt');
    if (chain === undefined || key === undefined || roots === undefined) {
      throw new Error(
        'a rotation is under way in it, and next.crt, next.key or next-ca.crt is gone',
      );
    }
    return { phase: 'distributing', next: { chain, key, roots, source: note.nextSource } };
  }
  if (note.phase === 'renewing') {
    const old = textOf(secret, 'old-ca.crt');
    if (old === undefined) throw new Error('a rotation is under way in it, and old-ca.crt is gone');
    return { phase: 'renewing', old, renewWithinMs: note.renewWithinMs };
  }
  return { phase: 'steady' };
}

function readNote(text: string | undefined): Note {
  const nothing: Note = {
    phase: 'steady',
    since: 0,
    request: '',
    force: false,
    source: 'own',
    nextSource: 'own',
    renewWithinMs: 0,
  };
  if (text === undefined) return nothing;
  try {
    return { ...nothing, ...(JSON.parse(text) as Partial<Note>) };
  } catch (cause) {
    throw new Error(`its key "${NOTE_KEY}" is not JSON`, { cause });
  }
}
