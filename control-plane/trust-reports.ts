// While a root is rotated, writes down what this replica's agents say of their trust, where the CA reads it. Called by
// app.ts with each report and each change of a rotation. Outside a rotation it writes nothing: reports then are for
// status alone.

import type { Clock, Timer } from '../runtime/clock.ts';
import { type KubeClient, KubeError } from '../runtime/kubernetes/client.ts';
import type { ConfigMap } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS } from '../runtime/kubernetes/resources.ts';
import type { Log } from '../runtime/log.ts';
import { AGENTS_PREFIX, type MeshTrust, ROTATION_MAP } from '../wire/rotation.ts';

export type TrustReportParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly isRotating: () => boolean;
  /** What they say now, this replica's own word included. */
  readonly agents: () => readonly MeshTrust[];
};

// Agents answer together: one write a second tells of all of them.
const QUIET_MS = 1000;
const RETRY_MS = 5000;

export class TrustReportWriter {
  readonly #parts: TrustReportParts;
  readonly #settings: { readonly namespace: string; readonly pod: string };
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #written = '';
  #closed = false;

  constructor(
    parts: TrustReportParts,
    settings: { readonly namespace: string; readonly pod: string },
  ) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Something may have changed. */
  poke(afterMs = QUIET_MS): void {
    if (!this.#parts.isRotating()) {
      // the CA clears the object at the end: the next rotation is told anew
      this.#written = '';
      return;
    }
    if (this.#closed) return;
    this.#timer ??= this.#parts.clock.timer(afterMs, () => {
      this.#timer = undefined;
      this.#writing = this.#write();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#writing;
  }

  async #write(): Promise<void> {
    await this.#writing;
    const { client, log, agents, isRotating } = this.#parts;
    const { namespace, pod } = this.#settings;
    const text = JSON.stringify(agents());
    if (!isRotating() || text === this.#written) return;
    try {
      const patch = { data: { [`${AGENTS_PREFIX}${pod}`]: text } };
      await client.patch<ConfigMap>(CONFIG_MAPS, ROTATION_MAP, namespace, patch);
      this.#written = text;
    } catch (error) {
      const gone = error instanceof KubeError && error.status === 404;
      log.warn('Cannot tell the CA what agents say of their trust: trying again', {
        error,
        remedy: gone ? 'the CA makes the object when it starts' : undefined,
      });
      this.poke(RETRY_MS);
    }
  }
}
