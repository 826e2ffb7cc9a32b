// The fields of the Gateway API's infrastructure kinds that Ambit reads, and of their status. As in objects.ts, whatever the
// API may leave out is optional, also where the API server fills it in: a cluster's definitions may be older ones.

import type { Condition, KubeObject, LabelSelector } from './objects.ts';

export type GatewayClass = KubeObject & {
  readonly spec: {
    readonly controllerName: string;
    readonly description?: string;
    readonly parametersRef?: {
      readonly group: string;
      readonly kind: string;
      readonly name: string;
      readonly namespace?: string;
    };
  };
  readonly status?: { readonly conditions?: readonly Condition[] };
};

export type SecretReference = {
  readonly group?: string;
  readonly kind?: string;
  readonly name: string;
  readonly namespace?: string;
};

export type RouteKind = { readonly group?: string; readonly kind: string };

export type Listener = {
  readonly name: string;
  readonly hostname?: string;
  readonly port: number;
  readonly protocol: string;
  readonly tls?: {
    readonly mode?: 'Terminate' | 'Passthrough';
    readonly certificateRefs?: readonly SecretReference[];
    readonly options?: Readonly<Record<string, string>>;
  };
  readonly allowedRoutes?: {
    readonly namespaces?: {
      readonly from?: 'All' | 'Selector' | 'Same';
      readonly selector?: LabelSelector;
    };
    readonly kinds?: readonly RouteKind[];
  };
};

export type GatewayAddressStatus = {
  /** `IPAddress` without it. */
  readonly type?: string;
  readonly value: string;
};

export type ListenerStatus = {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds?: readonly RouteKind[];
  readonly conditions: readonly Condition[];
};

export type Gateway = KubeObject & {
  readonly spec: {
    readonly gatewayClassName: string;
    readonly listeners: readonly Listener[];
    readonly addresses?: readonly { readonly type?: string; readonly value?: string }[];
    readonly infrastructure?: {
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
      readonly parametersRef?: {
        readonly group: string;
        readonly kind: string;
        readonly name: string;
      };
    };
  };
  readonly status?: {
    readonly addresses?: readonly GatewayAddressStatus[];
    readonly conditions?: readonly Condition[];
    readonly listeners?: readonly ListenerStatus[];
  };
};

export type ReferenceGrant = KubeObject & {
  readonly spec: {
    readonly from: readonly {
      readonly group: string;
      readonly kind: string;
      readonly namespace: string;
    }[];
    readonly to: readonly {
      readonly group: string;
      readonly kind: string;
      readonly name?: string;
    }[];
  };
};
