// One of several replicas does the work: leadership by a coordination.k8s.io Lease, with optimistic concurrency.
// Leadership is given up before another can take it: a leader that cannot renew stops at two thirds of the lease.

import { backoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import { type KubeClient, KubeError } from './client.ts';
import type { Lease } from './objects.ts';
import { LEASES } from './resources.ts';

export type ElectionParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
};
export type ElectionSettings = {
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates, e.g. the pod's name. */
  readonly holder: string;
  readonly leaseDurationMs?: number;
};

// Kubernetes' own default for controllers.
const LEASE_DURATION_MS = 15_000;
// A candidate looks this often; a free lease is taken within it.
const CANDIDATE_MS = 2000;
// A process that stops does not wait longer for an API server that does not answer.
const RELEASE_MS = 3000;
const RETRY = { initialMs: 250, maxMs: 2000 } as const;

/**
 * Contends for the lease until `signal` aborts; while leading, runs `onLeading` with a signal that aborts when
 * leadership is lost. Resolves when `signal` aborts or `onLeading` resolves by itself; rejects when it rejects.
 * The lease is released in each case.
 */
export async function elect(
  parts: ElectionParts,
  settings: ElectionSettings,
  onLeading: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const durationMs = settings.leaseDurationMs ?? LEASE_DURATION_MS;
  const { clock, log } = parts;
  const claim = new Claim(parts, settings, durationMs);
  const wait = (ms: number): Promise<void> => clock.sleep(ms, signal).catch(() => {});
  while (!signal.aborted) {
    if (!(await claim.tryAcquire())) {
      await wait(Math.min(CANDIDATE_MS, durationMs / 3));
      continue;
    }
    log.info('Became leader', { lease: settings.name });
    const leading = new AbortController();
    const keeping = claim.keep(leading, signal);
    try {
      await onLeading(leading.signal);
      // ended though it still leads: the work is done
      if (!leading.signal.aborted) return;
    } catch (error) {
      if (!leading.signal.aborted) throw error;
    } finally {
      leading.abort(new Error('Leadership ended'));
      await keeping;
      await claim.release();
      log.info('No longer leader', { lease: settings.name });
    }
  }
}

class Claim {
  readonly #parts: ElectionParts;
  readonly #settings: ElectionSettings;
  readonly #durationMs: number;
  #seen: { readonly version: string; readonly at: number } | undefined;
  #held: Lease | undefined;
  #renewedAt = 0;

  constructor(parts: ElectionParts, settings: ElectionSettings, durationMs: number) {
    this.#parts = parts;
    this.#settings = settings;
    this.#durationMs = durationMs;
  }

  async tryAcquire(): Promise<boolean> {
    const { client, clock, log } = this.#parts;
    const { namespace, name, holder } = this.#settings;
    try {
      const started = clock.monotonic();
      const lease = await client.get<Lease>(LEASES, name, namespace);
      if (lease === undefined) {
        this.#held = await client.create<Lease>(LEASES, {
          metadata: { name, namespace },
          spec: this.#spec(undefined),
        });
      } else if (this.#mayTake(lease)) {
        this.#held = await client.update<Lease>(LEASES, { ...lease, spec: this.#spec(lease) });
      } else return false;
      this.#renewedAt = started;
      return true;
    } catch (error) {
      if (!isLostRace(error)) {
        log.warn('Cannot contend for leadership: trying again', { lease: name, holder, error });
      }
      return false;
    }
  }

  /** Renews until `leading` ends; aborts `leading` when renewing failed for too long or `stop` aborts. */
  async keep(leading: AbortController, stop: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const retry = backoff(RETRY);
    const onStop = (): void => leading.abort(stop.reason as Error);
    if (stop.aborted) onStop();
    stop.addEventListener('abort', onStop, { once: true });
    // also runs out while a renewal hangs on a connection that has gone dead
    const expiry = (): { cancel(): void } =>
      clock.timer(this.#renewedAt + (this.#durationMs * 2) / 3 - clock.monotonic(), () => {
        log.error('Lost leadership: the lease could not be renewed in time', {
          lease: this.#settings.name,
        });
        leading.abort(new Error(`Lost the lease ${this.#settings.name}`));
      });
    let deadline = expiry();
    const ended = new Promise<'ended'>((resolve) => {
      leading.signal.addEventListener('abort', () => resolve('ended'), { once: true });
    });
    let pause = this.#durationMs / 3;
    while (!leading.signal.aborted) {
      await clock.sleep(pause, leading.signal).catch(() => {});
      if (leading.signal.aborted) break;
      const outcome = await Promise.race([this.#renew(), ended]);
      if (outcome === 'renewed') {
        deadline.cancel();
        if (!leading.signal.aborted) deadline = expiry();
        retry.reset();
        pause = this.#durationMs / 3;
      } else if (outcome === 'taken') {
        leading.abort(new Error(`Lost the lease ${this.#settings.name} to another holder`));
      } else if (outcome === 'failed') pause = retry.next();
    }
    deadline.cancel();
    stop.removeEventListener('abort', onStop);
  }

  /** Lets the next candidate in at once instead of after the lease has run out. */
  async release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    const free = this.#parts.client.update<Lease>(LEASES, {
      ...held,
      spec: { ...held.spec, holderIdentity: '', leaseDurationSeconds: 1 },
    });
    const patience = new AbortController();
    const tooLate = this.#parts.clock.sleep(RELEASE_MS, patience.signal).catch(() => {});
    try {
      await Promise.race([free, tooLate]);
    } catch (error) {
      this.#parts.log.debug('Cannot release the lease: it will run out', {
        lease: this.#settings.name,
        error,
      });
    } finally {
      patience.abort();
    }
  }

  async #renew(): Promise<'renewed' | 'taken' | 'failed'> {
    const { client, clock, log } = this.#parts;
    const { name, namespace, holder } = this.#settings;
    const started = clock.monotonic();
    try {
      this.#held = await client.update<Lease>(LEASES, {
        ...(this.#held as Lease),
        spec: this.#spec(this.#held),
      });
      this.#renewedAt = started;
      return 'renewed';
    } catch (error) {
      if (!isLostRace(error)) {
        log.warn('Cannot renew the lease: trying again', { lease: name, error });
        return 'failed';
      }
    }
    try {
      const lease = await client.get<Lease>(LEASES, name, namespace);
      if (lease === undefined || lease.spec?.holderIdentity !== holder) {
        this.#held = undefined;
        return 'taken';
      }
      // somebody edited the object (a label, say); we still hold it
      this.#held = lease;
    } catch (error) {
      log.warn('Cannot read the lease: trying again', { lease: name, error });
    }
    return 'failed';
  }

  /** Free, ours from before, or not renewed for its duration *as we saw it*: clocks of nodes are not compared. */
  #mayTake(lease: Lease): boolean {
    const { clock } = this.#parts;
    const current = lease.spec?.holderIdentity ?? '';
    if (current === '' || current === this.#settings.holder) return true;
    const version = lease.metadata.resourceVersion ?? '';
    if (this.#seen?.version !== version) {
      this.#seen = { version, at: clock.monotonic() };
      return false;
    }
    const theirs = (lease.spec?.leaseDurationSeconds ?? this.#durationMs / 1000) * 1000;
    return clock.monotonic() - this.#seen.at > theirs;
  }

  #spec(before: Lease | undefined): NonNullable<Lease['spec']> {
    const now = microTime(this.#parts.clock.now());
    const mine = before?.spec?.holderIdentity === this.#settings.holder;
    return {
      holderIdentity: this.#settings.holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(this.#durationMs / 1000)),
      acquireTime: mine ? (before?.spec?.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions:
        (before?.spec?.leaseTransitions ?? 0) + (mine || before === undefined ? 0 : 1),
    };
  }
}

/** Another candidate wrote first (409), or the lease vanished in between (404). */
function isLostRace(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 409 || error.status === 404);
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
