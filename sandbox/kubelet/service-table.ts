// What Services and EndpointSlices mean for the network (kube-proxy's part) and for the cluster's names (the DNS's part).
// Pure. Ready endpoints are used; when a Service has none, those that still serve while they terminate.

import type { Endpoint, EndpointSlice, Service } from '../../runtime/kubernetes/objects.ts';
import type { ServiceRecord } from '../network/dns/records.ts';
import type { ServiceRule, ServiceRulePort } from '../network/network.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';
/** Kubernetes' default for sessionAffinity ClientIP: three hours. */
const DEFAULT_AFFINITY_SECONDS = 10_800;

/** A Service with the fields that only kube-proxy reads. */
type ProxiedService = Service & {
  readonly spec: {
    readonly sessionAffinity?: string;
    readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } };
  };
};

export type ServiceObjects = {
  readonly services: Iterable<Service>;
  readonly slices: Iterable<EndpointSlice>;
};

export function serviceRules(objects: ServiceObjects, nodeName: string): ServiceRule[] {
  const slices = slicesByService(objects.slices);
  return [...objects.services].flatMap((service) => {
    const clusterIps = clusterIpsOf(service);
    if (clusterIps.length === 0 || service.spec.type === 'ExternalName') return [];
    return [ruleOf(service, clusterIps, slices.get(keyOf(service)) ?? [], nodeName)];
  });
}

function ruleOf(
  service: ProxiedService,
  clusterIps: readonly string[],
  slices: readonly EndpointSlice[],
  nodeName: string,
): ServiceRule {
  const { name = '', namespace = '' } = service.metadata;
  const { spec } = service;
  const internalLocal = spec.internalTrafficPolicy === 'Local';
  const affinity = spec.sessionAffinity === 'ClientIP';
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS;
  const ports: ServiceRulePort[] = [];
  for (const port of spec.ports ?? []) {
    const { protocol = 'TCP', nodePort } = port;
    if (protocol === 'SCTP') continue;
    const all = endpointsOf(port.name ?? '', slices, nodeName);
    ports.push({
      port: port.port,
      protocol,
      ...(nodePort === undefined || nodePort === 0 ? {} : { nodePort }),
      endpoints: usable(internalLocal ? all.filter(({ local }) => local) : all),
    });
  }
  return {
    namespace,
    name,
    clusterIps,
    ports,
    ...(affinity ? { sessionAffinityClientIp: seconds } : {}),
    internalLocal,
  };
}

type PortEndpoint = {
  readonly ip: string;
  readonly port: number;
  readonly local: boolean;
  readonly state: 'ready' | 'serving' | 'down';
};

function endpointsOf(
  portName: string,
  slices: readonly EndpointSlice[],
  nodeName: string,
): PortEndpoint[] {
  return slices.flatMap((slice) => {
    const port = slice.ports?.find((candidate) => (candidate.name ?? '') === portName)?.port;
    if (port === undefined || slice.addressType === 'FQDN') return [];
    return (slice.endpoints ?? []).flatMap((endpoint) => {
      const local = endpoint.nodeName === nodeName;
      const state = stateOf(endpoint);
      return endpoint.addresses.slice(0, 1).map((ip) => ({ ip, port, local, state }));
    });
  });
}

/** Absent conditions count as in Kubernetes: ready unless said otherwise, serving like ready. */
function stateOf({ conditions }: Endpoint): PortEndpoint['state'] {
  const ready = conditions?.ready ?? true;
  if (ready) return 'ready';
  const serving = conditions?.serving ?? ready;
  return serving && conditions?.terminating === true ? 'serving' : 'down';
}

/** Per family, as each has its own service address. */
function usable(endpoints: readonly PortEndpoint[]): ServiceRulePort['endpoints'] {
  return [true, false].flatMap((v6) => {
    const family = endpoints.filter(({ ip }) => ip.includes(':') === v6);
    const ready = family.filter(({ state }) => state === 'ready');
    const chosen = ready.length > 0 ? ready : family.filter(({ state }) => state === 'serving');
    const seen = new Set<string>();
    return chosen.flatMap(({ ip, port, local }) => {
      const key = `${ip} ${port}`;
      // an endpoint may be in two slices for a moment, while it moves from one to the other
      if (seen.has(key)) return [];
      seen.add(key);
      return [{ ip, port, local }];
    });
  });
}

export function serviceRecords(objects: ServiceObjects): ServiceRecord[] {
  const slices = slicesByService(objects.slices);
  return [...objects.services].map((service) => {
    const { name = '', namespace = '' } = service.metadata;
    const { spec } = service;
    const clusterIps = clusterIpsOf(service);
    const isExternal = spec.type === 'ExternalName' && spec.externalName !== undefined;
    const headless = !isExternal && clusterIps.length === 0;
    return {
      namespace,
      name,
      clusterIps: isExternal ? [] : clusterIps,
      ...(isExternal ? { externalName: spec.externalName } : {}),
      ports: (spec.ports ?? []).flatMap(({ name: portName, protocol = 'TCP', port }) =>
        protocol === 'SCTP'
          ? []
          : [{ ...(portName === undefined ? {} : { name: portName }), protocol, port }],
      ),
      endpoints: headless ? named(slices.get(keyOf(service)) ?? []) : [],
    };
  });
}

function named(slices: readonly EndpointSlice[]): ServiceRecord['endpoints'] {
  return slices.flatMap((slice) => {
    if (slice.addressType === 'FQDN') return [];
    const entries = (slice.ports ?? []).flatMap(({ name = '', port }): [string, number][] =>
      port === undefined ? [] : [[name, port]],
    );
    const ports = Object.fromEntries(entries);
    return (slice.endpoints ?? [])
      .filter((endpoint) => stateOf(endpoint) === 'ready')
      .flatMap(({ addresses, hostname }) =>
        addresses.map((ip) => ({ ip, ...(hostname === undefined ? {} : { hostname }), ports })),
      );
  });
}

function clusterIpsOf({ spec }: Service): string[] {
  const all = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return all.filter((ip) => ip !== '' && ip !== 'None');
}

function slicesByService(slices: Iterable<EndpointSlice>): Map<string, EndpointSlice[]> {
  return Map.groupBy(slices, ({ metadata }) => {
    return `${metadata.namespace ?? ''}/${metadata.labels?.[SERVICE_NAME] ?? ''}`;
  });
}

function keyOf({ metadata }: Service): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}
