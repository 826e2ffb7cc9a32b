// A fresh key and the certificate signing request for it, as the reference's agents make them: ECDSA P-256, empty
// subject, one critical URI name. Used by whoever asks the CA for a certificate.

import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { formatIdentity, type Identity } from '../mesh/identity.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** The key is new each time: a renewed certificate never keeps an old key. */
export async function makeCsr(identity: Identity): Promise<{ csrPem: string; keyPem: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const name = { type: 'url' as const, value: formatIdentity(identity) };
  const csr = await Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([name], true)],
  });
  const keyPem = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { csrPem: `${csr.toString('pem')}\n`, keyPem: String(keyPem) };
}
