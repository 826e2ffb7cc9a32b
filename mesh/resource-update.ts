// What discovery tells, one change at a time: a resource as it is now, or the name of one that is gone. Made by the wire
// and by tests; applied to a Snapshot in batches.

import type { BackendTls } from './backend-tls.ts';
import type { Enrolment } from './enrolment.ts';
import type { GatewayListeners } from './gateway-listeners.ts';
import type { HttpPolicy } from './http-policy.ts';
import type { MeshNamespace } from './namespace.ts';
import type { AuthorizationPolicy } from './policy.ts';
import type { RequestAuthentication } from './request-authentication.ts';
import type { Route } from './route.ts';
import type { Service } from './service.ts';
import type { TrafficPolicy } from './traffic-policy.ts';
import type { TrustBundle } from './trust.ts';
import type { Workload } from './workload.ts';

export type ResourceUpdate =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service }
  /** An Address that is gone: a workload's uid or a service's `namespace/hostname`. */
  | { readonly kind: 'address-removed'; readonly name: string }
  | { readonly kind: 'policy'; readonly policy: AuthorizationPolicy }
  | { readonly kind: 'policy-removed'; readonly name: string }
  | { readonly kind: 'http-policy'; readonly policy: HttpPolicy }
  | { readonly kind: 'http-policy-removed'; readonly name: string }
  | { readonly kind: 'request-authentication'; readonly policy: RequestAuthentication }
  | { readonly kind: 'request-authentication-removed'; readonly name: string }
  | { readonly kind: 'route'; readonly route: Route }
  | { readonly kind: 'route-removed'; readonly name: string }
  | { readonly kind: 'traffic-policy'; readonly policy: TrafficPolicy }
  | { readonly kind: 'traffic-policy-removed'; readonly name: string }
  | { readonly kind: 'backend-tls'; readonly tls: BackendTls }
  | { readonly kind: 'backend-tls-removed'; readonly name: string }
  | { readonly kind: 'listeners'; readonly listeners: GatewayListeners }
  | { readonly kind: 'listeners-removed'; readonly gateway: string }
  | { readonly kind: 'enrolment'; readonly enrolment: Enrolment }
  | { readonly kind: 'enrolment-removed'; readonly podUid: string }
  | { readonly kind: 'namespace'; readonly namespace: MeshNamespace }
  | { readonly kind: 'namespace-removed'; readonly name: string }
  | { readonly kind: 'trust'; readonly bundle: TrustBundle }
  | { readonly kind: 'trust-removed'; readonly trustDomain: string };
