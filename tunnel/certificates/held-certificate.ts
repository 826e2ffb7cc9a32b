// One identity's certificate: asked for, renewed at half its life, or at once when its root is about to leave. Made by
// certificates.ts. Invariants: a valid certificate is kept whatever the CA does; one request at most is under way; a
// renewed certificate is what the next handshake uses.

import { MeshError } from '../../mesh/failures.ts';
import { formatIdentity, type Identity } from '../../mesh/identity.ts';
import { type Backoff, backoff } from '../../runtime/backoff.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { makeCsr } from '../../runtime/csr.ts';
import type { Log } from '../../runtime/log.ts';
import { overdueAt, renewAt } from '../../runtime/renewal.ts';
import { type Credentials, credentialsOf } from '../contexts.ts';
import { type Issued, readIssued } from './issued.ts';
import type { Priority, SigningQueue, Ticket } from './signing-queue.ts';
import type { MeshTrust } from './trust.ts';

/** Asks the CA. The chain is leaf, intermediates, roots last. */
export type Issue = (
  identity: Identity,
  csrPem: string,
  ttlSeconds: number,
  signal: AbortSignal,
) => Promise<{ readonly chain: readonly string[] }>;

export type HeldParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly issue: Issue;
  readonly trust: MeshTrust;
  readonly queue: SigningQueue;
  readonly random: () => number;
  /** What is held, or that it fails, has changed. */
  readonly onChange: () => void;
};

/** Failed requests: the reference's pace. */
const RETRY = { initialMs: 1000, maxMs: 150_000, jitter: 0.2 };
/** Never in a tight circle, whatever times the CA writes. */
const MIN_WAIT_MS = 1000;

export class HeldCertificate {
  readonly identity: Identity;
  readonly #parts: HeldParts;
  readonly #ttlSeconds: number;
  readonly #retry: Backoff;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(credentials: Credentials) => void>();
  #issued: Issued | undefined;
  #credentials: Credentials | undefined;
  /** The request under way or waiting for its turn. */
  #pending: Ticket<Credentials> | undefined;
  /** Of the last request, until one succeeds. */
  #failure: unknown;
  /** When to ask next, by wall clock. */
  #next: { readonly at: number; readonly timer: Timer } | undefined;

  constructor(parts: HeldParts, identity: Identity, settings: { readonly ttlSeconds: number }) {
    this.identity = identity;
    this.#parts = parts;
    this.#ttlSeconds = settings.ttlSeconds;
    this.#retry = backoff(RETRY, parts.random);
  }

  get issued(): Issued | undefined {
    return this.#issued;
  }

  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  /** Why the last request failed; undefined when it did not. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Nothing valid is held, or a renewal fails and four fifths of the life are over. */
  get failing(): boolean {
    if (this.#failure === undefined) return false;
    return this.#issued === undefined || this.#parts.clock.now() >= overdueAt(this.#issued);
  }

  subscribe(listener: (credentials: Credentials) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The present certificate, or a wait for one. @throws MeshError IDENTITY_ERROR */
  async current(priority: Priority): Promise<Credentials> {
    const valid = this.#issued !== undefined && this.#issued.notAfter > this.#parts.clock.now();
    if (valid && this.#credentials !== undefined) return this.#credentials;
    return this.refresh(priority);
  }

  /** Joins the request under way. Between two failed tries it fails at once with the last one's reason. */
  refresh(priority: Priority): Promise<Credentials> {
    if (this.#pending !== undefined) {
      this.#pending.promote(priority);
      return this.#pending.done;
    }
    if (this.#next !== undefined && this.#failure !== undefined) {
      return Promise.reject(unavailable(this.identity, this.#failure));
    }
    this.#next?.timer.cancel();
    this.#next = undefined;
    const { signal } = this.#stop;
    const ticket = this.#parts.queue.run(priority, () => this.#request(), signal);
    const done = ticket.done.then(
      (issued) => this.#succeeded(issued),
      (error: unknown) => this.#failed(error),
    );
    this.#pending = { done, promote: ticket.promote };
    return done;
  }

  /** Whom to believe has changed: new handshakes shall know, and a certificate under a leaving root is renewed. */
  retrust(): void {
    if (this.#issued === undefined) return;
    this.#use(this.#issued);
    const retiring = this.#parts.trust.renewalOf(this.#issued);
    if (retiring === undefined || this.#pending !== undefined) return;
    const at = this.#parts.clock.now() + retiring.withinMs * this.#parts.random();
    if (this.#next === undefined || at < this.#next.at) this.#schedule(at);
  }

  /** The clock was set: appointments are by wall clock. */
  reschedule(): void {
    if (this.#next !== undefined) this.#schedule(this.#next.at);
  }

  close(): void {
    this.#next?.timer.cancel();
    const name = formatIdentity(this.identity);
    this.#stop.abort(new MeshError('IDENTITY_ERROR', `No pod of ${name} is left on this node`));
  }

  async #request(): Promise<Issued> {
    const { clock, issue } = this.#parts;
    const { csrPem, keyPem } = await makeCsr(this.identity);
    const { signal } = this.#stop;
    const { chain } = await issue(this.identity, csrPem, this.#ttlSeconds, signal);
    const issued = readIssued({ identity: this.identity, keyPem, now: clock.now() }, chain);
    // what the TLS library would not take is refused here, while the old one is still in use
    this.#credentialsOf(issued);
    return issued;
  }

  #succeeded(issued: Issued): Credentials {
    const { log, clock, random, trust } = this.#parts;
    const renewed = this.#issued !== undefined;
    this.#pending = undefined;
    this.#issued = issued;
    this.#failure = undefined;
    this.#retry.reset();
    log.info(renewed ? 'Renewed a certificate' : 'Got a certificate', {
      identity: formatIdentity(issued.identity),
      notAfter: new Date(issued.notAfter).toISOString(),
    });
    const credentials = this.#use(issued);
    // a replica of the CA that has not switched yet may answer under the leaving root once more
    const retiring = trust.renewalOf(issued);
    const at =
      retiring === undefined
        ? renewAt(issued, random())
        : clock.now() + Math.max(RETRY.initialMs, retiring.withinMs * random());
    this.#schedule(Math.max(clock.now() + MIN_WAIT_MS, at));
    this.#parts.onChange();
    return credentials;
  }

  #failed(error: unknown): never {
    this.#pending = undefined;
    const failure = unavailable(this.identity, error);
    if (this.#stop.signal.aborted) throw failure;
    const { clock, log, onChange } = this.#parts;
    const was = this.failing;
    this.#failure = error;
    const wait = this.#retry.next();
    const end = this.#issued?.notAfter;
    const left = end === undefined ? wait : end - clock.now();
    const inMs = left > 0 ? Math.max(MIN_WAIT_MS, Math.min(wait, left)) : wait;
    log[this.failing && !was ? 'error' : 'warn']('Cannot get a certificate: trying again', {
      identity: formatIdentity(this.identity),
      inMs: Math.round(inMs),
      keepsUntil: end === undefined ? undefined : new Date(end).toISOString(),
      error,
    });
    this.#schedule(clock.now() + inMs);
    onChange();
    throw failure;
  }

  #use(issued: Issued): Credentials {
    const credentials = this.#credentialsOf(issued);
    this.#credentials = credentials;
    for (const listener of this.#listeners) listener(credentials);
    return credentials;
  }

  #credentialsOf(issued: Issued): Credentials {
    const { identity, chain, keyPem, notBefore, notAfter } = issued;
    const { trust } = this.#parts;
    const roots = trust.rootsFor(issued);
    const svid = { identity, chainPem: chain.join(''), keyPem, roots, notBefore, notAfter };
    return credentialsOf(svid, trust.trustFor(identity.trustDomain));
  }

  #schedule(at: number): void {
    this.#next?.timer.cancel();
    this.#next = undefined;
    if (this.#stop.signal.aborted) return;
    const timer = this.#parts.clock.timer(Math.max(0, at - this.#parts.clock.now()), () => {
      this.#next = undefined;
      const priority = this.#issued === undefined ? 'warmup' : 'background';
      this.refresh(priority).catch(() => {});
    });
    this.#next = { at, timer };
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
