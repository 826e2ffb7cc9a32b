// The cluster's own certificate authority: made at start, signs the server, the admin and whoever the sandbox asks for.
// Keys are ECDSA P-256. Its key lives in memory only.

import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

export type KeyPair = { readonly certPem: string; readonly keyPem: string };

export type CertificateRequest = {
  /** The user name of a client certificate. */
  readonly commonName: string;
  /** The groups of a client certificate. */
  readonly organizations?: readonly string[];
  /** DNS names and IP addresses a serving certificate is good for. */
  readonly hosts?: readonly string[];
};

export interface Authority {
  readonly caPem: string;
  issue(request: CertificateRequest): Promise<KeyPair>;
}

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
/** A sandbox lives for hours; a year leaves room for one that was forgotten. */
const LIFETIME_MS = 365 * 24 * 3_600_000;
/** Clocks of one machine agree, those of a container and its host nearly so. */
const BACKDATE_MS = 300_000;

export async function createAuthority(now: number): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const dates = { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + LIFETIME_MS) };
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=ambit-sandbox-ca',
    ...dates,
    signingAlgorithm: SIGNATURE,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    caPem: withNewline(root.toString('pem')),
    async issue({ commonName, organizations = [], hosts = [] }) {
      const leafKeys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial(),
        subject: new x509.Name([
          ...organizations.map((organization) => ({ O: [organization] })),
          { CN: [commonName] },
        ]),
        issuer: root.subject,
        ...dates,
        signingAlgorithm: SIGNATURE,
        signingKey: keys.privateKey,
        publicKey: leafKeys.publicKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.clientAuth,
            ...(hosts.length > 0 ? [x509.ExtendedKeyUsage.serverAuth] : []),
          ]),
          ...(hosts.length > 0
            ? [
                new x509.SubjectAlternativeNameExtension(
                  [...new Set(hosts)].map((host) => ({
                    type: isIP(host) > 0 ? 'ip' : 'dns',
                    value: host,
                  })),
                ),
              ]
            : []),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
      });
      const key = await webcrypto.subtle.exportKey('pkcs8', leafKeys.privateKey);
      return {
        certPem: withNewline(certificate.toString('pem')),
        keyPem: withNewline(x509.PemConverter.encode(key, 'PRIVATE KEY')),
      };
    },
  };
}

/** The library's PEM has no newline at its end, which breaks concatenation. */
function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}

function serial(): string {
  // the top bit is cleared: a serial number is a positive integer
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('hex');
}
