// The fields of the Gateway API's BackendTLSPolicy that Ambit reads, and of its status.

import type { Condition, KubeObject } from './objects.ts';
import type { ParentReference } from './route-objects.ts';

export type BackendTlsTarget = {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  /** The name of one of its ports. */
  readonly sectionName?: string;
};

/** Of `wellKnownCACertificates`: whom the system of the proxy believes. */
export const BACKEND_TLS_SYSTEM = 'System';

export type BackendTlsPolicy = KubeObject & {
  readonly spec: {
    readonly targetRefs: readonly BackendTlsTarget[];
    readonly validation: {
      readonly hostname: string;
      readonly caCertificateRefs?: readonly {
        readonly group: string;
        readonly kind: string;
        readonly name: string;
      }[];
      readonly wellKnownCACertificates?: string;
      readonly subjectAltNames?: readonly {
        readonly type: string;
        readonly hostname?: string;
        readonly uri?: string;
      }[];
    };
  };
  readonly status?: { readonly ancestors?: readonly AncestorStatus[] };
};

export type AncestorStatus = {
  readonly ancestorRef: ParentReference;
  readonly controllerName: string;
  readonly conditions?: readonly Condition[];
};
