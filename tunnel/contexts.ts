// TLS contexts made from an identity's certificate, the same settings for both ends of a tunnel. Called by connect and
// accept. Invariant: a context is never changed; a renewed certificate makes a new one, and live tunnels keep the old.

import { constants } from 'node:crypto';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Identity } from '../mesh/identity.ts';
import { OWN_TRUST, PeerTrust, type Trust } from './trust.ts';

/** An X.509-SVID: an identity one can prove, and who else is believed. Times are unix milliseconds. */
export type Svid = {
  readonly identity: Identity;
  /** Leaf first, then intermediates; no root. */
  readonly chainPem: string;
  readonly keyPem: string;
  /** The trust bundle: one or more PEM certificates each. */
  readonly roots: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
};

export type Credentials = {
  readonly svid: Svid;
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
  readonly trust: PeerTrust;
};

/** Exactly one protocol is offered and accepted on a tunnel. */
export const TUNNEL_PROTOCOLS: string[] = ['h2'];

/**
 * `trust` adds to the SVID's own roots.
 * @throws the TLS library's error when the SVID's key, chain or roots cannot be read or do not belong together
 */
export function credentialsOf(svid: Svid, trust: Trust = OWN_TRUST): Credentials {
  const peers = new PeerTrust({ ...svid, trustDomain: svid.identity.trustDomain }, trust);
  const options: SecureContextOptions = {
    cert: svid.chainPem,
    key: svid.keyPem,
    ca: [...peers.rootsPem],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // AES-GCM only and in this order, as the reference peers offer; no ChaCha20
    ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256',
    honorCipherOrder: true,
    // every tunnel is a full handshake: a resumed session would outlive the certificate that was checked for it
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  return { svid, options, context: createSecureContext(options), trust: peers };
}
