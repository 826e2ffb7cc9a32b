// Who is at the other end: the peer's certificate -> Identity, or a failure. Called by connect and accept after the TLS
// library has checked the path, the validity and the key usage. Names of hosts play no part: only SPIFFE IDs do.

import type { X509Certificate } from 'node:crypto';
import { MeshError } from '../mesh/failures.ts';
import { formatIdentity, type Identity, readIdentity, sameIdentity } from '../mesh/identity.ts';
import { uriNames } from './der.ts';
import type { PeerTrust } from './trust.ts';

/** A peer whose certificate was found good; the certificate stays for later lists of revoked ones. */
export type VerifiedPeer = { readonly identity: Identity; readonly certificate: X509Certificate };

/** `now` in unix milliseconds. */
type Verifying = { readonly trust: PeerTrust; readonly now: number };

/**
 * The asking side: any URI name of the answering peer's certificate must be one of the expected identities.
 * @throws MeshError PEER_IDENTITY_MISMATCH, CERT_REVOKED
 */
export function verifyAnsweringPeer(
  certificate: X509Certificate | undefined,
  expected: readonly Identity[],
  verifying: Verifying,
): VerifiedPeer {
  const { leaf, identities } = identitiesOf(certificate);
  const { trust } = verifying;
  const identity = identities.find((one) => expected.some((other) => isSame(one, other, trust)));
  if (identity === undefined) {
    throw mismatch(`its certificate names ${listOf(identities)}, expected ${listOf(expected)}`);
  }
  return verifyPath({ identity, certificate: leaf }, verifying);
}

/**
 * The answering side: the first URI name that is an identity, which must be of a trust domain we know.
 * @throws MeshError PEER_IDENTITY_MISMATCH, CERT_REVOKED
 */
export function verifyAskingPeer(
  certificate: X509Certificate | undefined,
  verifying: Verifying,
): VerifiedPeer {
  const { leaf, identities } = identitiesOf(certificate);
  const [identity] = identities;
  if (identity === undefined || !verifying.trust.knows(identity.trustDomain)) {
    const known = verifying.trust.trustDomains.join(', ');
    throw mismatch(
      `its certificate names ${listOf(identities)}, expected an identity of trust domain ${known}`,
    );
  }
  return verifyPath({ identity, certificate: leaf }, verifying);
}

/** Asked again for a live tunnel's peer when the lists of revoked certificates change. */
export function revokedPeer(
  { identity, certificate }: VerifiedPeer,
  { trust, now }: Verifying,
): MeshError | undefined {
  if (trust.revocations.size === 0) return undefined;
  const path = trust.pathTo(identity.trustDomain, certificate, now) ?? [certificate];
  const revoked = trust.revocations.find(path);
  if (revoked === undefined) return undefined;
  return new MeshError(
    'CERT_REVOKED',
    `Cannot trust ${formatIdentity(identity)}: its ${revoked.place} certificate, serial number ${revoked.serial}, is revoked`,
  );
}

/** What the TLS library's own check of a certificate found; its codes are OpenSSL's names. */
export function codeOfVerification(
  verdict: string | undefined,
): 'TLS_FAILURE' | 'CERT_EXPIRED' | 'CERT_NOT_YET_VALID' {
  if (verdict === 'CERT_HAS_EXPIRED') return 'CERT_EXPIRED';
  return verdict === 'CERT_NOT_YET_VALID' ? verdict : 'TLS_FAILURE';
}

function verifyPath(peer: VerifiedPeer, verifying: Verifying): VerifiedPeer {
  const { trust, now } = verifying;
  const { trustDomain } = peer.identity;
  if (trust.tellsDomainsApart && trust.pathTo(trustDomain, peer.certificate, now) === undefined) {
    throw mismatch(
      `its certificate names ${formatIdentity(peer.identity)}, but no root of ${trustDomain} stands behind it`,
    );
  }
  const revoked = revokedPeer(peer, verifying);
  if (revoked !== undefined) throw revoked;
  return peer;
}

function isSame(a: Identity, b: Identity, trust: PeerTrust): boolean {
  if (!trust.sameDomain(a.trustDomain, b.trustDomain)) return false;
  return sameIdentity({ ...a, trustDomain: b.trustDomain }, b);
}

function identitiesOf(certificate: X509Certificate | undefined): {
  leaf: X509Certificate;
  identities: Identity[];
} {
  if (certificate === undefined) throw mismatch('it gave no certificate');
  // whoever holds an authority's key may name anybody: it is no workload's
  if (certificate.ca) throw mismatch('its certificate is an authority’s');
  try {
    const names = uriNames(certificate.raw);
    const identities = names.map(readIdentity).filter((identity) => identity !== undefined);
    return { leaf: certificate, identities };
  } catch (cause) {
    throw mismatch('its certificate cannot be read', cause);
  }
}

function mismatch(why: string, cause?: unknown): MeshError {
  return new MeshError('PEER_IDENTITY_MISMATCH', `Cannot trust the peer: ${why}`, { cause });
}

function listOf(identities: readonly Identity[]): string {
  return identities.length === 0 ? 'no identity' : identities.map(formatIdentity).join(', ');
}
