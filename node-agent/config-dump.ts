// The answer of /config_dump: everything this agent knows, in the JSON shape of the reference's dumps (wire/config-dump.ts
// has the fields). Made by admin-routes.ts. Keys are never shown; certificates are.

import { X509Certificate } from 'node:crypto';
import { formatIdentity } from '../mesh/identity.ts';
import type { LoadBalancing, Service } from '../mesh/service.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { GatewayAddress, Workload } from '../mesh/workload.ts';
import { splitPem } from '../runtime/trust.ts';
import { VERSION } from '../runtime/version.ts';
import type { Certificates } from '../tunnel/certificates/certificates.ts';
import type {
  CertificateDump,
  ConfigDump,
  EndpointDump,
  GatewayDump,
  IdentityDump,
  LoadBalancerDump,
  ServiceDump,
  WorkloadDump,
  WorkloadStateDump,
} from '../wire/config-dump.ts';
import { dumpPolicy } from '../wire/policy-dump.ts';
import type { AdminView } from './admin-view.ts';
import { describeConnection } from './connection-dump.ts';

export function configDump(view: AdminView): ConfigDump {
  const snapshot = view.discovery.snapshot();
  return {
    workloads: [...snapshot.workloads()].map(describeWorkload),
    services: [...snapshot.services()].map((service) => describeService(service, snapshot)),
    policies: [...snapshot.policies()].map(dumpPolicy),
    stagedServices: {},
    staticConfig: {},
    version: { version: VERSION, snapshot: snapshot.version },
    config: view.settings,
    certificates: describeCertificates(view.certificates),
    workloadState: workloadState(view),
  };
}

function describeWorkload(workload: Workload): WorkloadDump {
  return {
    uid: workload.uid,
    workloadIps: workload.addresses,
    waypoint: gateway(workload.waypoint),
    networkGateway: gateway(workload.networkGateway),
    protocol: workload.protocol === 'hbone' ? 'HBONE' : 'TCP',
    name: workload.name,
    namespace: workload.namespace,
    trustDomain: workload.trustDomain,
    serviceAccount: workload.serviceAccount,
    network: workload.network,
    workloadName: workload.workloadName,
    workloadType: workload.workloadType,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    hostname: workload.hostname,
    node: workload.node,
    authorizationPolicies: workload.authorizationPolicies,
    status: statusOf(workload),
    clusterId: workload.cluster,
    locality: workload.locality,
    services: [...workload.services.keys()],
    capacity: workload.capacity,
  };
}

function statusOf(workload: Workload): 'Healthy' | 'Unhealthy' {
  return workload.health === 'healthy' ? 'Healthy' : 'Unhealthy';
}

function describeService(service: Service, snapshot: Snapshot): ServiceDump {
  const key = `${service.namespace}/${service.hostname}`;
  const endpoints = snapshot.membersOf(key).map((workload): [string, EndpointDump] => [
    workload.uid,
    {
      workloadUid: workload.uid,
      service: key,
      port: portTable(workload.services.get(key) ?? []),
      status: statusOf(workload),
    },
  ]);
  return {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    vips: service.vips.map(({ network, ip, prefixLength }) =>
      prefixLength === undefined ? `${network}/${ip}` : `${network}/${ip}/${prefixLength}`,
    ),
    ports: portTable(service.ports),
    endpoints: Object.fromEntries(endpoints),
    subjectAltNames: service.subjectAltNames,
    waypoint: gateway(service.waypoint),
    loadBalancer: loadBalancer(service.loadBalancing),
    ipFamilies: { automatic: '', ipv4: 'IPv4', ipv6: 'IPv6', dual: 'Dual' }[service.ipFamilies],
  };
}

function portTable(ports: Service['ports']): Record<string, number> {
  return Object.fromEntries(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort]));
}

function gateway(address: GatewayAddress | undefined): GatewayDump | undefined {
  if (address === undefined) return undefined;
  const destination =
    address.by === 'address'
      ? `${address.network}/${address.ip}`
      : `${address.namespace}/${address.hostname}`;
  return { destination, hboneMtlsPort: address.port };
}

function loadBalancer(balancing: LoadBalancing | undefined): LoadBalancerDump | undefined {
  if (balancing === undefined) return undefined;
  return {
    mode: balancing.mode === 'unspecified' ? 'Standard' : capitalised(balancing.mode),
    routingPreferences: balancing.preference.map(capitalised),
    healthPolicy: balancing.health === 'allow-all' ? 'AllowAll' : 'OnlyHealthy',
  };
}

function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export function describeCertificates(certificates: Certificates): IdentityDump[] {
  const dumps = [...certificates.held()].map(({ identity, svid, roots, error }) => ({
    identity: formatIdentity(identity),
    state: svid === undefined ? waiting(error) : 'Available',
    certChain: svid === undefined ? [] : splitPem(svid.chainPem).map(describeCertificate),
    rootCerts: roots.flatMap(splitPem).map(describeCertificate),
  }));
  return dumps.toSorted((a, b) => a.identity.localeCompare(b.identity));
}

function waiting(error: unknown): string {
  if (error === undefined) return 'Initializing';
  return `Unavailable: ${error instanceof Error ? error.message : String(error)}`;
}

function describeCertificate(pem: string): CertificateDump {
  const certificate = new X509Certificate(pem);
  return {
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFrom: seconds(certificate.validFromDate),
    expirationTime: seconds(certificate.validToDate),
  };
}

/** RFC 3339 without fractions, as certificates have none. */
function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

function workloadState({ enrolments, connections }: AdminView): Record<string, WorkloadStateDump> {
  const byPod = Map.groupBy(connections.open(), ({ podUid }) => podUid);
  return Object.fromEntries(
    [...enrolments.pods()].map(({ enrolment, state }): [string, WorkloadStateDump] => {
      const open = byPod.get(enrolment.podUid) ?? [];
      const going = (direction: string): ReturnType<typeof describeConnection>[] =>
        open.filter((one) => one.direction === direction).map(describeConnection);
      return [
        enrolment.podUid,
        {
          state: STATES[state],
          connections: { inbound: going('inbound'), outbound: going('outbound') },
          info: {
            name: enrolment.name,
            namespace: enrolment.namespace,
            trustDomain: enrolment.identity.trustDomain,
            serviceAccount: enrolment.identity.serviceAccount,
          },
        },
      ];
    }),
  );
}

const STATES = {
  waiting: 'Pending',
  starting: 'Pending',
  enabled: 'Up',
  failed: 'Pending',
  leaving: 'Draining',
} as const;
