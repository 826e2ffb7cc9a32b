// Whom this agent believes: the bundles of discovery, and the root that its own certificates lead to. Fed by app.ts with
// each snapshot, asked by held-certificate.ts for each certificate. Invariant: a bundle that cannot be read changes
// nothing: what was believed before is believed on.

import type { TrustBundle } from '../../mesh/trust.ts';
import type { Log } from '../../runtime/log.ts';
import { bundleId, fingerprintOf, mergeRoots, splitPem } from '../../runtime/trust.ts';
import { readCrls } from '../crl.ts';
import { indexRevocations, NO_REVOCATIONS, type Revocations } from '../revocation.ts';
import type { Trust } from '../trust.ts';
import type { Issued } from './issued.ts';

/** A bundle whose roots were read, one certificate each. */
type Read = TrustBundle & { readonly id: string };

type Believed = {
  /** What it was read from, to notice a change. */
  readonly source: string;
  readonly bundles: readonly Read[];
  readonly revocations: Revocations;
};

const NOTHING: Believed = { source: '[]', bundles: [], revocations: NO_REVOCATIONS };

export class MeshTrust {
  readonly #log: Log;
  readonly #trustDomain: string;
  #believed = NOTHING;
  #error = '';
  /** Roots that were believed once and are not any more: a late answer of the CA may still be under one. */
  readonly #left = new Set<string>();

  constructor(parts: { readonly log: Log }, settings: { readonly trustDomain: string }) {
    this.#log = parts.log;
    this.#trustDomain = settings.trustDomain;
  }

  /** Returns whether anything is different from before. */
  take(bundles: Iterable<TrustBundle>): boolean {
    const all = [...bundles].toSorted((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
    const source = JSON.stringify(all);
    if (source === this.#believed.source) return false;
    try {
      const bundles = all.map((bundle) => {
        const roots = mergeRoots(bundle.roots.flatMap(splitPem));
        return { ...bundle, roots, id: bundleId(roots) };
      });
      const lists = all.flatMap(({ crls }) => readCrls(Buffer.from(crls.join(''))));
      const before = this.#believed.bundles.flatMap(({ roots }) => roots.map(fingerprintOf));
      this.#believed = { source, bundles, revocations: indexRevocations(lists) };
      for (const root of before) this.#left.add(root);
      for (const { roots } of bundles)
        for (const root of roots) this.#left.delete(fingerprintOf(root));
      this.#error = '';
    } catch (error) {
      this.#error = `Cannot read the trust bundle: ${error instanceof Error ? error.message : String(error)}`;
      this.#log.error('Cannot read the trust bundle: believing what was believed before', {
        error,
      });
      return false;
    }
    this.#log.info('Whom to believe has changed', {
      bundle: this.bundle,
      roots: this.roots.length,
      retiring: this.retiring.length,
      revoked: this.#believed.revocations.size,
      trustDomains: all.map(({ trustDomain }) => trustDomain),
    });
    return true;
  }

  /** Names the roots of our own trust domain as they were taken; empty before discovery told any. */
  get bundle(): string {
    return this.#own(this.#trustDomain)?.id ?? '';
  }

  /** The roots of our own trust domain that are about to leave. */
  get retiring(): readonly string[] {
    return this.#own(this.#trustDomain)?.retiring ?? [];
  }

  /** Why the newest bundle is not the one believed; empty when it is. */
  get error(): string {
    return this.#error;
  }

  /** Of our own trust domain, PEM; empty before discovery told any. */
  get roots(): readonly string[] {
    return this.#own(this.#trustDomain)?.roots ?? [];
  }

  /** Whether the root it is under leaves, so that it is to be renewed now, and over how long to spread that. */
  renewalOf({ identity, root }: Issued): { readonly withinMs: number } | undefined {
    const own = this.#own(identity.trustDomain);
    const leaves =
      own?.retiring.includes(root.fingerprint) === true || this.#left.has(root.fingerprint);
    return leaves ? { withinMs: own?.renewWithinMs ?? 0 } : undefined;
  }

  /**
   * The roots to believe because of this certificate. Of what the CA answered with, only the root that the chain leads to
   * counts once discovery has told: a root that has left must not live on in old answers.
   */
  rootsFor(issued: Issued): readonly string[] {
    const own = this.#own(issued.identity.trustDomain);
    return own === undefined ? issued.roots : [issued.root.pem];
  }

  /** What to believe besides, in handshakes of an identity of that trust domain. */
  trustFor(trustDomain: string): Trust {
    const { bundles, revocations } = this.#believed;
    const own = this.#own(trustDomain);
    const names = own === undefined ? [] : [own.trustDomain, ...own.aliases];
    const roots = new Map(bundles.map((bundle) => [bundle.trustDomain, bundle.roots]));
    // under an alias it is still our own domain
    if (own !== undefined) roots.set(trustDomain, own.roots);
    return {
      aliases: names.filter((name) => name !== trustDomain),
      bundles: roots,
      revocations,
    };
  }

  #own(trustDomain: string): Read | undefined {
    return this.#believed.bundles.find(
      (bundle) => bundle.trustDomain === trustDomain || bundle.aliases.includes(trustDomain),
    );
  }
}
