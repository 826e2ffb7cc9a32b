// A certificate authority for tests: SVIDs of any identity, of any lifetime, from any number of roots. Called by tests only.

import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { formatIdentity, type Identity, parseIdentity } from '../mesh/identity.ts';
import { type Credentials, credentialsOf, type Svid } from './contexts.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

export type TestCa = {
  readonly rootPem: string;
  svid(identity: Identity | string, options?: IssueOptions): Promise<Svid>;
  credentials(identity: Identity | string, options?: IssueOptions): Promise<Credentials>;
  /** Signs somebody else's CSR, as a CA's service does. */
  sign(csrPem: string, identity: Identity | string, options?: IssueOptions): Promise<string>;
};

export type IssueOptions = {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Instead of the identity's own: the URI names to put in. */
  readonly uris?: readonly string[];
  /** Instead of both. */
  readonly usages?: readonly ('serverAuth' | 'clientAuth')[];
};

type Root = { readonly certificate: x509.X509Certificate; readonly key: webcrypto.CryptoKey };

/** With a root of its own, or with `kept`: somebody's P-256 root and its key. */
export async function createTestCa(kept?: {
  readonly certificatePem: string;
  readonly keyPem: string;
}): Promise<TestCa> {
  const { certificate: root, key: signingKey } = await (kept === undefined
    ? newRoot()
    : readRoot(kept));
  const rootPem = `${root.toString('pem')}\n`;
  const issue = async (
    publicKey: x509.PublicKeyType,
    identity: Identity | string,
    options: IssueOptions = {},
  ): Promise<x509.X509Certificate> => {
    const id = typeof identity === 'string' ? parseIdentity(identity) : identity;
    const uris = options.uris ?? [formatIdentity(id)];
    const usages = options.usages ?? ['serverAuth', 'clientAuth'];
    return x509.X509CertificateGenerator.create({
      subject: '',
      issuer: root.subject,
      publicKey,
      signingKey,
      signingAlgorithm: ALGORITHM,
      notBefore: options.notBefore ?? new Date(Date.now() - 120_000),
      notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS / 2),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[usage])),
        new x509.SubjectAlternativeNameExtension(
          uris.map((value) => ({ type: 'url' as const, value })),
          true,
        ),
      ],
    });
  };
  const svid = async (identity: Identity | string, options?: IssueOptions): Promise<Svid> => {
    const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
    const leaf = await issue(own.publicKey, identity, options);
    return {
      identity: typeof identity === 'string' ? parseIdentity(identity) : identity,
      chainPem: `${leaf.toString('pem')}\n`,
      keyPem: KeyObject.from(own.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
      roots: [rootPem],
      notBefore: leaf.notBefore.getTime(),
      notAfter: leaf.notAfter.getTime(),
    };
  };
  return {
    rootPem,
    svid,
    async credentials(identity, options) {
      return credentialsOf(await svid(identity, options));
    },
    async sign(csrPem, identity, options) {
      const csr = new x509.Pkcs10CertificateRequest(csrPem);
      const leaf = await issue(csr.publicKey, identity, options);
      return `${leaf.toString('pem')}\n`;
    },
  };
}

async function newRoot(): Promise<Root> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=test',
    keys,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
    ],
  });
  return { certificate, key: keys.privateKey };
}

async function readRoot(kept: { certificatePem: string; keyPem: string }): Promise<Root> {
  const der = createPrivateKey(kept.keyPem).export({ type: 'pkcs8', format: 'der' });
  const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
  return { certificate: new x509.X509Certificate(kept.certificatePem), key };
}
