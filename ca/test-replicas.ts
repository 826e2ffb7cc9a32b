// Signers as operators plug them in, and waiting by a clock that stands still. Called by tests of the CA only.

import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { Secret } from '../runtime/kubernetes/objects.ts';
import { SECRETS } from '../runtime/kubernetes/resources.ts';
import type { ManualClock } from '../runtime/manual-clock.ts';
import { makeRoot, randomSerial, type SignerPem } from './signer.ts';

const DAY_MS = 86_400_000;
const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const rsa = (modulusLength: number) => ({
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength,
});
const ALGORITHMS = { ec: EC, rsa: rsa(2048), weak: rsa(1024) };

export type Intermediate = SignerPem & { readonly root: SignerPem };

/** An intermediate under a root of its own, or under that of an earlier one. */
export async function intermediateOf(
  earlier: Intermediate | undefined,
  settings: {
    readonly now: number;
    readonly ttlMs?: number;
    readonly key?: keyof typeof ALGORITHMS;
    readonly isCa?: boolean;
  },
): Promise<Intermediate> {
  const { now, ttlMs = 365 * DAY_MS, key = 'ec', isCa = true } = settings;
  const root =
    earlier?.root ?? (await makeRoot({ trustDomain: 'corp.test', now, ttlMs: 3650 * DAY_MS }));
  const issuer = new x509.X509Certificate(root.chain);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(root.key).export({ type: 'pkcs8', format: 'der' }),
    EC,
    false,
    ['sign'],
  );
  const keys = (await webcrypto.subtle.generateKey(ALGORITHMS[key], true, [
    'sign',
    'verify',
  ])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: 'CN=intermediate',
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: EC,
    notBefore: new Date(now - 120_000),
    notAfter: new Date(now + ttlMs),
    extensions: [
      new x509.BasicConstraintsExtension(isCa, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  const keyPem = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return {
    chain: `${certificate.toString('pem')}\n`,
    key: String(keyPem),
    roots: root.roots,
    root,
  };
}

/** Writes the Secret as an operator, or cert-manager, would. */
export async function plug(
  client: MemoryKube,
  format: 'cacerts' | 'tls',
  { chain, key, roots }: SignerPem,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const texts: Record<string, string> =
    format === 'cacerts'
      ? {
          'ca-cert.pem': chain,
          'ca-key.pem': key,
          'cert-chain.pem': chain + roots,
          'root-cert.pem': roots,
        }
      : { 'tls.crt': chain, 'tls.key': key, 'ca.crt': roots };
  const data = Object.fromEntries(
    Object.entries({ ...texts, ...more })
      .filter(([, text]) => text !== '')
      .map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
  const metadata = { name: 'cacerts', namespace: 'ambit-system' };
  const present = await client.get<Secret>(SECRETS, 'cacerts', 'ambit-system');
  if (present === undefined) await client.create<Secret>(SECRETS, { metadata, data });
  else await client.update<Secret>(SECRETS, { metadata, data });
}

/** Moves time on until it holds; key generation is real work and takes turns of the event loop. */
export async function until(
  clock: ManualClock,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  while (!(await holds())) await clock.advance(100);
}
