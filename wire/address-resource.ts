// The Address resource: a Workload or a Service, between Istio's message and the mesh's own value. Called by the two ends
// of discovery. Everything a proxy will trust is checked here, so that a bad resource is refused whole and by name.

import { type IpAddress, ipFromBytes, ipToBytes } from '../mesh/address.ts';
import { cidrFromBytes } from '../mesh/cidr.ts';
import type {
  LoadBalancing,
  LocalityScope,
  Service,
  Vip,
  WeightedWaypoint,
} from '../mesh/service.ts';
import type { ApplicationTunnel, GatewayAddress, PortMapping, Workload } from '../mesh/workload.ts';
import { WORKLOAD_PROTO } from './proto/workload.ts';
import { DecodeError, loadProto, messageType } from './protobuf.ts';

type NetworkAddressMessage = { network: string; address: Uint8Array; length?: number };
type PortMessage = { servicePort: number; targetPort: number; appProtocol: string };
type GatewayMessage = {
  hostname?: { namespace: string; hostname: string } | null;
  address?: NetworkAddressMessage | null;
  hboneMtlsPort: number;
};
type WeightedMessage = { destination: GatewayMessage | null; weight: number };
type WorkloadMessage = {
  uid: string;
  name: string;
  namespace: string;
  addresses: Uint8Array[];
  network: string;
  tunnelProtocol: string;
  trustDomain: string;
  serviceAccount: string;
  waypoint: GatewayMessage | null;
  node: string;
  canonicalName: string;
  canonicalRevision: string;
  workloadType: string;
  workloadName: string;
  authorizationPolicies: string[];
  status: string;
  clusterId: string;
  networkGateway: GatewayMessage | null;
  hostname: string;
  services: Record<string, { ports: PortMessage[] }>;
  locality: { region: string; zone: string; subzone: string } | null;
  nativeTunnel: boolean;
  applicationTunnel: { protocol: string; port: number } | null;
  networkMode: string;
  outboundPolicy: string;
  draining: boolean;
  capacity: { value: number } | null;
};
type ServiceMessage = {
  name: string;
  namespace: string;
  hostname: string;
  addresses: NetworkAddressMessage[];
  ports: PortMessage[];
  subjectAltNames: string[];
  waypoint: GatewayMessage | null;
  loadBalancing: { routingPreference: string[]; mode: string; healthPolicy: string } | null;
  ipFamilies: string;
  canonical: boolean;
  ingressUseWaypoint: boolean;
  weightedWaypoints: WeightedMessage[];
  visibility: string;
  sessionAffinitySeconds: number;
  balancing: string;
};
type AddressMessage = { workload?: WorkloadMessage | null; service?: ServiceMessage | null };

const ADDRESS = messageType<AddressMessage>(loadProto(WORKLOAD_PROTO), 'istio.workload.Address');

/** What the fields mean when they are empty (reference, workload API defaults). */
const DEFAULTS = {
  trustDomain: 'cluster.local',
  serviceAccount: 'default',
  cluster: 'Kubernetes',
  capacity: 1,
  gatewayPort: 15008,
};

const APP_PROTOCOLS = {
  UNKNOWN: 'unknown',
  HTTP11: 'http11',
  HTTP2: 'http2',
  GRPC: 'grpc',
  TCP: 'tcp',
  TLS: 'tls',
} as const;
const WORKLOAD_TYPES = {
  DEPLOYMENT: 'deployment',
  CRONJOB: 'cronjob',
  POD: 'pod',
  JOB: 'job',
} as const;
const STATUSES = { HEALTHY: 'healthy', UNHEALTHY: 'unhealthy' } as const;
const VISIBILITIES = { PUBLIC: 'public', NAMESPACE: 'namespace' } as const;
const BALANCINGS = { LEAST_REQUEST: 'least-request', RANDOM: 'random' } as const;
const OUTBOUND_POLICIES = { ALLOW_ANY: 'allow-any', REGISTRY_ONLY: 'registry-only' } as const;
const TUNNELLED_AS = { NONE: 'none', PROXY: 'proxy' } as const;
const IP_FAMILIES = {
  AUTOMATIC: 'automatic',
  IPV4_ONLY: 'ipv4',
  IPV6_ONLY: 'ipv6',
  DUAL: 'dual',
} as const;
const MODES = {
  UNSPECIFIED_MODE: 'unspecified',
  STRICT: 'strict',
  FAILOVER: 'failover',
  PASSTHROUGH: 'passthrough',
} as const;
const SCOPES = {
  REGION: 'region',
  ZONE: 'zone',
  SUBZONE: 'subzone',
  NODE: 'node',
  CLUSTER: 'cluster',
  NETWORK: 'network',
} as const;
const HEALTH_POLICIES = { ONLY_HEALTHY: 'only-healthy', ALLOW_ALL: 'allow-all' } as const;
// LEGACY_ISTIO_MTLS is refused, as the reference refuses it
const TUNNEL_PROTOCOLS = { NONE: 'tcp', HBONE: 'hbone' } as const;
const NETWORK_MODES = { STANDARD: 'standard', HOST_NETWORK: 'host' } as const;

export type AddressResource =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: Service };

/** @throws DecodeError naming the resource when bytes or a field cannot be what they claim */
export function decodeAddress(body: Uint8Array): AddressResource {
  const message = ADDRESS.decode(body);
  if (message.workload) return { kind: 'workload', workload: readWorkload(message.workload) };
  if (message.service) return { kind: 'service', service: readService(message.service) };
  throw new DecodeError('Cannot read Address: it is neither a workload nor a service');
}

export function encodeWorkload(workload: Workload): Uint8Array {
  return ADDRESS.encode({
    workload: {
      uid: workload.uid,
      name: workload.name,
      namespace: workload.namespace,
      addresses: workload.addresses.map(ipToBytes),
      network: workload.network,
      tunnelProtocol: named(TUNNEL_PROTOCOLS, workload.protocol),
      trustDomain: workload.trustDomain === DEFAULTS.trustDomain ? '' : workload.trustDomain,
      serviceAccount:
        workload.serviceAccount === DEFAULTS.serviceAccount ? '' : workload.serviceAccount,
      waypoint: writeGateway(workload.waypoint),
      node: workload.node,
      canonicalName: workload.canonicalName,
      canonicalRevision: workload.canonicalRevision,
      workloadType: named(WORKLOAD_TYPES, workload.workloadType),
      workloadName: workload.workloadName,
      authorizationPolicies: [...workload.authorizationPolicies],
      // to a foreign reader one on its way out is not to be used
      status: workload.health === 'healthy' ? 'HEALTHY' : 'UNHEALTHY',
      draining: workload.health === 'draining',
      clusterId: workload.cluster === DEFAULTS.cluster ? '' : workload.cluster,
      networkGateway: writeGateway(workload.networkGateway),
      hostname: workload.hostname,
      services: Object.fromEntries(
        [...workload.services].map(([key, ports]) => [key, { ports: ports.map(writePort) }]),
      ),
      locality: workload.locality,
      nativeTunnel: workload.nativeTunnel,
      applicationTunnel: writeApplicationTunnel(workload.applicationTunnel),
      outboundPolicy: named(OUTBOUND_POLICIES, workload.outboundPolicy),
      networkMode: workload.hostNetwork ? 'HOST_NETWORK' : 'STANDARD',
      capacity: workload.capacity === DEFAULTS.capacity ? null : { value: workload.capacity },
    },
  });
}

export function encodeService(service: Service): Uint8Array {
  const { loadBalancing } = service;
  return ADDRESS.encode({
    service: {
      name: service.name,
      namespace: service.namespace,
      hostname: service.hostname,
      addresses: service.vips.map(({ network, ip, prefixLength }) => ({
        network,
        address: ipToBytes(ip),
        ...(prefixLength === undefined ? {} : { length: prefixLength }),
      })),
      ports: service.ports.map(writePort),
      subjectAltNames: [...service.subjectAltNames],
      waypoint: writeGateway(service.waypoint),
      loadBalancing:
        loadBalancing === undefined
          ? null
          : {
              mode: named(MODES, loadBalancing.mode),
              routingPreference: loadBalancing.preference.map((scope) => named(SCOPES, scope)),
              healthPolicy: named(HEALTH_POLICIES, loadBalancing.health),
            },
      ipFamilies: named(IP_FAMILIES, service.ipFamilies),
      canonical: service.canonical,
      ingressUseWaypoint: service.ingressUseWaypoint,
      weightedWaypoints: service.weightedWaypoints.map(({ destination, weight }) => ({
        destination: writeGateway(destination),
        weight,
      })),
      visibility: named(VISIBILITIES, service.visibility),
      sessionAffinitySeconds: service.sessionAffinitySeconds ?? 0,
      balancing: named(BALANCINGS, service.balancing),
    },
  });
}

function readWorkload(message: WorkloadMessage): Workload {
  const what = `workload "${message.uid}"`;
  if (message.uid === '') throw new DecodeError('Cannot read workload: it has no uid');
  return {
    uid: message.uid,
    name: message.name,
    namespace: message.namespace,
    serviceAccount: message.serviceAccount || DEFAULTS.serviceAccount,
    trustDomain: message.trustDomain || DEFAULTS.trustDomain,
    cluster: message.clusterId || DEFAULTS.cluster,
    network: message.network,
    node: message.node,
    addresses: message.addresses.map((bytes) => readIp(bytes, what)),
    hostname: message.hostname,
    locality: message.locality ?? { region: '', zone: '', subzone: '' },
    health: healthOf(message, what),
    protocol: choice(TUNNEL_PROTOCOLS, message.tunnelProtocol, what),
    nativeTunnel: message.nativeTunnel,
    applicationTunnel: readApplicationTunnel(message.applicationTunnel, what),
    hostNetwork: choice(NETWORK_MODES, message.networkMode, what) === 'host',
    waypoint: readGateway(message.waypoint, what),
    networkGateway: readGateway(message.networkGateway, what),
    canonicalName: message.canonicalName,
    canonicalRevision: message.canonicalRevision,
    workloadName: message.workloadName,
    workloadType: choice(WORKLOAD_TYPES, message.workloadType, what),
    services: new Map(
      Object.entries(message.services).map(([key, { ports }]) => [
        key,
        ports.map((port) => readPort(port, what)),
      ]),
    ),
    authorizationPolicies: message.authorizationPolicies,
    capacity: message.capacity?.value ?? DEFAULTS.capacity,
    outboundPolicy: choice(OUTBOUND_POLICIES, message.outboundPolicy, what),
  };
}

function readService(message: ServiceMessage): Service {
  const what = `service "${message.namespace}/${message.hostname}"`;
  if (message.hostname === '') throw new DecodeError(`Cannot read ${what}: it has no hostname`);
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    vips: message.addresses.map((address) => readVip(address, what)),
    ports: message.ports.map((port) => readPort(port, what)),
    subjectAltNames: message.subjectAltNames,
    waypoint: readGateway(message.waypoint, what),
    weightedWaypoints: message.weightedWaypoints.map((one) => readWeighted(one, what)),
    ingressUseWaypoint: message.ingressUseWaypoint,
    loadBalancing: readLoadBalancing(message.loadBalancing, what),
    ipFamilies: choice(IP_FAMILIES, message.ipFamilies, what),
    canonical: message.canonical,
    visibility: choice(VISIBILITIES, message.visibility, what),
    sessionAffinitySeconds: message.sessionAffinitySeconds || undefined,
    balancing: choice(BALANCINGS, message.balancing, what),
  };
}

function healthOf({ status, draining }: WorkloadMessage, what: string): Workload['health'] {
  const health = choice(STATUSES, status, what);
  return health === 'unhealthy' && draining ? 'draining' : health;
}

function readWeighted({ destination, weight }: WeightedMessage, what: string): WeightedWaypoint {
  const gateway = readGateway(destination, what);
  if (gateway !== undefined) return { destination: gateway, weight };
  throw new DecodeError(`Cannot read ${what}: one of its waypoints has no destination`);
}

function readApplicationTunnel(
  message: WorkloadMessage['applicationTunnel'],
  what: string,
): ApplicationTunnel | undefined {
  if (message === null) return undefined;
  const { port } = message;
  if (port > 65535) throw new DecodeError(`Cannot read ${what}: its tunnel port is ${port}`);
  return { protocol: choice(TUNNELLED_AS, message.protocol, what), port };
}

function writeApplicationTunnel(
  tunnel: ApplicationTunnel | undefined,
): WorkloadMessage['applicationTunnel'] {
  if (tunnel === undefined) return null;
  return { protocol: named(TUNNELLED_AS, tunnel.protocol), port: tunnel.port };
}

function readLoadBalancing(
  message: ServiceMessage['loadBalancing'],
  what: string,
): LoadBalancing | undefined {
  if (message === null) return undefined;
  return {
    mode: choice(MODES, message.mode, what),
    preference: message.routingPreference.map(
      (scope): LocalityScope => choice(SCOPES, scope, what),
    ),
    health: choice(HEALTH_POLICIES, message.healthPolicy, what),
  };
}

function readVip({ network, address, length }: NetworkAddressMessage, what: string): Vip {
  if (length === undefined) return { network, ip: readIp(address, what), prefixLength: undefined };
  try {
    return { network, ...cidrFromBytes(address, length) };
  } catch (cause) {
    throw new DecodeError(
      `Cannot read ${what}: ${address.length} bytes and prefix length ${length} are no address range`,
      { cause },
    );
  }
}

function readGateway(message: GatewayMessage | null, what: string): GatewayAddress | undefined {
  if (message === null) return undefined;
  // refusing the resource would let its traffic go around the gateway; every waypoint listens on the usual port
  const port = message.hboneMtlsPort || DEFAULTS.gatewayPort;
  if (port > 65535) throw new DecodeError(`Cannot read ${what}: its gateway's port is ${port}`);
  if (message.hostname) return { by: 'hostname', ...message.hostname, port };
  if (message.address) {
    const { network, address } = message.address;
    return { by: 'address', network, ip: readIp(address, what), port };
  }
  throw new DecodeError(`Cannot read ${what}: its gateway has neither hostname nor address`);
}

function writeGateway(gateway: GatewayAddress | undefined): GatewayMessage | null {
  if (gateway === undefined) return null;
  if (gateway.by === 'hostname') {
    return {
      hostname: { namespace: gateway.namespace, hostname: gateway.hostname },
      hboneMtlsPort: gateway.port,
    };
  }
  return {
    address: { network: gateway.network, address: ipToBytes(gateway.ip) },
    hboneMtlsPort: gateway.port,
  };
}

function readPort(message: PortMessage, what: string): PortMapping {
  const { servicePort, targetPort } = message;
  if (servicePort > 65535 || targetPort > 65535) {
    throw new DecodeError(
      `Cannot read ${what}: port ${servicePort} to ${targetPort} is out of range`,
    );
  }
  return { servicePort, targetPort, appProtocol: choice(APP_PROTOCOLS, message.appProtocol, what) };
}

function writePort(port: PortMapping): PortMessage {
  return {
    servicePort: port.servicePort,
    targetPort: port.targetPort,
    appProtocol: named(APP_PROTOCOLS, port.appProtocol),
  };
}

function readIp(bytes: Uint8Array, what: string): IpAddress {
  try {
    return ipFromBytes(bytes);
  } catch (cause) {
    throw new DecodeError(`Cannot read ${what}: an address has ${bytes.length} bytes`, { cause });
  }
}

/** An enum's wire name -> our word. A number that has no name comes through as that number: refused. */
function choice<T extends string>(
  words: Readonly<Record<string, T>>,
  name: string | number,
  what: string,
): T {
  const word = Object.hasOwn(words, name) ? words[name] : undefined;
  if (word === undefined)
    throw new DecodeError(`Cannot read ${what}: value ${name} is not known here`);
  return word;
}

function named<T extends string>(words: Readonly<Record<string, T>>, word: T): string {
  const entry = Object.entries(words).find(([, candidate]) => candidate === word);
  if (entry === undefined) throw new RangeError(`No wire name for "${word}"`);
  return entry[0];
}
