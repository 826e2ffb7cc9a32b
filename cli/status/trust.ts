// What of certificates, roots and the CA a person should mend, well before anything fails. Pure: assess.ts asks it for
// `ambit status`, and `ambit check` reads the same report.

import type { RotationStatus } from '../../wire/rotation.ts';
import type { Problem } from '../../wire/status.ts';
import type { AgentRow } from './report.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
// A root is replaced by hand-over; people who plug in their own want weeks for it, and some of their roots are offline.
const ROOT_WARNING_DAYS = 30;
// Whoever renews intermediates by machine does so with a third of their life left: two weeks before the end of the
// shortest in use (90 days) he is late.
const INTERMEDIATE_WARNING_DAYS = 14;
// A rotation of a small mesh takes a minute, of the largest half an hour: longer means that somebody is in its way.
const ROTATION_WARNING_MS = HOUR_MS;

export type TrustFindings = {
  /** RFC 3339; for a CA that says nothing by itself. */
  readonly rootNotAfter: string | undefined;
  readonly rotation: RotationStatus | undefined;
  readonly agents: readonly AgentRow[];
};

export function trustProblems(findings: TrustFindings, nowMs: number): Problem[] {
  const { rotation } = findings;
  const authority =
    rotation === undefined
      ? rootProblems(findings.rootNotAfter, nowMs)
      : [...signerProblems(rotation, nowMs), ...rotationProblems(rotation, nowMs)];
  return [
    ...authority,
    ...findings.agents.flatMap((agent) => agentProblems(agent, rotation, nowMs)),
  ];
}

function rootProblems(notAfter: string | undefined, nowMs: number): Problem[] {
  if (notAfter === undefined) return [];
  const days = daysUntil(notAfter, nowMs);
  if (days >= ROOT_WARNING_DAYS) return [];
  return [
    {
      object: 'Secret ambit-system/ambit-ca-root',
      reason: days < 0 ? 'RootExpired' : 'RootExpiresSoon',
      message:
        days < 0
          ? `The root certificate ended at ${notAfter}`
          : `The root certificate ends in ${days} days`,
      remedy:
        'Replace it before it ends, for every workload certificate ends with it: ambit ca rotate',
    },
  ];
}

function signerProblems(rotation: RotationStatus, nowMs: number): Problem[] {
  const { signer, roots, retiring, problem } = rotation;
  const plugged = signer.source === 'plugged';
  const place = `Secret ambit-system/${plugged ? 'cacerts' : 'ambit-ca-root'}`;
  const problems: Problem[] = [];
  if (problem !== undefined) {
    problems.push({
      object: place,
      reason: problem.reason,
      message: problem.message,
      remedy: 'See what signs meanwhile: ambit ca status',
    });
  }
  const ends = roots.find(({ fingerprint }) => fingerprint === signer.root)?.notAfter;
  const rotate = plugged
    ? 'Put a new signer into the Secret: it is taken into use without a restart'
    : 'Replace the root: ambit ca rotate';
  const rootDays = ends === undefined ? undefined : daysUntil(ends, nowMs);
  if (rootDays !== undefined && rootDays < ROOT_WARNING_DAYS) {
    problems.push({
      object: place,
      reason: rootDays < 0 ? 'RootExpired' : 'RootExpiresSoon',
      message:
        rootDays < 0
          ? `The root certificate ended at ${ends}`
          : `The root certificate ends in ${rootDays} days`,
      remedy: rotate,
    });
  }
  const signerDays = daysUntil(signer.notAfter, nowMs);
  if (signer.notAfter !== ends && signerDays < INTERMEDIATE_WARNING_DAYS) {
    problems.push({
      object: place,
      reason: signerDays < 0 ? 'IntermediateExpired' : 'IntermediateExpiresSoon',
      message:
        signerDays < 0
          ? `The intermediate certificate that signs ended at ${signer.notAfter}`
          : `The intermediate certificate that signs ends in ${signerDays} days`,
      remedy: rotate,
    });
  }
  for (const root of roots) {
    const isOther = root.fingerprint !== signer.root && !retiring.includes(root.fingerprint);
    if (!isOther || daysUntil(root.notAfter, nowMs) >= 0) continue;
    problems.push({
      object: 'ConfigMap ambit-system/ambit-ca-root-cert',
      reason: 'TrustedRootExpired',
      message: `The root ${root.subject} ended at ${root.notAfter} and is still in the bundle`,
      remedy: 'Take it out of root-cert.pem of the plugged-in Secret',
    });
  }
  return problems;
}

function rotationProblems({ phase, since, waitingFor }: RotationStatus, nowMs: number): Problem[] {
  if (phase === 'steady' || nowMs - Date.parse(since) < ROTATION_WARNING_MS) return [];
  const who = waitingFor.length === 0 ? '' : `; it waits for ${waitingFor.join(', ')}`;
  return [
    {
      object: 'ConfigMap ambit-system/ambit-ca-rotation',
      reason: 'RotationStuck',
      message: `The rotation of the root is ${phase} since ${since}${who}`,
      remedy:
        'Bring these agents back; or go on without those that are neither ready nor connected: ambit ca rotate --force',
    },
  ];
}

function agentProblems(
  { node, pod, trust }: AgentRow,
  rotation: RotationStatus | undefined,
  nowMs: number,
): Problem[] {
  if (trust === undefined) return [];
  const problem = (reason: string, message: string, remedy: string): Problem => ({
    object: `Pod ambit-system/${pod}`,
    reason,
    message,
    remedy,
  });
  const logs = `kubectl -n ambit-system logs ${pod}`;
  const problems: Problem[] = [];
  if (trust.failing > 0) {
    problems.push(
      problem(
        'CertificatesFailing',
        `The node agent on ${node} cannot get or renew certificates of ${trust.failing} identities: ${trust.error}`,
        `See that the CA is ready and reached from the node: ${logs}; kubectl -n ambit-system logs deployment/ambit-ca`,
      ),
    );
  } else if (trust.error !== '') {
    problems.push(
      problem(
        'TrustUnreadable',
        `The node agent on ${node} believes whom it believed before: ${trust.error}`,
        'Mend the ConfigMaps of roots and revocation lists: ambit ca status',
      ),
    );
  }
  if (trust.earliestEnd > 0 && trust.earliestEnd <= nowMs) {
    const ended = new Date(trust.earliestEnd).toISOString();
    problems.push(
      problem(
        'CertificateExpired',
        `A certificate on ${node} ended at ${ended}`,
        `See why: ${logs}`,
      ),
    );
  }
  const known = rotation?.roots.map(({ fingerprint }) => fingerprint);
  if (known !== undefined && trust.rootsInUse.some((root) => !known.includes(root))) {
    problems.push(
      problem(
        'AgentOnOldRoot',
        `The node agent on ${node} holds certificates of a root that is not trusted any more: its connections fail`,
        `It renews them by itself when it reaches the CA. See why it does not: ${logs}`,
      ),
    );
  }
  return problems;
}

/** Negative once it has ended. */
function daysUntil(notAfter: string, nowMs: number): number {
  return Math.floor((Date.parse(notAfter) - nowMs) / DAY_MS);
}
