// Whom we are talking to: checks that a TLS server's certificate names the expected identity. Used by the clients of the
// CA and the control plane, instead of a check of host names, after the path to the root was verified.

import type { PeerCertificate } from 'node:tls';
import { formatIdentity, type Identity } from '../mesh/identity.ts';

/** For the `checkServerIdentity` option of TLS. */
export function expectIdentity(
  identity: Identity,
): (host: string, certificate: PeerCertificate) => Error | undefined {
  const expected = formatIdentity(identity);
  return (host, certificate) => {
    const names = uriNames(certificate.subjectaltname);
    if (names.includes(expected)) return undefined;
    const found = names.length === 0 ? 'no identity' : names.join(', ');
    return new Error(
      `Cannot trust the server at ${host}: its certificate names ${found}, expected ${expected}`,
    );
  };
}

/**
 * The URI names in Node's joined text of a certificate's alternative names. Node quotes a name with odd characters, and
 * such a name could be made to look like two: with a quote anywhere nothing is believed.
 */
export function uriNames(alternativeNames: string | undefined): string[] {
  if (alternativeNames === undefined || alternativeNames.includes('"')) return [];
  return alternativeNames
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length));
}
