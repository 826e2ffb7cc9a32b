// Pod -> Workload: where it is, who it is, what it serves and how peers reach it. Pure.

import { MANAGED } from '../../mesh/waypoint.ts';
import type { GatewayAddress, PortMapping, Workload } from '../../mesh/workload.ts';
import type { KubeObject, Node, Pod } from '../../runtime/kubernetes/objects.ts';
import { addressesOf, isAlive, isWanted, REDIRECTION } from './mode.ts';
import { readIps } from './service.ts';
import { outboundPolicyOf } from './traffic.ts';

export type WorkloadContext = {
  readonly cluster: string;
  readonly network: string;
  readonly trustDomain: string;
  /** What a namespace that says nothing of its own may reach. */
  readonly outboundPolicy: Workload['outboundPolicy'];
  readonly clusterDomain: string;
  readonly namespace: KubeObject | undefined;
  readonly node: Node | undefined;
  readonly services: ReadonlyMap<string, readonly PortMapping[]>;
  readonly authorizationPolicies: readonly string[];
  /** What connections to its own address must go through. */
  readonly waypoint: GatewayAddress | undefined;
};

export function workloadUid(cluster: string, namespace: string, name: string): string {
  return `${cluster}//Pod/${namespace}/${name}`;
}

/** undefined for a pod that has ended, has no node or no address yet: there is nothing to talk to. */
export function workloadOf(pod: Pod, context: WorkloadContext): Workload | undefined {
  const { name = '', namespace = '' } = pod.metadata;
  const addresses = readIps(addressesOf(pod));
  if (!isAlive(pod) || addresses.length === 0) return undefined;
  const owner = ownerOf(pod);
  const health = healthOf(pod);
  const nativeTunnel = isWaypoint(pod) && health !== 'unhealthy';
  return {
    uid: workloadUid(context.cluster, namespace, name),
    name,
    namespace,
    serviceAccount: accountOf(pod),
    trustDomain: context.trustDomain,
    cluster: context.cluster,
    network: context.network,
    node: pod.spec.nodeName ?? '',
    addresses,
    hostname: ownName(pod, context.clusterDomain),
    locality: localityOf(context.node),
    health,
    protocol: nativeTunnel || isEnrolled(pod, context.namespace) ? 'hbone' : 'tcp',
    nativeTunnel,
    applicationTunnel: undefined,
    hostNetwork: pod.spec.hostNetwork === true,
    waypoint: context.waypoint,
    networkGateway: undefined,
    ...canonical(pod, owner.name),
    workloadName: owner.name,
    workloadType: owner.type,
    services: context.services,
    authorizationPolicies: context.authorizationPolicies,
    capacity: 1,
    outboundPolicy: outboundPolicyOf(context.namespace, context.outboundPolicy),
  };
}

/** It takes tunnels by itself, as soon as it is ready to. */
function isWaypoint({ metadata }: Pod): boolean {
  return metadata.labels?.[MANAGED] === 'waypoint';
}

/** Kubernetes gives a pod a name of its own where it has a hostname and a subdomain, as those of a StatefulSet do. */
function ownName({ metadata, spec }: Pod, clusterDomain: string): string {
  const { hostname = '', subdomain = '' } = spec;
  if (hostname === '' || subdomain === '') return '';
  return `${hostname}.${subdomain}.${metadata.namespace}.svc.${clusterDomain}`;
}

/** A tunnel may be dialled only once the pod's agent said that it is there, and only while it shall be. */
export function isEnrolled(pod: Pod, namespace: KubeObject | undefined): boolean {
  return isWanted(pod, namespace) && pod.metadata.annotations?.[REDIRECTION] === 'enabled';
}

export function accountOf(pod: Pod): string {
  const account = pod.spec.serviceAccountName;
  return account === undefined || account === '' ? 'default' : account;
}

/** Ready; one that is on its way out and still ready gets connections only when nobody else is left. */
function healthOf(pod: Pod): Workload['health'] {
  const ready = (pod.status?.conditions ?? []).some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  );
  if (!ready) return 'unhealthy';
  return pod.metadata.deletionTimestamp === undefined ? 'healthy' : 'draining';
}

export function localityOf(node: Node | undefined): Workload['locality'] {
  const labels = node?.metadata.labels ?? {};
  return {
    region: labels['topology.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? '',
    subzone: labels['topology.istio.io/subzone'] ?? '',
  };
}

/** The names telemetry groups by, from the labels that users of the reference already set. */
function canonical(
  pod: Pod,
  workloadName: string,
): Pick<Workload, 'canonicalName' | 'canonicalRevision'> {
  const labels = pod.metadata.labels ?? {};
  return {
    canonicalName:
      labels['service.istio.io/canonical-name'] ??
      labels['app.kubernetes.io/name'] ??
      labels['app'] ??
      workloadName,
    canonicalRevision:
      labels['service.istio.io/canonical-revision'] ??
      labels['app.kubernetes.io/version'] ??
      labels['version'] ??
      'latest',
  };
}

function ownerOf(pod: Pod): { name: string; type: Workload['workloadType'] } {
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return { name: pod.metadata.name ?? '', type: 'pod' };
  if (owner.kind === 'ReplicaSet') {
    // a Deployment names its ReplicaSets after itself and the hash that is also a label of the pods
    const suffix = `-${pod.metadata.labels?.['pod-template-hash'] ?? ''}`;
    if (suffix.length > 1 && owner.name.endsWith(suffix)) {
      return { name: owner.name.slice(0, -suffix.length), type: 'deployment' };
    }
  }
  if (owner.kind === 'Job') {
    // a CronJob names its Jobs after itself and the scheduled minute since 1970
    const [, cronJob] = /^(.+)-\d{8,}$/.exec(owner.name) ?? [];
    return cronJob === undefined
      ? { name: owner.name, type: 'job' }
      : { name: cronJob, type: 'cronjob' };
  }
  return { name: owner.name, type: 'pod' };
}
