// Certificates for the identities a proxy speaks for: issued when the first claims one (a pod is enrolled, say), forgotten
// with the last. Called by pod-enrolment.ts (claim), the data path (current) and app.ts (trust). Invariants: at most
// MAX_SIGNING requests are under way, those waited for first, and nobody pays for a change of trust but once a change.

import { formatIdentity, type Identity } from '../../mesh/identity.ts';
import type { TrustBundle, TrustReport } from '../../mesh/trust.ts';
import type { Clock } from '../../runtime/clock.ts';
import { watchClock } from '../../runtime/clock-jumps.ts';
import type { Log } from '../../runtime/log.ts';
import type { Credentials, Svid } from '../contexts.ts';
import type { PeerTrust } from '../trust.ts';
import { HeldCertificate, type HeldParts, type Issue } from './held-certificate.ts';
import { type Priority, SigningQueue } from './signing-queue.ts';
import { MeshTrust } from './trust.ts';

/** As the reference: a restarted agent with a hundred pods must not flood the CA. */
const MAX_SIGNING = 8;

/** A pod's claim on its identity's certificate. */
export type Claim = {
  /**
   * The present certificate, or a wait for the first: ahead of others when a connection waits for it.
   * @throws MeshError IDENTITY_ERROR
   */
  current(priority?: Priority): Promise<Credentials>;
  /** Called with each renewed certificate, and when whom to believe has changed. */
  onRenewed(listener: (credentials: Credentials) => void): void;
  release(): void;
};

type Parts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly issue: Issue;
  /** Whom to believe has changed, and every certificate knows: tunnels that live may be to a revoked peer. */
  readonly onTrust?: (trust: PeerTrust) => void;
};
type Settings = {
  readonly trustDomain: string;
  readonly ttlSeconds: number;
  readonly random?: () => number;
};
/** One identity, for people who look. */
type Shown = {
  readonly identity: Identity;
  readonly svid: Svid | undefined;
  /** PEM: whom its handshakes believe. */
  readonly roots: readonly string[];
  readonly error: unknown;
};
type Slot = { readonly held: HeldCertificate; claims: number };

export class Certificates {
  readonly trust: MeshTrust;
  readonly queue = new SigningQueue({ limit: MAX_SIGNING });
  readonly #parts: HeldParts;
  readonly #ttlSeconds: number;
  readonly #slots = new Map<string, Slot>();
  readonly #listeners = new Set<() => void>();
  readonly #onTrust: (trust: PeerTrust) => void;
  #clockWatch: { close(): void } | undefined;
  /** What was told of a change of trust is done slot by slot, a turn of the event loop each. */
  #retrusting: HeldCertificate[] = [];

  constructor(parts: Parts, settings: Settings) {
    this.trust = new MeshTrust(parts, settings);
    this.#ttlSeconds = settings.ttlSeconds;
    this.#onTrust = parts.onTrust ?? (() => {});
    this.#parts = {
      ...parts,
      trust: this.trust,
      queue: this.queue,
      random: settings.random ?? Math.random,
      onChange: () => this.#tell(),
    };
  }

  /** Starts getting the certificate unless it is there; each claim is released once. */
  claim(identity: Identity): Claim {
    const name = formatIdentity(identity);
    const slot = this.#slots.get(name) ?? this.#add(name, identity);
    const { held } = slot;
    slot.claims++;
    const listening: (() => void)[] = [];
    let released = false;
    return {
      current: (priority = 'realtime') => held.current(priority),
      onRenewed: (listener) => void listening.push(held.subscribe(listener)),
      release: () => {
        if (released) return;
        released = true;
        for (const end of listening) end();
        slot.claims--;
        if (slot.claims === 0) this.#drop(name, slot);
      },
    };
  }

  /** What discovery says of whom to believe; contexts are made anew only when that has changed. */
  believe(bundles: Iterable<TrustBundle>): void {
    if (!this.trust.take(bundles)) return;
    const idle = this.#retrusting.length === 0;
    this.#retrusting = [...this.#slots.values()].map(({ held }) => held);
    if (this.#retrusting.length === 0) this.#tell();
    else if (idle) setImmediate(() => this.#retrustNext());
  }

  /** What is held, for the admin door. */
  *held(): IterableIterator<Shown> {
    for (const { held } of this.#slots.values()) {
      const { identity, credentials, failure } = held;
      const roots = credentials?.trust.rootsPem ?? [];
      yield { identity, svid: credentials?.svid, roots, error: failure };
    }
  }

  /** The end of each certificate, in unix ms; undefined for an identity without one. */
  *ends(): IterableIterator<{ identity: Identity; notAfter: number | undefined }> {
    for (const { held } of this.#slots.values()) {
      yield { identity: held.identity, notAfter: held.issued?.notAfter };
    }
  }

  /** Identities without a certificate, or with one whose renewal is overdue. */
  get failing(): number {
    return [...this.#slots.values()].filter(({ held }) => held.failing).length;
  }

  /** Undefined before discovery told whom to believe: there is nobody to report to. */
  report(): TrustReport | undefined {
    if (this.trust.bundle === '') return undefined;
    const all = [...this.#slots.values()].map(({ held }) => held);
    const issued = all.flatMap((held) => held.issued ?? []);
    const first = all.find((held) => held.failing);
    return {
      // not before every context knows it
      bundle: this.#retrusting.length > 0 ? '' : this.trust.bundle,
      retiring: this.trust.retiring,
      rootsInUse: [...new Set(issued.map(({ root }) => root.fingerprint))].toSorted(),
      earliestEnd: issued.length === 0 ? 0 : Math.min(...issued.map(({ notAfter }) => notAfter)),
      failing: this.failing,
      error: first === undefined ? this.trust.error : textOf(first.failure),
    };
  }

  /** Called when {@link report} may say something else than before. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    for (const [name, slot] of this.#slots) this.#drop(name, slot);
    this.#listeners.clear();
  }

  #add(name: string, identity: Identity): Slot {
    const { clock, log } = this.#parts;
    const held = new HeldCertificate(this.#parts, identity, { ttlSeconds: this.#ttlSeconds });
    const slot: Slot = { held, claims: 0 };
    this.#slots.set(name, slot);
    this.#clockWatch ??= watchClock(clock, (byMs) => {
      log.warn('The clock of this node was set: certificates are renewed by the new time', {
        byMs: Math.round(byMs),
      });
      for (const { held: each } of this.#slots.values()) each.reschedule();
    });
    held.refresh('warmup').catch(() => {});
    return slot;
  }

  #drop(name: string, slot: Slot): void {
    slot.held.close();
    if (this.#slots.get(name) === slot) this.#slots.delete(name);
    this.#retrusting = this.#retrusting.filter((held) => held !== slot.held);
    if (this.#slots.size === 0) {
      this.#clockWatch?.close();
      this.#clockWatch = undefined;
    }
    this.#tell();
  }

  #retrustNext(): void {
    const next = this.#retrusting.shift();
    try {
      next?.retrust();
    } catch (error) {
      this.#parts.log.error('Cannot take a change of trust for a certificate: keeping the old', {
        error,
      });
    }
    if (this.#retrusting.length > 0) {
      setImmediate(() => this.#retrustNext());
      return;
    }
    const present = [...this.#slots.values()].find(({ held }) => held.credentials !== undefined);
    if (present?.held.credentials !== undefined) this.#onTrust(present.held.credentials.trust);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
