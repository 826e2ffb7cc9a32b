// How far the CA is, as `ambit ca status`, the control plane and people read it. Pure; published by leader.ts. No secret
// is in it.

import { X509Certificate } from 'node:crypto';
import { bundleId, fingerprintOf, splitPem } from '../runtime/trust.ts';
import type { RootNote, RotationStatus } from '../wire/rotation.ts';
import { bundleOf } from './kept.ts';
import type { PluggedState, Root } from './root.ts';

/** Names enough to go and look; the count tells of the rest. */
const MAX_NAMED = 20;

export function statusOf(
  { kept, signer }: Root,
  facts: {
    readonly plugged: PluggedState;
    readonly problem: string | undefined;
    readonly waitingFor: readonly string[];
    readonly participants: number;
  },
): RotationStatus {
  const { move, since, request, refused } = kept;
  const bundle = splitPem(bundleOf(kept));
  const problem = problemOf(kept.active.source, facts.plugged, facts.problem);
  return {
    phase: move.phase,
    since: new Date(since).toISOString(),
    request,
    ...(refused === undefined ? {} : { refused }),
    roots: bundle.map(noteOf),
    signer: {
      root: signer.root,
      source: kept.active.source,
      notAfter: new Date(signer.notAfter).toISOString(),
    },
    retiring: move.phase === 'renewing' ? splitPem(move.old).map(fingerprintOf) : [],
    renewWithinMs: move.phase === 'renewing' ? move.renewWithinMs : 0,
    bundle: bundleId(bundle),
    agents: { all: facts.participants, waiting: facts.waitingFor.length },
    waitingFor: facts.waitingFor.slice(0, MAX_NAMED),
    ...(problem === undefined ? {} : { problem }),
  };
}

function problemOf(
  source: 'own' | 'plugged',
  plugged: PluggedState,
  own: string | undefined,
): RotationStatus['problem'] {
  if (own !== undefined) return { reason: 'RootUnusable', message: own };
  if (plugged.kind === 'unusable') {
    return { reason: 'PluggedSignerUnusable', message: plugged.message };
  }
  if (plugged.kind === 'none' && source === 'plugged') {
    const message =
      'The Secret of the plugged-in signer is gone: signing goes on with what it held. Put it back, or go over to a root of the CA itself: ambit ca rotate';
    return { reason: 'PluggedSignerGone', message };
  }
  return undefined;
}

function noteOf(pem: string): RootNote {
  const certificate = new X509Certificate(pem);
  return {
    fingerprint: fingerprintOf(certificate),
    subject: certificate.subject.replaceAll('\n', ', '),
    notAfter: certificate.validToDate.toISOString(),
  };
}
