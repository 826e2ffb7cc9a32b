// What the load generator counts. A plain value that its parts add to, served as JSON at /stats and printed each second.
// Invariant: every request and every connection ends in exactly one of its counts.

export type Tally = {
  readonly requests: {
    ok: number;
    failed: number;
    /** Answered, but by somebody else than EXPECT. */
    wrong: number;
    /** Broken once, and asked again: it ended in one of the others. */
    retried: number;
  };
  readonly connections: {
    opened: number;
    /** Closed by us at the end of their life. */
    ended: number;
    /** Closed or broken by anybody else. */
    dropped: number;
    /** Could not be opened. */
    refused: number;
  };
  readonly messages: { sent: number; echoed: number; wrong: number };
  /** The newest few faults, for a person. */
  readonly faults: string[];
};

const MAX_FAULTS = 20;

export function newTally(): Tally {
  return {
    requests: { ok: 0, failed: 0, wrong: 0, retried: 0 },
    connections: { opened: 0, ended: 0, dropped: 0, refused: 0 },
    messages: { sent: 0, echoed: 0, wrong: 0 },
    faults: [],
  };
}

export function noteFault(tally: Tally, fault: string): void {
  tally.faults.push(`${new Date().toISOString()} ${fault}`);
  if (tally.faults.length > MAX_FAULTS) tally.faults.shift();
}
