// What signs: a CA certificate with its key, the chain above it and the roots to hand out. Made new, or read from PEM
// (a kept root, or an intermediate that a user plugged in). Used by root.ts, which keeps it, and issue.ts, which signs.

import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  KeyObject,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import * as x509 from '@peculiar/x509';

export type Signer = {
  /** The certificate that signs. */
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly signingAlgorithm: webcrypto.EcdsaParams | webcrypto.AlgorithmIdentifier;
  /** From the signing certificate up, without roots: what goes between leaf and root. */
  readonly intermediatesPem: readonly string[];
  /** The trust bundle: one or more PEM certificates in one text. */
  readonly rootsPem: string;
  /** Unix ms: the earliest end of validity in the chain. */
  readonly notAfter: number;
};
export type SignerPem = { readonly chain: string; readonly key: string; readonly roots?: string };

const EC_P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// Nodes' clocks may be behind ours: the same allowance as for workload certificates.
const SKEW_MS = 120_000;

/** A new self-signed root; its PEM is all that need be kept. */
export async function makeRoot(settings: {
  readonly trustDomain: string;
  readonly now: number;
  readonly ttlMs: number;
}): Promise<SignerPem> {
  const keys = await webcrypto.subtle.generateKey(EC_P256, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    // the organisation is the trust domain, as users of the reference's CA are used to
    name: new x509.Name([{ O: [settings.trustDomain] }, { CN: ['Ambit root'] }]),
    keys,
    signingAlgorithm: EC_P256,
    notBefore: new Date(settings.now - SKEW_MS),
    notAfter: new Date(settings.now + settings.ttlMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { chain: `${root.toString('pem')}\n`, key: String(key) };
}

/** @throws Error that says what of the PEM cannot be used */
export async function readSigner(pem: SignerPem): Promise<Signer> {
  const chain = splitPem(pem.chain);
  const [signing] = chain;
  if (signing === undefined) throw new Error('it holds no certificate');
  const certificate = new X509Certificate(signing);
  if (!certificate.ca) throw new Error('its first certificate is not one of a CA');
  const key = createPrivateKey(pem.key);
  if (!certificate.checkPrivateKey(key)) {
    throw new Error('its key is not the one of its first certificate');
  }
  const isRoot = (one: string): boolean => {
    const parsed = new X509Certificate(one);
    return parsed.checkIssued(parsed);
  };
  const roots = pem.roots === undefined ? chain.filter(isRoot) : splitPem(pem.roots);
  if (roots.length === 0) {
    throw new Error('it holds no root: add the root to the end of tls.crt, or as ca.crt');
  }
  const ends = chain.map((one) => new X509Certificate(one).validToDate.getTime());
  const { importAs, signWith } = algorithmsOf(key);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return {
    certificate: new x509.X509Certificate(signing),
    key: await webcrypto.subtle.importKey('pkcs8', der, importAs, false, ['sign']),
    signingAlgorithm: signWith,
    intermediatesPem: chain.filter((one) => !isRoot(one)),
    rootsPem: roots.join(''),
    notAfter: Math.min(...ends),
  };
}

/** Each certificate of a PEM text, each ending in a newline so that they may be joined. */
export function splitPem(text: string): string[] {
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((one) => `${one}\n`);
}

/** 128 random bits; DER adds the zero byte that keeps it positive. */
export function randomSerial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // never zero, and never fewer octets than a reader of fixed width expects
  bytes[0] = (bytes[0] ?? 0) | 0x01;
  return Buffer.from(bytes).toString('hex');
}

function algorithmsOf(key: KeyObject): {
  importAs: webcrypto.EcKeyImportParams | webcrypto.RsaHashedImportParams;
  signWith: webcrypto.EcdsaParams | webcrypto.AlgorithmIdentifier;
} {
  const curve = createPublicKey(key).asymmetricKeyDetails?.namedCurve;
  if (curve === 'prime256v1') return { importAs: EC_P256, signWith: EC_P256 };
  if (curve === 'secp384r1') {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' };
    return { importAs: algorithm, signWith: algorithm };
  }
  if (key.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { importAs: algorithm, signWith: algorithm };
  }
  throw new Error(
    `its key of type ${curve ?? key.asymmetricKeyType} cannot sign: use P-256, P-384 or RSA`,
  );
}
