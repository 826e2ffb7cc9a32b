// A certificate authority for tests: SVIDs of any identity, of any lifetime, from any number of roots. Called by tests only.

import 'reflect-metadata';
import { createPrivateKey, KeyObject, randomUUID, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { formatIdentity, type Identity, parseIdentity } from '../mesh/identity.ts';
import { type Credentials, credentialsOf, type Svid } from './contexts.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const AUTHORITY_EXTENSIONS = [
  new x509.BasicConstraintsExtension(true, undefined, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
];

export type TestCa = {
  readonly rootPem: string;
  svid(identity: Identity | string, options?: IssueOptions): Promise<Svid>;
  credentials(identity: Identity | string, options?: IssueOptions): Promise<Credentials>;
  /** Under this one; what it issues brings its certificate along. */
  intermediate(options?: IssueOptions): Promise<TestCa>;
  /** Its list of revoked certificates, in PEM. */
  crl(revoked: readonly (Svid | TestCa)[]): Promise<string>;
  /** The certificate it issues with: the root's, or the intermediate's. */
  readonly certificatePem: string;
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
  /** True for a leaf that says it is an authority, false for an intermediate that does not. */
  readonly isAuthority?: boolean;
  /** The leaf's own key, instead of ECDSA P-256. */
  readonly keys?: webcrypto.RsaHashedKeyGenParams | webcrypto.EcKeyGenParams;
  /** What the certificate is signed with, instead of SHA-256. */
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-384';
};

type Authority = {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly rootPem: string;
  /** What a leaf brings along: the intermediates, not the root. */
  readonly chain: readonly string[];
};

/** With a root of its own, or with `kept`: somebody's P-256 root and its key. */
export async function createTestCa(kept?: {
  readonly certificatePem: string;
  readonly keyPem: string;
}): Promise<TestCa> {
  return testCaOf(await (kept === undefined ? newRoot() : readRoot(kept)));
}

function testCaOf(authority: Authority): TestCa {
  const { rootPem, chain } = authority;
  const svid = async (identity: Identity | string, options: IssueOptions = {}): Promise<Svid> => {
    const own = await webcrypto.subtle.generateKey(options.keys ?? ALGORITHM, true, [
      'sign',
      'verify',
    ]);
    const id = typeof identity === 'string' ? parseIdentity(identity) : identity;
    const leaf = await issue(authority, own.publicKey, id, options);
    return {
      identity: id,
      chainPem: [pemOf(leaf), ...chain].join(''),
      keyPem: KeyObject.from(own.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string,
      roots: [rootPem],
      notBefore: leaf.notBefore.getTime(),
      notAfter: leaf.notAfter.getTime(),
    };
  };
  return {
    rootPem,
    certificatePem: pemOf(authority.certificate),
    svid,
    async credentials(identity, options) {
      return credentialsOf(await svid(identity, options));
    },
    async intermediate(options) {
      const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
      const certificate = await issueAuthority(authority, keys.publicKey, options);
      return testCaOf({
        certificate,
        key: keys.privateKey,
        rootPem,
        chain: [pemOf(certificate), ...chain],
      });
    },
    async crl(revoked) {
      const list = await x509.X509CrlGenerator.create({
        issuer: authority.certificate.subject,
        thisUpdate: new Date(),
        nextUpdate: new Date(Date.now() + DAY_MS),
        entries: revoked.map((one) => ({
          serialNumber: new x509.X509Certificate(
            'certificatePem' in one ? one.certificatePem : one.chainPem,
          ).serialNumber,
        })),
        signingKey: authority.key,
        signingAlgorithm: ALGORITHM,
      });
      return `${list.toString('pem').replaceAll(' CRL-', ' X509 CRL-')}\n`;
    },
    async sign(csrPem, identity, options = {}) {
      const csr = new x509.Pkcs10CertificateRequest(csrPem);
      const id = typeof identity === 'string' ? parseIdentity(identity) : identity;
      return pemOf(await issue(authority, csr.publicKey, id, options));
    },
  };
}

async function issue(
  issuer: Authority,
  publicKey: x509.PublicKeyType,
  identity: Identity,
  options: IssueOptions,
): Promise<x509.X509Certificate> {
  const uris = options.uris ?? [formatIdentity(identity)];
  const usages = options.usages ?? ['serverAuth', 'clientAuth'];
  return x509.X509CertificateGenerator.create({
    subject: '',
    ...signedBy(issuer, options),
    publicKey,
    notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS / 2),
    extensions: [
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
      new x509.BasicConstraintsExtension(options.isAuthority ?? false, undefined, true),
      new x509.ExtendedKeyUsageExtension(usages.map((usage) => x509.ExtendedKeyUsage[usage])),
      new x509.SubjectAlternativeNameExtension(
        uris.map((value) => ({ type: 'url' as const, value })),
        true,
      ),
    ],
  });
}

async function issueAuthority(
  issuer: Authority,
  publicKey: x509.PublicKeyType,
  options: IssueOptions = {},
): Promise<x509.X509Certificate> {
  return x509.X509CertificateGenerator.create({
    // a name of its own: one that names its issuer would count as self-signed
    subject: `O=test, CN=${randomUUID()}`,
    ...signedBy(issuer, options),
    publicKey,
    notAfter: options.notAfter ?? new Date(Date.now() + DAY_MS / 2),
    extensions: [
      ...(options.isAuthority === false ? [] : AUTHORITY_EXTENSIONS),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
}

function signedBy(
  { certificate, key }: Authority,
  { hash = 'SHA-256', notBefore = new Date(Date.now() - 120_000) }: IssueOptions,
): { issuer: string; signingKey: webcrypto.CryptoKey; signingAlgorithm: object; notBefore: Date } {
  const signingAlgorithm = { ...ALGORITHM, hash };
  return { issuer: certificate.subject, signingKey: key, signingAlgorithm, notBefore };
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

async function newRoot(): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=test',
    keys,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: ALGORITHM,
    extensions: [
      ...AUTHORITY_EXTENSIONS,
      // all test roots have one name: by this they are told apart
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate, key: keys.privateKey, rootPem: pemOf(certificate), chain: [] };
}

async function readRoot(kept: { certificatePem: string; keyPem: string }): Promise<Authority> {
  const der = createPrivateKey(kept.keyPem).export({ type: 'pkcs8', format: 'der' });
  const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
  const certificate = new x509.X509Certificate(kept.certificatePem);
  return { certificate, key, rootPem: pemOf(certificate), chain: [] };
}
