// A tunnel inside a stream of another: how a connection reaches a workload of another network. The outer stream ends at
// that network's gateway, which forwards its bytes without being able to read them; the inner tunnel is between us and the
// workload. Called by node-agent for a hop through a gateway. Invariant: an inner tunnel carries one stream and ends
// with it, since the gateway chose the workload behind the outer one; nothing of it is ever pooled.

import { MeshError } from '../mesh/failures.ts';
import type { Identity } from '../mesh/identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { connectTunnel } from './connect.ts';
import type { Credentials } from './contexts.ts';
import type { ConnectHead, Tunnel, TunnelStream } from './tunnel.ts';

export type ThroughGateway = {
  readonly clock: Clock;
  readonly credentials: Credentials;
  /** Who may answer inside: the service's subject alternative names, and nobody else. */
  readonly expected: readonly Identity[];
  /** `hostname:port` of the service, and the fields for whoever answers. */
  readonly head: ConnectHead;
};

/**
 * Owns `outer`, an accepted stream to the gateway, from the call on.
 * @throws MeshError as `connectTunnel` and `Tunnel.open`, or why the outer tunnel was lost
 */
export async function openThroughGateway(
  outer: TunnelStream,
  through: ThroughGateway,
  signal?: AbortSignal,
): Promise<TunnelStream> {
  const { expected, head } = through;
  if (expected.length === 0) {
    outer.reset();
    throw new MeshError(
      'PEER_IDENTITY_MISMATCH',
      `Cannot open a tunnel to ${head.authority} through a gateway: the service names no identity to expect`,
    );
  }
  let inner: Tunnel | undefined;
  try {
    const name = `${head.authority} behind a gateway`;
    inner = await connectTunnel(through, outer.bytes, { name, expected }, signal);
    return carriedBy(outer, inner, await inner.open(head, signal));
  } catch (error) {
    const lost = outer.lost;
    await inner?.close();
    outer.reset();
    throw lost ?? error;
  }
}

/** Both tunnels end with the stream; what broke the outer one explains the inner one's end. */
function carriedBy(outer: TunnelStream, inner: Tunnel, stream: TunnelStream): TunnelStream {
  inner.onIdle(() => void inner.drain());
  void inner.ended.then(() => {
    // politely drained or not, nothing is carried any more
    if (!outer.bytes.destroyed) outer.reset();
  });
  return {
    bytes: stream.bytes,
    fields: stream.fields,
    peer: stream.peer,
    get broken() {
      return stream.broken;
    },
    get lost() {
      return outer.lost ?? stream.lost;
    },
    reset: () => stream.reset(),
  };
}
