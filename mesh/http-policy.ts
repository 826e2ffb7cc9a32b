// Who may send which request: AuthorizationPolicies that waypoints enforce. Made by the control plane from the objects with
// targetRefs, carried by discovery, decided on by authorize-request.ts. What a part of a rule meant and nobody could read is
// kept as an `unreadable` test, so that the decision, and not the reader, makes the policy stricter by it.

import type { Cidr, ServiceAccountMatch, StringMatch } from './policy.ts';
import type { PolicyTarget } from './policy-target.ts';

export type PathPattern =
  | StringMatch
  /** `/a/{*}/b/{**}`: see path-template.ts. */
  | { readonly kind: 'template'; readonly value: string };

export type TextAttribute =
  /** The identity in the certificate without its scheme: `cluster.local/ns/a/sa/b`. */
  | 'source.principal'
  | 'source.namespace'
  /** `iss/sub` of the verified token. */
  | 'request.auth.principal'
  | 'request.auth.audiences'
  /** Its `azp`. */
  | 'request.auth.presenter'
  /** Compared without regard to case, a dot at its end, or a port that the policy does not name. */
  | 'request.host'
  | 'request.method'
  | 'connection.sni';

export type IpAttribute =
  | 'source.ip'
  /** The client's before trusted proxies: see remoteIpOf. */
  | 'remote.ip'
  | 'destination.ip';

/** Any of `values`; with `not`, none of them. */
type Of<V> = { readonly not: boolean; readonly values: readonly V[] };

export type PolicyTest =
  | ({ readonly attribute: TextAttribute } & Of<StringMatch>)
  | ({ readonly attribute: IpAttribute } & Of<Cidr>)
  | ({ readonly attribute: 'request.path' } & Of<PathPattern>)
  /** `name` in lower case. */
  | ({ readonly attribute: 'request.header'; readonly name: string } & Of<StringMatch>)
  /** `path`: from the payload's top inwards. */
  | ({
      readonly attribute: 'request.auth.claim';
      readonly path: readonly string[];
    } & Of<StringMatch>)
  | ({ readonly attribute: 'source.serviceAccount' } & Of<ServiceAccountMatch>)
  /** The port the client asked for: a service's own, not its pods'. */
  | ({ readonly attribute: 'destination.port' } & Of<number>)
  /** Expressions in CEL. */
  | ({ readonly attribute: 'cel' } & Of<string>)
  | { readonly attribute: 'unreadable'; readonly why: string };

/** Any of `anyOf`, of which each asks for all of its tests. */
export type HttpClause = {
  /** Where in the object it stands. */
  readonly part: 'from' | 'to' | 'when';
  readonly anyOf: readonly (readonly PolicyTest[])[];
};

/** All of its clauses; none: every request. */
export type HttpRule = { readonly clauses: readonly HttpClause[] };

/** Whom a CUSTOM policy leaves the decision to. */
export type ExternalAuthorizer = {
  /** Its key in the providers' ConfigMap. */
  readonly name: string;
  readonly protocol: 'grpc' | 'http';
  /** `namespace/hostname`, as Service keys are. */
  readonly service: string;
  readonly port: number;
  readonly timeoutMs: number;
  /** Whether requests go on when it does not answer. */
  readonly failOpen: boolean;
  /** What the client gets when it does not answer, and `failOpen` is not set. */
  readonly statusOnError: number;
  /** HTTP: before the request's own path. */
  readonly pathPrefix: string;
  /** HTTP: what of the request it is told; `*` at either end. gRPC is told everything. */
  readonly includeRequestHeaders: readonly string[];
  readonly includeAdditionalHeaders: readonly (readonly [name: string, value: string])[];
  readonly includeRequestBody:
    | { readonly maxBytes: number; readonly allowPartial: boolean; readonly asBytes: boolean }
    | undefined;
  /** HTTP: what of its answer goes on, to whom, by lower-case names with `*` at either end. */
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
  /** Empty: all of them. */
  readonly headersToDownstreamOnDeny: readonly string[];
};

type Common = {
  readonly namespace: string;
  readonly name: string;
  readonly targets: readonly PolicyTarget[];
  /** Any of them; none: the policy never matches. */
  readonly rules: readonly HttpRule[];
  /** Evaluated and reported, but never decides. */
  readonly dryRun: boolean;
};

export type HttpPolicy = Common &
  (
    | { readonly action: 'allow' | 'deny' | 'audit' }
    | {
        readonly action: 'custom';
        readonly provider:
          | ExternalAuthorizer
          /** Nobody can be asked, so what matches is denied. */
          | { readonly name: string; readonly why: string };
      }
  );

/** Whether it takes part in decisions; the others are only reported. */
export function isEnforcedOnRequests({
  action,
  dryRun,
}: Pick<HttpPolicy, 'action' | 'dryRun'>): boolean {
  return action !== 'audit' && !dryRun;
}

/**
 * Whether it can only be decided on once the token is verified. A CUSTOM policy that does not is asked before, for what
 * it answers may bring the token: so login proxies work.
 */
export function readsToken(policy: HttpPolicy): boolean {
  return policy.rules.some(({ clauses }) =>
    clauses.some(({ anyOf }) => anyOf.some((tests) => tests.some(asksOfToken))),
  );
}

function asksOfToken(test: PolicyTest): boolean {
  if (test.attribute === 'cel') return test.values.some((text) => /\bauth\b/.test(text));
  return test.attribute.startsWith('request.auth.');
}
