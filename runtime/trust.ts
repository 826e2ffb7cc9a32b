// Roots as values: split from PEM, named by fingerprint, a bundle named by what is in it. Used by the CA, which drives
// a rotation by these names, the control plane, which hands bundles out, and the agents, which say what they have.

import { createHash, X509Certificate } from 'node:crypto';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Each certificate of a PEM text, each ending in a newline so that they may be joined. */
export function splitPem(text: string): string[] {
  return (text.match(CERTIFICATE) ?? []).map((one) => `${one}\n`);
}

/** SHA-256 of the certificate's DER bytes, lower-case hexadecimal. @throws Error when it cannot be read */
export function fingerprintOf(certificate: string | X509Certificate): string {
  const parsed = typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;
  return parsed.fingerprint256.replaceAll(':', '').toLowerCase();
}

/** The same for the same roots in any order and any spelling of their PEM. @throws Error when one cannot be read */
export function bundleId(roots: readonly string[]): string {
  const names = [...new Set(roots.map(fingerprintOf))].toSorted();
  return createHash('sha256').update(names.join(' ')).digest('hex').slice(0, 16);
}

/** Roots without repetition, in their order. @throws Error when one cannot be read */
export function mergeRoots(...bundles: readonly (readonly string[])[]): string[] {
  return [...new Map(bundles.flat().map((root) => [fingerprintOf(root), root])).values()];
}

/** Which of `roots` the top of a chain (leaf first, PEM) leads to; undefined: none. @throws Error as above */
export function rootOf(chain: readonly string[], roots: readonly string[]): string | undefined {
  const top = new X509Certificate(chain.at(-1) ?? '');
  return roots.find((pem) => {
    const root = new X509Certificate(pem);
    // a chain may bring its root along
    if (root.fingerprint256 === top.fingerprint256) return true;
    return top.checkIssued(root) && top.verify(root.publicKey);
  });
}
