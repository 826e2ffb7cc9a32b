// When a certificate is renewed and when its renewal is overdue, as plain decisions. Used by the agent for its pods'
// certificates and by the servers for their own.

export type Life = {
  /** Unix ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** When it was received, by our own clock. */
  readonly receivedAt: number;
};

/** Renewal is spread over a tenth of the life, so that what was issued together is not renewed together. */
const SPREAD = 0.1;
/** Half of the time for tries is over and none succeeded: time for a person to look, with a fifth of the life left. */
const OVERDUE = 0.8;

/** Half of the life, a little earlier for some. `random` is 0 to 1. */
export function renewAt(life: Life, random: number): number {
  const { from, length } = span(life);
  return from + length * (0.5 - SPREAD * random);
}

export function overdueAt(life: Life): number {
  const { from, length } = span(life);
  return from + length * OVERDUE;
}

/** The CA back-dates a certificate for slow clocks: of a short life, that must not count as lived. */
function span({ notBefore, notAfter, receivedAt }: Life): { from: number; length: number } {
  const from = Math.max(notBefore, Math.min(receivedAt, notAfter));
  return { from, length: Math.max(0, notAfter - from) };
}
