// What `ambit ca` shows: what signs, the roots and what each is for, and how far a rotation is. Pure.

import type { RotationStatus } from '../../wire/rotation.ts';
import type { Style } from './style.ts';
import { renderTable } from './table.ts';

const SHOWN_DIGITS = 16;
const STEPS = { distributing: '1/2', renewing: '2/2' } as const;

export function renderTrust(status: RotationStatus, style: Style): string {
  const { signer, roots, retiring, refused, problem } = status;
  const from =
    signer.source === 'plugged' ? 'plugged in by the operator' : 'a root of the CA itself';
  const table = renderTable(
    ['ROOT', 'STATE', 'NOT AFTER', 'SUBJECT'],
    roots.map(({ fingerprint, notAfter, subject }) => [
      fingerprint.slice(0, SHOWN_DIGITS),
      stateOf(fingerprint, signer.root, retiring),
      notAfter,
      subject,
    ]),
  );
  const lines = [
    `Signer      ${from}, until ${signer.notAfter.slice(0, 10)}`,
    `Rotation    ${phaseText(status)}`,
    ...status.waitingFor.map((name) => `            waits for ${name}`),
    ...(refused === undefined ? [] : [`Refused     ${refused.message}`]),
    ...(problem === undefined ? [] : [`${style.bad(problem.reason)}  ${problem.message}`]),
  ];
  return `${lines.join('\n')}\n\n${table}\n`;
}

/** One line for whoever watches the rotation `id`. */
export function renderProgress(status: RotationStatus, id: string): string {
  return status.request === id ? phaseText(status) : 'waiting for the CA to take the request';
}

export function phaseText({ phase, agents, waitingFor }: RotationStatus): string {
  if (phase === 'steady') return 'none under way';
  const done = `${agents.all - agents.waiting} of ${agents.all}`;
  const rest = waitingFor[0] === undefined ? '' : `, waiting for ${waitingFor[0]}`;
  return phase === 'distributing'
    ? `${STEPS.distributing} distributing the new root: ${done} believe it${rest}`
    : `${STEPS.renewing} renewing certificates under the new root: ${done} are done${rest}`;
}

function stateOf(root: string, signs: string, retiring: readonly string[]): string {
  if (retiring.includes(root)) return 'leaving';
  return root === signs ? 'signs' : 'trusted';
}
