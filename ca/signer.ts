// What signs: a CA certificate with its key, the chain above it and the roots it is under. Made new, or read from PEM
// (a kept root, or an intermediate that a user plugged in). Used by kept.ts, which keeps it, and issue.ts, which signs.
// Invariant: what was read here can sign certificates that its roots verify now.

import 'reflect-metadata';
import {
  createPrivateKey,
  createPublicKey,
  KeyObject,
  webcrypto,
  X509Certificate,
} from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { fingerprintOf, rootOf, splitPem } from '../runtime/trust.ts';

export type Signer = {
  /** The certificate that signs. */
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly signingAlgorithm: webcrypto.EcdsaParams | webcrypto.AlgorithmIdentifier;
  /** From the signing certificate up, without roots: what goes between leaf and root. */
  readonly intermediatesPem: readonly string[];
  /** The trust bundle: one or more PEM certificates in one text. */
  readonly rootsPem: string;
  /** Fingerprint of the root that the chain leads to. */
  readonly root: string;
  /** Unix ms: the earliest end of validity in the chain, its root included. */
  readonly notAfter: number;
};
export type SignerPem = {
  /** The signing certificate first, then what is above it; with or without the root. */
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
};

const EC_P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// Nodes' clocks may be five minutes behind ours (what Kerberos made people keep to), and then some: for roots and leaves.
export const SKEW_MS = 360_000;
// What TLS libraries of today still believe.
const MIN_RSA_BITS = 2048;

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
  const chain = `${root.toString('pem')}\n`;
  return { chain, key: String(key), roots: chain };
}

/**
 * `bundle` is what goes out with each certificate as whom to believe; its own roots without it.
 * @throws Error that says what of the PEM cannot be used
 */
export async function readSigner(
  pem: SignerPem,
  now: number,
  bundle: string = pem.roots,
): Promise<Signer> {
  const chain = splitPem(pem.chain);
  const [signing] = chain;
  if (signing === undefined) throw new Error('it holds no certificate');
  const certificate = readCertificate(signing, 'its first certificate');
  if (!certificate.ca) throw new Error('its first certificate is not one of a CA');
  const key = readKey(pem.key);
  if (!certificate.checkPrivateKey(key)) {
    throw new Error('its key is not the one of its first certificate');
  }
  const { importAs, signWith } = algorithmsOf(key);
  const roots = splitPem(pem.roots);
  if (roots.length === 0) throw new Error('it holds no root');
  for (const one of roots) readCertificate(one, 'a root');
  const root = pathEnd(chain, roots);
  if (root === undefined) {
    throw new Error('its chain leads to none of its roots: the intermediates between are missing');
  }
  const path = [...chain, root].map((one) => new X509Certificate(one));
  const notAfter = Math.min(...path.map(({ validToDate }) => validToDate.getTime()));
  const notBefore = Math.max(...path.map(({ validFromDate }) => validFromDate.getTime()));
  if (notAfter <= now) throw new Error(`its chain ended ${new Date(notAfter).toISOString()}`);
  if (notBefore > now + SKEW_MS) {
    throw new Error(`its chain is not valid before ${new Date(notBefore).toISOString()}`);
  }
  const der = key.export({ type: 'pkcs8', format: 'der' });
  const rootPrint = fingerprintOf(root);
  return {
    certificate: new x509.X509Certificate(signing),
    key: await webcrypto.subtle.importKey('pkcs8', der, importAs, false, ['sign']),
    signingAlgorithm: signWith,
    intermediatesPem: chain.filter((one) => fingerprintOf(one) !== rootPrint),
    rootsPem: bundle,
    root: rootPrint,
    notAfter,
  };
}

/** The root that the chain leads to when each certificate of it was issued by the next. */
function pathEnd(chain: readonly string[], roots: readonly string[]): string | undefined {
  const path = chain.map((one) => readCertificate(one, 'its chain'));
  for (const [at, one] of path.entries()) {
    const issuer = path[at + 1];
    if (issuer === undefined) return rootOf(chain, roots);
    if (!one.checkIssued(issuer) || !one.verify(issuer.publicKey)) return undefined;
  }
  return undefined;
}

function readCertificate(pem: string, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new Error(`${what} cannot be read`, { cause });
  }
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new Error('its key cannot be read as PEM without a passphrase', { cause });
  }
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
    const bits = createPublicKey(key).asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits < MIN_RSA_BITS) {
      throw new Error(`its RSA key has ${bits} bits: use ${MIN_RSA_BITS} or more, or ECDSA`);
    }
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { importAs: algorithm, signWith: algorithm };
  }
  throw new Error(
    `its key of type ${curve ?? key.asymmetricKeyType} cannot sign: use P-256, P-384 or RSA`,
  );
}
