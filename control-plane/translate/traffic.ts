// How people say that connections shall be spread and what pods may reach: fields of a Service, and annotations of it or of
// its namespace. Read by service.ts and workload.ts. A value nobody knows changes nothing and becomes a Problem.

import type { LoadBalancing, LocalityScope, Service } from '../../mesh/service.ts';
import type { Workload } from '../../mesh/workload.ts';
import type { KubeObject, Service as KubeService } from '../../runtime/kubernetes/objects.ts';
import type { Problem } from '../../wire/status.ts';

/** On a Service or Namespace: `least-request` (of two, the less loaded) or `random`. */
const LOAD_BALANCING = 'ambit-mesh.io/load-balancing';
/** On a Service or Namespace: what a Service's `spec.trafficDistribution` may be, or `Any`. */
const TRAFFIC_DISTRIBUTION = 'ambit-mesh.io/traffic-distribution';
/** The same, as users of Istio have it already. */
const ISTIO_TRAFFIC_DISTRIBUTION = 'networking.istio.io/traffic-distribution';
/** On a Namespace: `allow-any` or `registry-only`. */
const OUTBOUND_TRAFFIC_POLICY = 'ambit-mesh.io/outbound-traffic-policy';
/** Kubernetes' topology aware routing, and its name before 1.27: in force where the endpoints carry hints. */
const TOPOLOGY_MODES = [
  'service.kubernetes.io/topology-mode',
  'service.kubernetes.io/topology-aware-hints',
];
/** Kubernetes' default for `sessionAffinityConfig.clientIP.timeoutSeconds`: three hours. */
const AFFINITY_SECONDS = 10_800;

const BALANCINGS = ['least-request', 'random'] as const;
const OUTBOUND_POLICIES = ['allow-any', 'registry-only'] as const;
const SAME_ZONE: readonly LocalityScope[] = ['network', 'region', 'zone'];
const DISTRIBUTIONS: Readonly<Record<string, readonly LocalityScope[] | undefined>> = {
  Any: undefined,
  PreferClose: SAME_ZONE,
  PreferSameZone: SAME_ZONE,
  PreferSameNode: ['network', 'region', 'zone', 'subzone', 'node'],
};

const NAMESPACE_SETTINGS = [
  LOAD_BALANCING,
  TRAFFIC_DISTRIBUTION,
  ISTIO_TRAFFIC_DISTRIBUTION,
  OUTBOUND_TRAFFIC_POLICY,
];

/** All of a namespace that this file reads, as text: what was made with the same text is the same. */
export function trafficKey(namespace: KubeObject | undefined): string {
  const annotations = namespace?.metadata.annotations ?? {};
  return NAMESPACE_SETTINGS.map((name) => annotations[name] ?? '').join('|');
}

export type TrafficContext = {
  readonly namespace: KubeObject | undefined;
  /** Every endpoint of the Service carries a hint for which zones it is. */
  readonly hinted: boolean;
};

/** undefined: any healthy endpoint is as good. */
export function loadBalancingOf(
  service: KubeService,
  context: TrafficContext,
): LoadBalancing | undefined {
  const { internalTrafficPolicy, publishNotReadyAddresses } = service.spec;
  const health = publishNotReadyAddresses === true ? 'allow-all' : 'only-healthy';
  if (internalTrafficPolicy === 'Local') return { mode: 'strict', preference: ['node'], health };
  const preference = preferenceOf(service, context);
  if (preference !== undefined) return { mode: 'failover', preference, health };
  return health === 'allow-all' ? { mode: 'unspecified', preference: [], health } : undefined;
}

/** The Service's own words before its namespace's; of its own, annotations before the field. */
function preferenceOf(
  service: KubeService,
  { namespace, hinted }: TrafficContext,
): readonly LocalityScope[] | undefined {
  const annotations = service.metadata.annotations ?? {};
  const said = [
    distributionSaidBy(service),
    service.spec.trafficDistribution,
    TOPOLOGY_MODES.some((name) => hinted && annotations[name]?.toLowerCase() === 'auto')
      ? 'PreferSameZone'
      : undefined,
    distributionSaidBy(namespace),
  ].find((value) => value !== undefined && Object.hasOwn(DISTRIBUTIONS, value));
  return said === undefined ? undefined : DISTRIBUTIONS[said];
}

function distributionSaidBy(object: KubeObject | undefined): string | undefined {
  const annotations = object?.metadata.annotations ?? {};
  return annotations[TRAFFIC_DISTRIBUTION] ?? annotations[ISTIO_TRAFFIC_DISTRIBUTION];
}

/** Of an object that has no words for it but annotations: a ServiceEntry. */
export function annotatedLoadBalancing(
  object: KubeObject,
  namespace: KubeObject | undefined,
): LoadBalancing | undefined {
  const said = [object, namespace]
    .map(distributionSaidBy)
    .find((value) => value !== undefined && Object.hasOwn(DISTRIBUTIONS, value));
  const preference = said === undefined ? undefined : DISTRIBUTIONS[said];
  return preference && { mode: 'failover', preference, health: 'only-healthy' };
}

export function balancingOf(
  service: KubeObject,
  namespace: KubeObject | undefined,
): Service['balancing'] {
  return (
    chosen(BALANCINGS, service.metadata.annotations?.[LOAD_BALANCING]) ??
    chosen(BALANCINGS, namespace?.metadata.annotations?.[LOAD_BALANCING]) ??
    'least-request'
  );
}

export function affinitySecondsOf({ spec }: KubeService): number | undefined {
  if (spec.sessionAffinity !== 'ClientIP') return undefined;
  return spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS;
}

export function outboundPolicyOf(
  namespace: KubeObject | undefined,
  meshWide: Workload['outboundPolicy'],
): Workload['outboundPolicy'] {
  const said = namespace?.metadata.annotations?.[OUTBOUND_TRAFFIC_POLICY];
  return chosen(OUTBOUND_POLICIES, said) ?? meshWide;
}

/** What is wrong with the annotations of a Service, ServiceEntry or Namespace. */
export function trafficProblems(
  kind: 'Service' | 'ServiceEntry' | 'Namespace',
  object: KubeObject,
): Problem[] {
  const expected: Readonly<Record<string, readonly string[]>> = {
    [LOAD_BALANCING]: BALANCINGS,
    [TRAFFIC_DISTRIBUTION]: Object.keys(DISTRIBUTIONS),
    [ISTIO_TRAFFIC_DISTRIBUTION]: Object.keys(DISTRIBUTIONS),
    ...(kind === 'Namespace' ? { [OUTBOUND_TRAFFIC_POLICY]: OUTBOUND_POLICIES } : {}),
  };
  const { name = '', namespace, annotations = {} } = object.metadata;
  const place = namespace === undefined ? name : `${name} -n ${namespace}`;
  return Object.entries(expected).flatMap(([annotation, values]) => {
    const value = annotations[annotation];
    if (value === undefined || values.includes(value)) return [];
    return [
      {
        object: `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`,
        reason: 'UnknownSetting',
        message: `Annotation ${annotation} is "${value}": expected ${values.join(' or ')}. It is ignored`,
        remedy: `kubectl annotate ${kind.toLowerCase()} ${place} ${annotation}=${values[0]} --overwrite`,
      },
    ];
  });
}

function chosen<T extends string>(values: readonly T[], said: string | undefined): T | undefined {
  return values.find((value) => value === said);
}
