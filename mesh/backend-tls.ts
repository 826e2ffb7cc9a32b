// How gateways and waypoints speak TLS to the backends behind a Service: made by the control plane from a BackendTLSPolicy,
// carried by discovery, obeyed by waypoint/upstream/. Inside the mesh it is one TLS in another: the backend's own
// certificate is what the policy's author wants checked.

export type BackendTls = {
  /** `namespace/hostname` of the Service. */
  readonly service: string;
  /** undefined: every port that has no word of its own. */
  readonly port: number | undefined;
  readonly terms: BackendTlsTerms;
};

export type BackendTlsTerms =
  | {
      readonly kind: 'verify';
      /** Asked for by SNI, and to be in the certificate unless `names` says otherwise. */
      readonly serverName: string;
      /** One of these is to be in the certificate; none: the server name. */
      readonly names: readonly SubjectName[];
      /** PEM; undefined: whom the system believes. */
      readonly roots: string | undefined;
    }
  /** Nothing goes there: in plain text it must not, and whom to believe is not known. */
  | { readonly kind: 'broken'; readonly why: string };

/** A name in a certificate; `dns` may begin with `*.`. */
export type SubjectName = { readonly kind: 'dns' | 'uri'; readonly value: string };

/** Its name in discovery. */
export function backendTlsKey({ service, port }: Pick<BackendTls, 'service' | 'port'>): string {
  return `${service}:${port ?? '*'}`;
}
