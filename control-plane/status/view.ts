// What /status answers: the newest translation and the proxies, as the cli wants them. Pure.

import { X509Certificate } from 'node:crypto';
import { formatIdentity } from '../../mesh/identity.ts';
import type { Namespace, Pod } from '../../runtime/kubernetes/objects.ts';
import { splitPem } from '../../runtime/trust.ts';
import type { RotationStatus } from '../../wire/rotation.ts';
import type {
  AgentStatus,
  ConnectedWaypoint,
  ControlPlaneStatus,
  NamespaceStatus,
  Problem,
  WaypointStatus,
  WorkloadStatus,
} from '../../wire/status.ts';
import type { ProxyConnection } from '../push/connection.ts';
import { isAlive, isWanted, modeOf, REDIRECTION } from '../translate/mode.ts';
import { accountOf, isEnrolled } from '../translate/workload.ts';

export type StatusFacts = {
  readonly version: string;
  readonly pod: string;
  readonly leader: boolean;
  readonly rootsPem: string | undefined;
  readonly rotation: RotationStatus | undefined;
  readonly trustDomain: string;
  readonly proxies: readonly ProxyConnection[];
  readonly namespaces: Iterable<Namespace>;
  readonly pods: Iterable<Pod>;
  readonly problems: readonly Problem[];
  readonly waypoints: readonly WaypointStatus[];
};

export function statusOf(facts: StatusFacts): ControlPlaneStatus {
  const namespaces = new Map(
    [...facts.namespaces].map((namespace) => [namespace.metadata.name ?? '', namespace]),
  );
  const counts = new Map<string, { pods: number; enrolled: number; leftAlone: number }>();
  const workloads: WorkloadStatus[] = [];
  for (const pod of facts.pods) {
    if (!isAlive(pod)) continue;
    const { namespace = '' } = pod.metadata;
    const place = namespaces.get(namespace);
    const count = counts.get(namespace) ?? { pods: 0, enrolled: 0, leftAlone: 0 };
    counts.set(namespace, count);
    count.pods++;
    if (isEnrolled(pod, place)) count.enrolled++;
    if (leftAlone(pod, place) !== undefined) count.leftAlone++;
    if (modeOf(place) === 'ambient' || isWanted(pod, place)) {
      workloads.push(workloadStatus(pod, place, facts.trustDomain));
    }
  }
  return {
    version: facts.version,
    pod: facts.pod,
    leader: facts.leader,
    rootNotAfter: rootEnd(facts.rootsPem),
    ...(facts.rotation === undefined ? {} : { rotation: facts.rotation }),
    agents: facts.proxies.flatMap(agentStatus),
    connectedWaypoints: facts.proxies.flatMap(waypointStatus),
    namespaces: [...namespaces]
      .map(
        ([name, namespace]): NamespaceStatus => ({
          name,
          mode: modeOf(namespace) === 'ambient' ? 'ambient' : 'none',
          pods: counts.get(name)?.pods ?? 0,
          enrolled: counts.get(name)?.enrolled ?? 0,
          leftAlone: counts.get(name)?.leftAlone ?? 0,
        }),
      )
      .toSorted((a, b) => a.name.localeCompare(b.name)),
    workloads: workloads.toSorted(
      (a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name),
    ),
    problems: facts.problems,
    waypoints: facts.waypoints.toSorted(
      (a, b) => a.namespace.localeCompare(b.namespace) || a.name.localeCompare(b.name),
    ),
  };
}

function agentStatus(connection: ProxyConnection): AgentStatus[] {
  const { proxy } = connection;
  return proxy.kind === 'agent' ? [{ node: proxy.node, ...proxyStatus(connection) }] : [];
}

function waypointStatus(connection: ProxyConnection): ConnectedWaypoint[] {
  const { proxy } = connection;
  if (proxy.kind !== 'waypoint') return [];
  return [{ namespace: proxy.namespace, gateway: proxy.gateway, ...proxyStatus(connection) }];
}

function proxyStatus({ proxy, session, trust }: ProxyConnection): Omit<AgentStatus, 'node'> {
  const [, version = proxy.userAgent] = /^[^/]+\/(\S+)$/.exec(proxy.userAgent) ?? [];
  const said = trust();
  return {
    pod: proxy.pod,
    version,
    inSync: session.inSync,
    ...(said === undefined ? {} : { trust: said }),
  };
}

function workloadStatus(
  pod: Pod,
  namespace: Namespace | undefined,
  trustDomain: string,
): WorkloadStatus {
  const { name = '', namespace: place = '' } = pod.metadata;
  const why = leftAlone(pod, namespace);
  return {
    namespace: place,
    name,
    node: pod.spec.nodeName ?? '',
    identity: formatIdentity({ trustDomain, namespace: place, serviceAccount: accountOf(pod) }),
    protocol: isEnrolled(pod, namespace) ? 'hbone' : 'tcp',
    redirection: redirectionOf(pod, namespace),
    ...(why === undefined ? {} : { leftAlone: why }),
  };
}

function leftAlone(pod: Pod, namespace: Namespace | undefined): WorkloadStatus['leftAlone'] {
  if (modeOf(namespace) !== 'ambient' || isWanted(pod, namespace)) return undefined;
  return pod.spec.hostNetwork === true ? 'host-network' : 'opted-out';
}

function redirectionOf(pod: Pod, namespace: Namespace | undefined): WorkloadStatus['redirection'] {
  const said = pod.metadata.annotations?.[REDIRECTION];
  if (said === 'enabled' || said === 'failed') return said;
  return isWanted(pod, namespace) ? 'wanted' : 'none';
}

/** The root that ends first. */
function rootEnd(rootsPem: string | undefined): string | undefined {
  const certificates = splitPem(rootsPem ?? '');
  try {
    const ends = certificates.map((pem) => new X509Certificate(pem).validToDate.getTime());
    return ends.length === 0 ? undefined : new Date(Math.min(...ends)).toISOString();
  } catch {
    return undefined;
  }
}
