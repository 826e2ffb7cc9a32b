// Which certificates are revoked: an index over any number of revocation lists, asked at every handshake and again for
// every live tunnel when the lists change. Called by verify.ts and by the two ends of a tunnel. Invariant: a certificate
// that no list of its issuer names is accepted (as the reference does); a named one is not, whatever else speaks for it.

import type { X509Certificate } from 'node:crypto';
import { type Crl, isSignedBy } from './crl.ts';
import { issuerAndSerial } from './der.ts';

/** Asked with a verified path: leaf first, each followed by its issuer, the root last when it is known. */
export type Revocations = {
  /** Certificates that are named, over all lists. */
  readonly size: number;
  /** The first certificate of the path that its issuer has revoked; never throws. */
  find(path: readonly X509Certificate[]): Revoked | undefined;
};

/** `serial` is hexadecimal, as `openssl x509 -serial` shows it. */
export type Revoked = { readonly serial: string; readonly place: 'leaf' | 'intermediate' };

/** Nothing is revoked. */
export const NO_REVOCATIONS: Revocations = { size: 0, find: () => undefined };

export function indexRevocations(lists: readonly Crl[]): Revocations {
  const byIssuer = new Map<string, Crl[]>();
  let size = 0;
  for (const list of lists) {
    size += list.serials.size;
    const same = byIssuer.get(list.issuer);
    if (same === undefined) byIssuer.set(list.issuer, [list]);
    else same.push(list);
  }
  if (size === 0) return NO_REVOCATIONS;
  const names = (certificate: X509Certificate, issuer: X509Certificate | undefined): boolean => {
    const { issuer: name, serial } = issuerAndSerial(certificate.raw);
    return (byIssuer.get(name) ?? []).some(
      (list) =>
        list.serials.has(serial) &&
        // two roots may share a name, one after the other: a list counts for the key that signed it
        (issuer === undefined || isSignedBy(list, issuer)),
    );
  };
  return {
    size,
    find(path) {
      for (const [at, certificate] of path.entries()) {
        const issuer = path[at + 1];
        // a root has no issuer but itself: who does not believe it any more takes it out of the bundle
        if (issuer === undefined && at > 0 && certificate.checkIssued(certificate)) continue;
        if (!names(certificate, issuer)) continue;
        return { serial: certificate.serialNumber, place: at === 0 ? 'leaf' : 'intermediate' };
      }
      return undefined;
    },
  };
}
