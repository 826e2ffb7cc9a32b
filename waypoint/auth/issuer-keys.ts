// The keys that issuers sign with: inline in the policy, or fetched from where they are published and kept. Called by
// verify-token.ts. Invariants: one fetch at a time for one address; an issuer that is away costs one try a cooldown, and
// its last keys hold on meanwhile; keys that cannot be had are no keys, never others.

import { createLocalJWKSet, type LocalJWKSet } from 'jose';
import type { KeySource } from '../../mesh/request-authentication.ts';
import { orAborted } from '../../runtime/aborted.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';

/** Real key sets have a few kB. */
const MAX_BYTES = 1024 * 1024;
const MAX_KEYS = 100;
/** As the reference has it. */
const FRESH_MS = 20 * 60_000;
/** From here on a request asks for the next fetch, and does not wait for it. */
const AHEAD_MS = 15 * 60_000;
/** The least time between two fetches, whatever tokens ask for. */
const COOLDOWN_MS = 30_000;
/** An issuer may be away that long; after it, keys that it has taken back long ago may be among those kept. */
const MAX_STALE_MS = 24 * 60 * 60_000;
/** Where OpenID issuers say where their keys are (OpenID Connect Discovery section 4). */
const CONFIGURATION = '/.well-known/openid-configuration';

/** The body of a 200. @throws Error that says what went wrong */
export type FetchBody = (
  url: string,
  limits: { readonly maxBytes: number },
  signal: AbortSignal,
) => Promise<Uint8Array>;

export type KeySet = {
  readonly find: LocalJWKSet;
  /** Another one for each set: what was verified by one set is not by the next. */
  readonly generation: number;
};

export type KeyParts = { readonly clock: Clock; readonly log: Log; readonly fetch: FetchBody };

export class IssuerKeys {
  readonly #parts: KeyParts;
  readonly #remote = new Map<string, RemoteKeys>();
  readonly #inline = new Map<string, KeySet>();

  constructor(parts: KeyParts) {
    this.#parts = parts;
  }

  /** @throws Error that says why there are none */
  async current(source: KeySource): Promise<KeySet> {
    return source.kind === 'inline' ? this.#read(source.jwks) : this.#of(source).current();
  }

  /** Another set than `known`, if a fetch is due: a key was asked for that is not in it. */
  async newer(source: KeySource, known: KeySet): Promise<KeySet | undefined> {
    return source.kind === 'inline' ? undefined : this.#of(source).newer(known);
  }

  /** Forgets what no rule asks for any more, with the fetches that are under way. */
  retain(sources: readonly KeySource[]): void {
    const wanted = new Set(sources.map(nameOf));
    for (const [name, keys] of this.#remote) {
      if (wanted.has(name)) continue;
      this.#remote.delete(name);
      keys.close();
    }
    for (const jwks of this.#inline.keys()) if (!wanted.has(jwks)) this.#inline.delete(jwks);
  }

  close(): void {
    this.retain([]);
  }

  #read(jwks: string): KeySet {
    const known = this.#inline.get(jwks);
    if (known !== undefined) return known;
    const set = { find: readKeys(jwks), generation: 0 };
    this.#inline.set(jwks, set);
    return set;
  }

  #of(source: RemoteSource): RemoteKeys {
    const name = nameOf(source);
    let keys = this.#remote.get(name);
    if (keys === undefined) {
      keys = new RemoteKeys(this.#parts, source);
      this.#remote.set(name, keys);
    }
    return keys;
  }
}

type RemoteSource = Exclude<KeySource, { readonly kind: 'inline' }>;

function nameOf(source: KeySource): string {
  switch (source.kind) {
    case 'inline':
      return source.jwks;
    case 'fetched':
      return `${source.timeoutMs} ${source.uri}`;
    case 'discovered':
      return `${source.timeoutMs} ${configurationOf(source.issuer)}`;
  }
}

class RemoteKeys {
  readonly #parts: KeyParts;
  readonly #source: RemoteSource;
  readonly #closing = new AbortController();
  #known: { readonly set: KeySet; readonly at: number } | undefined;
  #underWay: Promise<void> | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failure = 'they were not asked for yet';
  #generation = 0;

  constructor(parts: KeyParts, source: RemoteSource) {
    this.#parts = parts;
    this.#source = source;
  }

  async current(): Promise<KeySet> {
    const age = this.#age();
    if (age >= AHEAD_MS) {
      const fetched = this.#fetch();
      if (age >= FRESH_MS) await fetched;
    }
    if (this.#known !== undefined && this.#age() < MAX_STALE_MS) return this.#known.set;
    throw new Error(`The keys of ${addressOf(this.#source)} are not to be had: ${this.#failure}`);
  }

  async newer(known: KeySet): Promise<KeySet | undefined> {
    if (this.#known?.set === known) await this.#fetch();
    return this.#known?.set === known ? undefined : this.#known?.set;
  }

  close(): void {
    this.#closing.abort(new Error('no policy asks for these keys any more'));
  }

  #age(): number {
    const { clock } = this.#parts;
    return this.#known === undefined
      ? Number.POSITIVE_INFINITY
      : clock.monotonic() - this.#known.at;
  }

  /** Never throws: what comes of it is in #known and #failure. */
  #fetch(): Promise<void> {
    const { clock, log } = this.#parts;
    if (this.#underWay !== undefined) return this.#underWay;
    if (clock.monotonic() - this.#triedAt < COOLDOWN_MS) return Promise.resolve();
    this.#triedAt = clock.monotonic();
    this.#underWay = this.#load()
      .then(
        (find) => {
          this.#generation++;
          const set = { find, generation: this.#generation };
          this.#known = { set, at: clock.monotonic() };
        },
        (error: unknown) => {
          this.#failure = error instanceof Error ? error.message : String(error);
          const address = addressOf(this.#source);
          log.warn('Cannot fetch the keys of an issuer', { address, error });
        },
      )
      .finally(() => {
        this.#underWay = undefined;
      });
    return this.#underWay;
  }

  async #load(): Promise<LocalJWKSet> {
    const { clock } = this.#parts;
    const late = new AbortController();
    const { timeoutMs } = this.#source;
    const timer = clock.timer(timeoutMs, () =>
      late.abort(new Error(`no answer in ${timeoutMs} ms`)),
    );
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    try {
      // whoever fetches may not hear of the signal in time
      return readKeys(await orAborted(this.#body(signal), signal));
    } finally {
      timer.cancel();
      late.abort();
    }
  }

  async #body(signal: AbortSignal): Promise<string> {
    const source = this.#source;
    if (source.kind === 'fetched') return this.#text(source.uri, signal);
    const told = readJson(await this.#text(configurationOf(source.issuer), signal));
    const { issuer, jwks_uri: uri } = (told ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
    if (issuer !== source.issuer) throw new Error('its configuration is of another issuer');
    if (typeof uri !== 'string' || !/^https?:\/\//.test(uri)) {
      throw new Error('its configuration names no jwks_uri');
    }
    return this.#text(uri, signal);
  }

  async #text(url: string, signal: AbortSignal): Promise<string> {
    const body = await this.#parts.fetch(url, { maxBytes: MAX_BYTES }, signal);
    if (body.length > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  }
}

function addressOf(source: RemoteSource): string {
  return source.kind === 'fetched' ? source.uri : configurationOf(source.issuer);
}

function configurationOf(issuer: string): string {
  return issuer.replace(/\/$/, '') + CONFIGURATION;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error('the answer is no JSON');
  }
}

/** @throws Error that says what is wrong with them */
export function readKeys(text: string): LocalJWKSet {
  const { keys } = (readJson(text) ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('the answer is no key set');
  if (keys.length > MAX_KEYS) throw new Error(`${keys.length} keys, more than ${MAX_KEYS}`);
  return createLocalJWKSet({ keys });
}
