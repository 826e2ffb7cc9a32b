// How long a container waits before it starts again (Kubernetes: at once after the first end, then 10 s, doubling to
// 5 min, forgotten after 10 min of running). Pure; one per container.

export type RestartSettings = {
  readonly initialMs: number;
  readonly maxMs: number;
  /** A run that lasted this long clears what was before it. */
  readonly forgetMs: number;
};

export const KUBERNETES_RESTARTS: RestartSettings = {
  initialMs: 10_000,
  maxMs: 300_000,
  forgetMs: 600_000,
};

export class RestartDelay {
  readonly #settings: RestartSettings;
  #nextMs = 0;

  constructor(settings: RestartSettings) {
    this.#settings = settings;
  }

  /** @param ranMs how long the run that just ended lasted */
  next(ranMs: number): number {
    const { initialMs, maxMs, forgetMs } = this.#settings;
    if (ranMs >= forgetMs) this.#nextMs = 0;
    const delay = this.#nextMs;
    this.#nextMs = Math.min(maxMs, delay === 0 ? initialMs : delay * 2);
    return delay;
  }
}
