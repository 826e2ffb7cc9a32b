// The data path put together: what happens to each connection and query of a pod's sockets. Called by app.ts once; the
// journeys themselves are outbound.ts, inbound.ts, passthrough.ts and dns/.

import type { Clock } from '../runtime/clock.ts';
import type { Metrics } from '../runtime/metrics.ts';
import type { TunnelPool } from '../tunnel/pool.ts';
import { Affinity } from './affinity.ts';
import type { Connections } from './connections.ts';
import type { Dns } from './dns/dns.ts';
import { countLookups } from './dns/dns-metrics.ts';
import type { HostLookup } from './host-lookup.ts';
import { receive } from './inbound.ts';
import { knownSource, type SnapshotSource } from './known-source.ts';
import type { Journeys } from './local-pod.ts';
import { carry, EndpointLoad } from './outbound.ts';
import { admitPlain } from './passthrough.ts';
import type { PolicyRecord } from './policy-record.ts';
import type { Trails } from './trail.ts';
import type { TunnelReports } from './tunnel-reports.ts';
import { openThrough, tunnelKey } from './tunnels.ts';

type Parts = {
  readonly clock: Clock;
  readonly discovery: SnapshotSource;
  readonly metrics: Metrics;
  readonly random: () => number;
  readonly trails: Trails;
  readonly connections: Connections;
  readonly tunnels: TunnelReports;
  readonly pool: TunnelPool;
  readonly record: PolicyRecord;
  readonly hosts: HostLookup;
  readonly dns: Dns | undefined;
};

export function journeysOf(parts: Parts): Journeys {
  const { clock, discovery, random, trails, connections, tunnels, pool, hosts, dns } = parts;
  const load = new EndpointLoad();
  const affinity = new Affinity({ clock });
  const countLookup = countLookups({ metrics: parts.metrics, clock });
  const policy = { snapshot: () => discovery.snapshot(), record: parts.record };
  const shared = { trails, connections, snapshot: policy.snapshot, policy };
  return {
    outbound: (pod, captured) =>
      void carry(pod, captured, {
        trails,
        connections,
        load,
        affinity,
        random,
        source: () => knownSource(parts, pod.enrolment.workloadUid),
        openThrough: (_, hop, heads, signal) =>
          openThrough({ clock, pod, pool, snapshot: policy.snapshot() }, hop, heads, signal),
        lookup: (hostname, like, signal) => {
          countLookup(hostname, policy.snapshot().workloadByUid(pod.enrolment.workloadUid));
          return hosts.address(hostname, like, signal);
        },
        openTunnel: (_, hop, head, signal) =>
          pool.open(tunnelKey(pod, hop, discovery.snapshot()), head, signal),
      }),
    inbound: (pod, request) => void receive(pod, request, shared),
    passthrough: (pod, captured) => void admitPlain(pod, captured, shared),
    denied: (_, { remote, local, error }) =>
      tunnels.refused({ source: remote, destination: local, direction: 'inbound', error }),
    lost: (_, { remote, local, error }) =>
      tunnels.lost({ source: remote, destination: local, direction: 'inbound', error }),
    ...(dns === undefined ? {} : { dns }),
    left: ({ enrolment: { podUid } }, gone) => {
      dns?.release(podUid);
      return gone ? pool.release(podUid) : pool.drain(podUid);
    },
  };
}
