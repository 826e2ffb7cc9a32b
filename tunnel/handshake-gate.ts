// How many TLS handshakes run at a time: each costs a millisecond of the one thread that also carries everybody's bytes, so
// a flood of them must not take every turn. One for all doors of a process; called by accept.ts. Invariant: nobody waits
// behind more than `limit` others, and what is carried gets its turn after every few handshakes.

/** Handshakes under way or waiting: about 2 s of one core's work. A peer behind them would give up anyhow. */
const MAX_HANDSHAKES = 1000;
/** Begun in one turn of the event loop: 5 ms at most until live tunnels are served again. */
const BEGUN_A_TURN = 5;

export class HandshakeGate {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;
  #begun = 0;
  #turning = false;

  constructor(settings: { readonly limit?: number } = {}) {
    this.#limit = settings.limit ?? MAX_HANDSHAKES;
  }

  /** Under way or waiting. */
  get inside(): number {
    return this.#inside;
  }

  /**
   * Calls `begin` now or in a later turn, those who came first first. Returns what is to be called when the handshake is
   * over, however it went; undefined, and nothing is going to happen, when too many are inside.
   */
  enter(begin: () => void): (() => void) | undefined {
    if (this.#inside >= this.#limit) return undefined;
    this.#inside++;
    if (this.#begun < BEGUN_A_TURN && this.#waiting.length === 0) this.#begin(begin);
    else this.#waiting.push(begin);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#inside--;
    };
  }

  #begin(begin: () => void): void {
    this.#begun++;
    if (!this.#turning) {
      this.#turning = true;
      setImmediate(() => this.#turn());
    }
    begin();
  }

  #turn(): void {
    this.#turning = false;
    this.#begun = 0;
    for (const begin of this.#waiting.splice(0, BEGUN_A_TURN)) this.#begin(begin);
  }
}
