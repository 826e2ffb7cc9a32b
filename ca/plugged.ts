// A signer that the operator plugs in: the Secret `cacerts` as people know it, or a TLS Secret as cert-manager writes it.
// Pure; read by root.ts whenever the Secret changes.

import type { Secret } from '../runtime/kubernetes/objects.ts';
import { splitPem } from '../runtime/trust.ts';
import type { SignerPem } from './signer.ts';

export type Plugged = { readonly signer: SignerPem; readonly crlPem: string };

/**
 * Undefined when there is no such Secret.
 * @throws Error that says which keys are missing
 */
export function readPlugged(secret: Secret | undefined): Plugged | undefined {
  if (secret === undefined) return undefined;
  const text = (key: string): string => textOf(secret, key) ?? '';
  const crlPem = text('ca-crl.pem');
  if (text('ca-cert.pem') !== '' || text('ca-key.pem') !== '') {
    const missing = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem'].filter(
      (key) => text(key) === '',
    );
    if (missing.length > 0) throw new Error(`it has no ${missing.join(', ')}`);
    const signer = {
      chain: joined(text('ca-cert.pem'), text('cert-chain.pem')),
      key: text('ca-key.pem'),
      roots: text('root-cert.pem'),
    };
    return { signer, crlPem };
  }
  const missing = ['tls.crt', 'tls.key', 'ca.crt'].filter((key) => text(key) === '');
  if (missing.length > 0) {
    throw new Error(
      `it has neither ca-cert.pem, ca-key.pem and root-cert.pem nor tls.crt, tls.key and ca.crt (no ${missing.join(', ')})`,
    );
  }
  const signer = { chain: text('tls.crt'), key: text('tls.key'), roots: text('ca.crt') };
  return { signer, crlPem };
}

export function textOf(secret: Secret | undefined, key: string): string | undefined {
  const value = secret?.data?.[key];
  return value === undefined || value === ''
    ? undefined
    : Buffer.from(value, 'base64').toString('utf8');
}

/** cert-chain.pem begins with the signing certificate again in some tools, and goes up from it in others. */
function joined(certificate: string, chain: string): string {
  const all = [...splitPem(certificate), ...splitPem(chain)];
  return [...new Set(all.map((one) => one.replaceAll('\r', '')))].join('');
}
