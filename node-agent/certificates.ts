// Certificates for the identities that have a pod on this node: issued when the first such pod is enrolled, renewed at
// half life, forgotten with the last pod. Called by enrolment.ts (hold) and the data path (current). Invariants: a valid
// certificate is kept whatever the CA does, and at most MAX_SIGNING requests are under way, those waited for first.

import { X509Certificate } from 'node:crypto';
import { MeshError } from '../mesh/failures.ts';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import { type Backoff, backoff } from '../runtime/backoff.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { makeCsr } from '../runtime/csr.ts';
import type { Log } from '../runtime/log.ts';
import { type Credentials, credentialsOf, type Svid } from '../tunnel/contexts.ts';
import { uriNames } from '../tunnel/der.ts';
import { Turns } from './turns.ts';

/** Asks the CA. The chain is leaf, intermediates, roots last. */
export type Issue = (
  identity: Identity,
  csrPem: string,
  ttlSeconds: number,
  signal: AbortSignal,
) => Promise<{ readonly chain: readonly string[] }>;

/** As the reference: a restarted agent with a hundred pods must not flood the CA. */
const MAX_SIGNING = 8;
/** Failed requests: the reference's pace. */
const RETRY = { initialMs: 1000, maxMs: 150_000, jitter: 0.2 };
/** Renewal is spread over a tenth of the life, so that pods started together do not renew together. */
const RENEWAL_SPREAD = 0.1;

/** A pod's claim on its identity's certificate. */
export type Claim = {
  /** The present certificate, or a wait for the first. @throws MeshError IDENTITY_ERROR */
  current(): Promise<Credentials>;
  /** Called with each renewed certificate. */
  onRenewed(listener: (credentials: Credentials) => void): void;
  release(): void;
};

type Slot = {
  readonly identity: Identity;
  readonly claims: Set<Set<(credentials: Credentials) => void>>;
  readonly retry: Backoff;
  readonly stop: AbortController;
  credentials: Credentials | undefined;
  /** The request under way or waiting for its turn. */
  pending: Promise<Credentials> | undefined;
  lastError: unknown;
  timer: Timer | undefined;
};

type Parts = { readonly clock: Clock; readonly log: Log; readonly issue: Issue };

export class Certificates {
  readonly #parts: Parts;
  readonly #ttlSeconds: number;
  readonly #random: () => number;
  readonly #slots = new Map<string, Slot>();
  readonly #turns = new Turns({ limit: MAX_SIGNING });

  constructor(
    parts: Parts,
    settings: { readonly ttlSeconds: number; readonly random?: () => number },
  ) {
    this.#parts = parts;
    this.#ttlSeconds = settings.ttlSeconds;
    this.#random = settings.random ?? Math.random;
  }

  /** Starts getting the certificate unless it is there; each claim is released once. */
  claim(identity: Identity): Claim {
    const name = formatIdentity(identity);
    const slot = this.#slots.get(name) ?? this.#addSlot(name, identity);
    const listeners = new Set<(credentials: Credentials) => void>();
    slot.claims.add(listeners);
    return {
      current: () => this.#current(slot),
      onRenewed: (listener) => void listeners.add(listener),
      release: () => {
        slot.claims.delete(listeners);
        if (slot.claims.size === 0) this.#drop(name, slot);
      },
    };
  }

  /** What is held, for the admin door. */
  *held(): IterableIterator<{ identity: Identity; svid: Svid | undefined; error: unknown }> {
    for (const { identity, credentials, lastError } of this.#slots.values()) {
      yield { identity, svid: credentials?.svid, error: lastError };
    }
  }

  close(): void {
    for (const [name, slot] of this.#slots) this.#drop(name, slot);
  }

  #addSlot(name: string, identity: Identity): Slot {
    const slot: Slot = {
      identity,
      claims: new Set(),
      retry: backoff(RETRY, this.#random),
      stop: new AbortController(),
      credentials: undefined,
      pending: undefined,
      lastError: undefined,
      timer: undefined,
    };
    this.#slots.set(name, slot);
    void this.#refresh(slot, true).catch(() => {});
    return slot;
  }

  #drop(name: string, slot: Slot): void {
    slot.timer?.cancel();
    slot.stop.abort(new MeshError('IDENTITY_ERROR', `No pod of ${name} is left on this node`));
    if (this.#slots.get(name) === slot) this.#slots.delete(name);
  }

  async #current(slot: Slot): Promise<Credentials> {
    const { credentials } = slot;
    if (credentials !== undefined && credentials.svid.notAfter > this.#parts.clock.now()) {
      return credentials;
    }
    return this.#refresh(slot, true);
  }

  /** Joins the request under way. Between two failed tries it fails at once with the last one's reason. */
  #refresh(slot: Slot, urgent: boolean): Promise<Credentials> {
    if (slot.pending !== undefined) return slot.pending;
    if (slot.timer !== undefined && slot.lastError !== undefined) {
      return Promise.reject(unavailable(slot.identity, slot.lastError));
    }
    const pending = this.#turns
      .run(urgent, () => this.#request(slot), slot.stop.signal)
      .then(
        (credentials) => this.#succeeded(slot, credentials),
        (error: unknown) => this.#failed(slot, error),
      );
    slot.pending = pending;
    return pending;
  }

  async #request(slot: Slot): Promise<Credentials> {
    const { csrPem, keyPem } = await makeCsr(slot.identity);
    const { signal } = slot.stop;
    const { chain } = await this.#parts.issue(slot.identity, csrPem, this.#ttlSeconds, signal);
    return credentialsOf(readChain(slot.identity, keyPem, chain));
  }

  #succeeded(slot: Slot, credentials: Credentials): Credentials {
    const { log, clock } = this.#parts;
    const renewed = slot.credentials !== undefined;
    slot.pending = undefined;
    slot.credentials = credentials;
    slot.lastError = undefined;
    slot.retry.reset();
    const { identity, notBefore, notAfter } = credentials.svid;
    log.info(renewed ? 'Renewed a certificate' : 'Got a certificate', {
      identity: formatIdentity(identity),
      notAfter: new Date(notAfter).toISOString(),
    });
    const life = notAfter - notBefore;
    const renewAt = notBefore + life * (0.5 - RENEWAL_SPREAD * this.#random());
    // never in a tight circle, whatever times the CA writes
    this.#schedule(slot, Math.max(RETRY.initialMs, renewAt - clock.now()));
    for (const listeners of slot.claims) for (const listener of listeners) listener(credentials);
    return credentials;
  }

  #failed(slot: Slot, error: unknown): never {
    slot.pending = undefined;
    const failure = unavailable(slot.identity, error);
    if (slot.stop.signal.aborted) throw failure;
    slot.lastError = error;
    const wait = slot.retry.next();
    this.#parts.log.warn('Cannot get a certificate: trying again', {
      identity: formatIdentity(slot.identity),
      inMs: Math.round(wait),
      keepsUntil: slot.credentials && new Date(slot.credentials.svid.notAfter).toISOString(),
      error,
    });
    this.#schedule(slot, wait);
    throw failure;
  }

  #schedule(slot: Slot, ms: number): void {
    slot.timer?.cancel();
    if (slot.stop.signal.aborted) return;
    slot.timer = this.#parts.clock.timer(ms, () => {
      slot.timer = undefined;
      void this.#refresh(slot, slot.credentials === undefined).catch(() => {});
    });
  }
}

function unavailable(identity: Identity, cause: unknown): MeshError {
  if (cause instanceof MeshError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new MeshError(
    'IDENTITY_ERROR',
    `Cannot get a certificate for ${formatIdentity(identity)}: ${why}`,
    { cause },
  );
}

/** @throws Error when the CA's answer is not a certificate of exactly this identity with its roots */
function readChain(identity: Identity, keyPem: string, chain: readonly string[]): Svid {
  const [leaf, ...rest] = chain.map((pem) => (pem.endsWith('\n') ? pem : `${pem}\n`));
  const roots = rest.pop();
  if (leaf === undefined || roots === undefined) {
    throw new Error(`The CA answered with a chain of ${chain.length}: expected leaf and root`);
  }
  const parsed = new X509Certificate(leaf);
  const names = uriNames(parsed.raw);
  const wanted = formatIdentity(identity);
  if (names.length !== 1 || names[0] !== wanted) {
    throw new Error(
      `The CA answered with a certificate for ${names.join(', ')} instead of ${wanted}`,
    );
  }
  return {
    identity,
    chainPem: [leaf, ...rest].join(''),
    keyPem,
    roots: [roots],
    notBefore: parsed.validFromDate.getTime(),
    notAfter: parsed.validToDate.getTime(),
  };
}
