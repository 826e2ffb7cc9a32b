// The agent's side of its pool of tunnels: which tunnel a hop needs, how one is dialled from inside its pod, and when an
// address has passed to another workload. Called by app.ts and journeys.ts. Invariant: a tunnel is dialled, and used again, only while
// the snapshot says that the address is the workload's the connection was meant for.

import { formatIpPort } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import type { GatewayHop, TunnelHop } from '../mesh/next-hop.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { Clock } from '../runtime/clock.ts';
import { connectTunnel } from '../tunnel/connect.ts';
import { openThroughGateway } from '../tunnel/gateway.ts';
import type { TunnelKey, TunnelPool } from '../tunnel/pool.ts';
import type { ConnectHead, Tunnel, TunnelStream } from '../tunnel/tunnel.ts';
import { TUNNEL_ROOM_BYTES } from '../tunnel/windows.ts';
import type { LocalPod } from './local-pod.ts';

type ToTunnel = Pick<TunnelHop, 'expected' | 'to' | 'workload'>;

/** @throws MeshError SOURCE_UNKNOWN while the pod has no address */
export function tunnelKey(pod: LocalPod, hop: ToTunnel, snapshot: Snapshot): TunnelKey {
  const { podUid, workloadUid, identity, addresses } = pod.enrolment;
  // a pod that has just started: its workload's addresses may be known a moment before its enrolment's
  const [sourceIp] = [...addresses, ...(snapshot.workloadByUid(workloadUid)?.addresses ?? [])];
  if (sourceIp === undefined) {
    throw new MeshError('SOURCE_UNKNOWN', `Cannot open a tunnel: pod ${podUid} has no address`);
  }
  const { workload, to, expected } = hop;
  return {
    owner: podUid,
    source: identity,
    sourceIp,
    expected,
    destination: to,
    workload: workload.addresses.includes(to.ip) ? workload.uid : undefined,
  };
}

/** A tunnel to the gateway, and inside its stream one to whom it leads to. @throws MeshError */
export async function openThrough(
  parts: {
    readonly clock: Clock;
    readonly pod: LocalPod;
    readonly pool: Pick<TunnelPool, 'open'>;
    readonly snapshot: Snapshot;
  },
  hop: GatewayHop,
  heads: { readonly outer: ConnectHead; readonly inner: ConnectHead },
  signal: AbortSignal,
): Promise<TunnelStream> {
  const { clock, pod, pool, snapshot } = parts;
  const credentials = await pod.credentials();
  const key = tunnelKey(pod, { ...hop, workload: hop.gateway }, snapshot);
  const stream = await pool.open(key, heads.outer, signal);
  const inside = { clock, credentials, expected: hop.expectedInside, head: heads.inner };
  return openThroughGateway(stream, inside, signal);
}

/** False once the workload is gone, has left the address, or another one has it. */
export function isCurrent({ workload: uid, destination }: TunnelKey, snapshot: Snapshot): boolean {
  if (uid === undefined) return true;
  const workload = snapshot.workloadByUid(uid);
  if (workload === undefined || !workload.addresses.includes(destination.ip)) return false;
  // on the host's network nobody owns the address
  const owner = snapshot.workloadByIp(workload.network, destination.ip);
  return owner === undefined || owner.uid === uid;
}

/** @throws MeshError as `pod.dial` and `connectTunnel`; TUNNEL_CONNECT_TIMEOUT when the door does not answer */
export async function dialTunnel(
  parts: { readonly clock: Clock; readonly pod: LocalPod | undefined },
  { destination, expected }: TunnelKey,
  signal: AbortSignal,
): Promise<Tunnel> {
  const { clock, pod } = parts;
  const name = formatIpPort(destination);
  if (pod === undefined) {
    const left = `Cannot open a tunnel to ${name}: the pod has left the mesh`;
    throw new MeshError('IDENTITY_ERROR', left);
  }
  const credentials = await pod.credentials();
  const socket = await pod
    .dial({ to: destination, roomBytes: TUNNEL_ROOM_BYTES }, signal)
    .catch((error: unknown) => Promise.reject(asTunnelFailure(error, name)));
  return connectTunnel({ clock, credentials }, socket, { name, expected }, signal);
}

/** Port 15008 of a pod that is in the mesh answers; silence is most often a network policy that does not know it. */
function asTunnelFailure(error: unknown, name: string): unknown {
  if (!(error instanceof MeshError) || error.code !== 'UPSTREAM_CONNECT_TIMEOUT') return error;
  return new MeshError(
    'TUNNEL_CONNECT_TIMEOUT',
    `${error.message}; check that no NetworkPolicy forbids port 15008 to ${name}`,
    { cause: error },
  );
}
