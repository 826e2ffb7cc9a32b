// Who is at the other end: the peer's certificate -> Identity, or a failure. Called by connect and accept after the TLS
// library has checked the path, the validity and the key usage. Names of hosts play no part: only SPIFFE IDs do.

import type { X509Certificate } from 'node:crypto';
import { MeshError } from '../mesh/failures.ts';
import { formatIdentity, type Identity, readIdentity, sameIdentity } from '../mesh/identity.ts';
import { uriNames } from './der.ts';

/**
 * The asking side: any URI name of the answering peer's certificate must be one of the expected identities.
 * @throws MeshError PEER_IDENTITY_MISMATCH
 */
export function verifyAnsweringPeer(
  certificate: X509Certificate | undefined,
  expected: readonly Identity[],
): Identity {
  const identities = identitiesOf(certificate);
  const match = identities.find((one) => expected.some((other) => sameIdentity(one, other)));
  if (match !== undefined) return match;
  throw new MeshError(
    'PEER_IDENTITY_MISMATCH',
    `Cannot trust the peer: its certificate names ${listOf(identities)}, expected ${listOf(expected)}`,
  );
}

/**
 * The answering side: the first URI name that is an identity, which must be of our own trust domain.
 * @throws MeshError PEER_IDENTITY_MISMATCH
 */
export function verifyAskingPeer(
  certificate: X509Certificate | undefined,
  trustDomain: string,
): Identity {
  const identities = identitiesOf(certificate);
  const [first] = identities;
  if (first?.trustDomain === trustDomain) return first;
  throw new MeshError(
    'PEER_IDENTITY_MISMATCH',
    `Cannot trust the peer: its certificate names ${listOf(identities)}, expected an identity of trust domain ${trustDomain}`,
  );
}

function identitiesOf(certificate: X509Certificate | undefined): Identity[] {
  if (certificate === undefined) {
    throw new MeshError('PEER_IDENTITY_MISMATCH', 'Cannot trust the peer: it gave no certificate');
  }
  try {
    return uriNames(certificate.raw)
      .map(readIdentity)
      .filter((identity) => identity !== undefined);
  } catch (cause) {
    throw new MeshError(
      'PEER_IDENTITY_MISMATCH',
      'Cannot trust the peer: its certificate cannot be read',
      { cause },
    );
  }
}

function listOf(identities: readonly Identity[]): string {
  return identities.length === 0 ? 'no identity' : identities.map(formatIdentity).join(', ');
}
