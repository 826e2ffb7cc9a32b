// CSR in, certificate chain out. Of the CSR nothing but the public key is used, after its self-signature was checked;
// who may have which identity was decided before. Called by app.ts with an allowed identity.

import 'reflect-metadata';
import { createPublicKey, type KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { randomSerial, type Signer, SKEW_MS } from './signer.ts';

/** The request is wrong (`request`), or this CA cannot sign at present (`signer`). */
export class IssueError extends Error {
  override readonly name = 'IssueError';
  readonly fault: 'request' | 'signer';

  constructor(fault: 'request' | 'signer', message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.fault = fault;
  }
}

export type IssueRequest = {
  readonly identity: Identity;
  readonly csrPem: string;
  /** 0 asks for the default. */
  readonly ttlSeconds: number;
  /** Beside the identity; only the CA's own serving certificate has any. */
  readonly dnsNames?: readonly string[];
};
export type Issued = {
  /** PEM: leaf, intermediates, and last the roots in one text. */
  readonly chain: readonly string[];
  readonly serial: string;
  readonly notAfter: number;
};

// A CSR with an RSA-4096 key is under 3 kB.
const MAX_CSR_CHARS = 16 * 1024;
const MIN_RSA_BITS = 2048;
// Larger keys only make every handshake slower.
const MAX_RSA_BITS = 4096;

export type IssueSettings = { readonly defaultTtlMs: number; readonly maxTtlMs: number };

/** @throws IssueError */
export async function issueCertificate(
  parts: { readonly signer: Signer; readonly clock: Clock },
  settings: IssueSettings,
  request: IssueRequest,
): Promise<Issued> {
  const { signer, clock } = parts;
  const uri = formatIdentity(request.identity);
  const ttlMs = lifetimeOf(request.ttlSeconds, settings, uri);
  const publicKey = await readCsr(request.csrPem, uri);
  const now = clock.now();
  const notAfter = Math.min(now + ttlMs, signer.notAfter);
  if (notAfter <= now) {
    const ended = new Date(signer.notAfter).toISOString();
    throw new IssueError(
      'signer',
      `Cannot issue a certificate for ${uri}: the CA's own certificate ended ${ended}. Renew it`,
    );
  }
  const serial = randomSerial();
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: '',
    issuer: signer.certificate.subject,
    publicKey,
    signingKey: signer.key,
    signingAlgorithm: signer.signingAlgorithm,
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      // critical, because the subject is empty (RFC 5280 section 4.2.1.6)
      new x509.SubjectAlternativeNameExtension(
        [
          { type: 'url', value: uri },
          ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
        ],
        true,
      ),
      await x509.AuthorityKeyIdentifierExtension.create(signer.certificate.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return {
    chain: [`${leaf.toString('pem')}\n`, ...signer.intermediatesPem, signer.rootsPem],
    serial,
    notAfter,
  };
}

function lifetimeOf(ttlSeconds: number, settings: IssueSettings, uri: string): number {
  if (!Number.isSafeInteger(ttlSeconds) || ttlSeconds < 0) {
    throw new IssueError(
      'request',
      `Cannot issue a certificate for ${uri}: a lifetime of ${ttlSeconds} s makes no sense`,
    );
  }
  if (ttlSeconds === 0) return settings.defaultTtlMs;
  if (ttlSeconds * 1000 > settings.maxTtlMs) {
    throw new IssueError(
      'request',
      `Cannot issue a certificate for ${uri}: a lifetime of ${ttlSeconds} s was asked for, the most is ${settings.maxTtlMs / 1000} s`,
    );
  }
  return ttlSeconds * 1000;
}

async function readCsr(pem: string, uri: string): Promise<x509.PublicKey> {
  const refuse = (state: string, cause?: unknown): IssueError =>
    new IssueError('request', `Cannot issue a certificate for ${uri}: ${state}`, { cause });
  if (pem.length > MAX_CSR_CHARS)
    throw refuse(`its CSR is longer than ${MAX_CSR_CHARS} characters`);
  let csr: x509.Pkcs10CertificateRequest;
  let key: KeyObject;
  try {
    csr = new x509.Pkcs10CertificateRequest(pem);
    key = createPublicKey({ key: Buffer.from(csr.publicKey.rawData), format: 'der', type: 'spki' });
  } catch (cause) {
    throw refuse('its CSR cannot be read as PKCS#10', cause);
  }
  const weakness = weaknessOf(key);
  if (weakness !== undefined) throw refuse(weakness);
  let signed = false;
  try {
    signed = await csr.verify();
  } catch (cause) {
    throw refuse('the signature of its CSR cannot be checked', cause);
  }
  if (!signed) throw refuse('its CSR is not signed by the key it names');
  return csr.publicKey;
}

/** P-256, P-384 and RSA of 2048 to 4096 bits are what mesh peers can verify; undefined for these. */
function weaknessOf(key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const wanted = 'use ECDSA P-256, P-384 or RSA of 2048 to 4096 bits';
  switch (key.asymmetricKeyType) {
    case 'ec':
      if (namedCurve === 'prime256v1' || namedCurve === 'secp384r1') return undefined;
      return `its key is on curve ${namedCurve}: ${wanted}`;
    case 'rsa':
      if (modulusLength >= MIN_RSA_BITS && modulusLength <= MAX_RSA_BITS) return undefined;
      return `its RSA key has ${modulusLength} bits: ${wanted}`;
    default:
      return `its key is of type ${key.asymmetricKeyType}: ${wanted}`;
  }
}
