// The TLS contexts of listeners, one for each set of certificates in use. Asked by accept-connection.ts for each handshake.
// Invariants: open connections keep the context they began with; what has not changed keeps its context, so that clients
// can resume their sessions; a key leaves memory's reach when no listener uses it any more.

import { createSecureContext, type SecureContext } from 'node:tls';
import type { GatewayListener, ListenerCertificate } from '../../mesh/gateway-listeners.ts';

type Certificates = readonly ListenerCertificate[];

export class ListenerContexts {
  #contexts = new Map<string, SecureContext>();

  /** Lets go of those that none of `listeners` uses. */
  keepFor(listeners: readonly GatewayListener[]): void {
    const wanted = new Set(
      listeners.flatMap(({ serves }) =>
        'certificates' in serves ? keyOf(serves.certificates) : [],
      ),
    );
    this.#contexts = new Map([...this.#contexts].filter(([key]) => wanted.has(key)));
  }

  /** @throws Error of OpenSSL when the certificates are of no use */
  contextFor(certificates: Certificates): SecureContext {
    const key = keyOf(certificates);
    const known = this.#contexts.get(key);
    if (known !== undefined) return known;
    const made = createSecureContext({
      cert: certificates.map(({ chainPem }) => chainPem),
      key: certificates.map(({ keyPem }) => keyPem.reveal()),
      minVersion: 'TLSv1.2',
    });
    this.#contexts.set(key, made);
    return made;
  }
}

function keyOf(certificates: Certificates): string {
  return certificates.map(({ chainPem, keyPem }) => chainPem + keyPem.reveal()).join('\0');
}
