// Who is believed: which trust domains, under which roots, and what has been revoked. Made by contexts.ts with each
// Credentials, asked by verify.ts at each handshake. Invariant: a peer of a trust domain is only believed under that
// domain's own roots, so one domain's authority can never name a workload of another.

import { X509Certificate } from 'node:crypto';
import { splitPem } from '../runtime/trust.ts';
import { NO_REVOCATIONS, type Revocations } from './revocation.ts';

/** What the mesh believes besides a workload's own certificate; the same for all identities of a process. */
export type Trust = {
  /** Other names of our own trust domain: an identity under one of them is the same identity. */
  readonly aliases: readonly string[];
  /** PEM roots by trust domain. Those under our own domain's name are believed besides the SVID's. */
  readonly bundles: ReadonlyMap<string, readonly string[]>;
  readonly revocations: Revocations;
};

/** Our own trust domain under the SVID's roots, nothing else. */
export const OWN_TRUST: Trust = { aliases: [], bundles: new Map(), revocations: NO_REVOCATIONS };

/** Intermediates a peer may send; the TLS library reads no more either. */
const MAX_PATH = 8;

export class PeerTrust {
  readonly revocations: Revocations;
  /** Every root, for the TLS library, which knows of no trust domains. */
  readonly rootsPem: readonly string[];
  readonly #names: ReadonlySet<string>;
  /** Our own: peers under the same authority have the same. */
  readonly #intermediates: readonly X509Certificate[];
  readonly #roots: ReadonlyMap<string, readonly X509Certificate[]>;

  /** @throws Error when a root cannot be read */
  constructor(
    own: { trustDomain: string; chainPem: string; roots: readonly string[] },
    trust: Trust,
  ) {
    this.#intermediates = certificatesIn(own.chainPem).slice(1);
    this.revocations = trust.revocations;
    this.#names = new Set([own.trustDomain, ...trust.aliases]);
    const bundles = new Map(trust.bundles);
    const ours = [...own.roots, ...(bundles.get(own.trustDomain) ?? [])];
    // an alias has no roots of its own: it is our domain
    for (const name of this.#names) bundles.set(name, ours);
    this.rootsPem = [...new Set([...bundles.values()].flat())];
    const parsed = new Map(
      [...new Set(bundles.values())].map((roots) => [roots, roots.flatMap(certificatesIn)]),
    );
    this.#roots = new Map([...bundles].map(([name, roots]) => [name, parsed.get(roots) ?? []]));
  }

  get trustDomains(): string[] {
    return [...this.#roots.keys()];
  }

  knows(trustDomain: string): boolean {
    return this.#roots.has(trustDomain);
  }

  /** Whether both are our own trust domain, or one and the same other. */
  sameDomain(a: string, b: string): boolean {
    return a === b || (this.#names.has(a) && this.#names.has(b));
  }

  /** False while the TLS library's own check says it all: there are one domain's roots only. */
  get tellsDomainsApart(): boolean {
    return new Set(this.#roots.values()).size > 1;
  }

  /**
   * The way from a leaf the TLS library has verified to a root of `trustDomain`: leaf first, root last. Undefined when
   * it leads to roots of other domains only, or through intermediates we do not know: an answering end is not shown by
   * Node what a peer sent besides its leaf, so those must be in the bundle. `now` is in unix milliseconds.
   */
  pathTo(trustDomain: string, leaf: X509Certificate, now: number): X509Certificate[] | undefined {
    const roots = this.#roots.get(trustDomain) ?? [];
    const sent = [...intermediatesOf(leaf), ...this.#intermediates];
    const path = [leaf];
    for (let at = leaf; path.length <= MAX_PATH; ) {
      const root = roots.find((one) => isIssuer(one, at));
      if (root !== undefined && isSelfSigned(root)) return [...path, root];
      // an intermediate may stand in the bundle, or come from the peer, which nobody has vouched for yet
      const next =
        root ??
        sent.find(
          (one) => !path.includes(one) && isCurrentAuthority(one, now) && isIssuer(one, at),
        );
      if (next === undefined) return undefined;
      path.push(next);
      at = next;
    }
    return undefined;
  }
}

/** Every certificate in a PEM text. @throws Error when one cannot be read */
export function certificatesIn(pem: string): X509Certificate[] {
  return splitPem(pem).map((one) => new X509Certificate(one));
}

function intermediatesOf(leaf: X509Certificate): X509Certificate[] {
  const found: X509Certificate[] = [];
  for (let at = leaf.issuerCertificate; at !== undefined && found.length < MAX_PATH; ) {
    found.push(at);
    at = at.issuerCertificate;
  }
  return found;
}

function isIssuer(issuer: X509Certificate, subject: X509Certificate): boolean {
  return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
}

function isCurrentAuthority(certificate: X509Certificate, now: number): boolean {
  const { ca, validFromDate, validToDate } = certificate;
  return ca && validFromDate.getTime() <= now && now <= validToDate.getTime();
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate);
}
