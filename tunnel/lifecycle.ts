// The states of a tunnel and the one gate between them. Owned by connect.ts and accept.ts; every change goes through
// Lifecycle.move(), which refuses what lost its race (a PING's verdict after a close, a close after an error).

import type { MeshError } from '../mesh/failures.ts';

export type TunnelLife =
  | { readonly state: 'open' }
  | { readonly state: 'draining' }
  | { readonly state: 'ended'; readonly cause: MeshError | undefined };

export type TunnelState = TunnelLife['state'];

/** Where each state may lead; `ended` is final. */
export const TUNNEL_STEPS: Readonly<Record<TunnelState, readonly TunnelState[]>> = {
  open: ['draining', 'ended'],
  draining: ['ended'],
  ended: [],
};

export class Lifecycle {
  #life: TunnelLife = { state: 'open' };
  readonly #moved: (from: TunnelState, to: TunnelLife) => void;

  /** `moved` is called after each step that was taken. */
  constructor(moved: (from: TunnelState, to: TunnelLife) => void) {
    this.#moved = moved;
  }

  get life(): TunnelLife {
    return this.#life;
  }

  is(state: TunnelState): boolean {
    return this.#life.state === state;
  }

  /** Why it ended, unless that was on purpose. */
  get cause(): MeshError | undefined {
    return this.#life.state === 'ended' ? this.#life.cause : undefined;
  }

  /** False, and nothing happens, when the present state does not lead there. */
  move(to: TunnelLife): boolean {
    const from = this.#life.state;
    if (!TUNNEL_STEPS[from].includes(to.state)) return false;
    this.#life = to;
    this.#moved(from, to);
    return true;
  }
}
