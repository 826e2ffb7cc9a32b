// What an ingress gateway listens on, with every reference resolved: made by the control plane from a Gateway and the
// Secrets it names, carried by discovery to the proxies of that Gateway only, opened by waypoint/ingress/. Names follow the
// Gateway API.

import type { SecretText } from './secret-text.ts';

/** All that proxies of one Gateway serve; what cannot be served is not in it. */
export type GatewayListeners = {
  /** `namespace/name`: its name in discovery too. */
  readonly gateway: string;
  readonly listeners: readonly GatewayListener[];
};

export type GatewayListener = {
  readonly name: string;
  readonly port: number;
  /** In lower case, `*.` for one label or more; empty: any host. */
  readonly hostname: string;
  readonly serves: Serving;
};

export type Serving =
  | { readonly kind: 'http' }
  /** Requests in TLS that ends here. */
  | { readonly kind: 'https'; readonly certificates: readonly ListenerCertificate[] }
  /** Bytes in TLS that ends here. */
  | { readonly kind: 'tls'; readonly certificates: readonly ListenerCertificate[] }
  /** Bytes in TLS that ends at the backend: only the name in the first of them is read. */
  | { readonly kind: 'passthrough' }
  | { readonly kind: 'tcp' };

/** The first that fits what a client can check is shown. */
export type ListenerCertificate = {
  /** PEM: its own, then those that lead to a root. */
  readonly chainPem: string;
  readonly keyPem: SecretText;
};

/** Which protocols can share a port: those a connection's first bytes tell apart, by the server name in them. */
export function isTls({ kind }: Serving): boolean {
  return kind === 'https' || kind === 'tls' || kind === 'passthrough';
}
