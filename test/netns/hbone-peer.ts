// Peers that terminate HBONE by themselves, without a node agent in front: a waypoint and the gateway of another network,
// as small as they can be, made of our tunnel/. Called by the netns tests. They live in a pod's network namespace.

import { formatIpPort, type IpPort } from '../../mesh/address.ts';
import { MeshError } from '../../mesh/failures.ts';
import type { Identity } from '../../mesh/identity.ts';
import { identityOf } from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { TunnelAcceptor } from '../../tunnel/accept.ts';
import { connectTunnel } from '../../tunnel/connect.ts';
import { type Leg, splice } from '../../tunnel/splice.ts';
import type { TestCa } from '../../tunnel/test-ca.ts';
import type { TunnelFields, TunnelRequest, TunnelStream } from '../../tunnel/tunnel.ts';
import type { Lan, Pod } from './lan.ts';

const TUNNEL_PORT = 15008;

export type Peer = {
  readonly lan: Lan;
  readonly ca: TestCa;
  readonly pod: Pod;
};

/** Answers every CONNECT to the pod with what `carry` says; what it was asked for is returned, as it comes. */
async function answer(
  { lan, ca, pod }: Peer,
  carry: (request: TunnelRequest) => Promise<Leg>,
): Promise<TunnelRequest[]> {
  const requests: TunnelRequest[] = [];
  const serve = async (request: TunnelRequest): Promise<void> => {
    requests.push(request);
    try {
      const upstream = await carry(request);
      await splice(request.accept({}), upstream, { sent: 0, received: 0 });
    } catch {
      request.refuse(503);
    }
  };
  const acceptor = new TunnelAcceptor({
    clock: systemClock,
    credentials: await ca.credentials(identityOf(pod)),
    onRequest: (request) => void serve(request),
    onDenied: () => {
      // the peer's own end tells
    },
  });
  await lan.serve(pod, TUNNEL_PORT, (socket) => acceptor.take(socket));
  return requests;
}

/** Carries what it is asked for to `target` in a tunnel of its own, as itself: what a waypoint does. */
export function waypoint(
  peer: Peer,
  target: { readonly pod: Pod; readonly port: number },
): Promise<TunnelRequest[]> {
  return answer(peer, () =>
    openTunnel(peer, { to: target.pod, authority: `${target.pod.v4}:${target.port}` }),
  );
}

/** Ends the outer tunnel and passes its bytes on to the door of `target`, without a look at them. */
export function gateway(peer: Peer, target: Pod): Promise<TunnelRequest[]> {
  return answer(peer, async () => {
    const socket = await peer.lan.connect(peer.pod, target.v4, TUNNEL_PORT);
    return { bytes: socket, reset: () => void socket.resetAndDestroy() };
  });
}

/** One stream in a tunnel from the peer's pod, with its certificate. @throws MeshError */
export async function openTunnel(
  { lan, ca, pod }: Peer,
  asked: {
    readonly to: Pod;
    readonly authority: string;
    readonly fields?: TunnelFields;
    readonly expected?: readonly Identity[];
  },
): Promise<TunnelStream> {
  const socket = await lan.connect(pod, asked.to.v4, TUNNEL_PORT);
  const credentials = await ca.credentials(identityOf(pod));
  const to: IpPort = { ip: asked.to.addresses[0] as IpPort['ip'], port: TUNNEL_PORT };
  const tunnel = await connectTunnel({ clock: systemClock, credentials }, socket, {
    name: formatIpPort(to),
    expected: asked.expected ?? [identityOf(asked.to)],
  });
  return tunnel.open({ authority: asked.authority, fields: asked.fields ?? {} });
}

/** What a refused CONNECT was answered with. */
export async function statusOf(opening: Promise<TunnelStream>): Promise<number> {
  try {
    (await opening).reset();
    return 200;
  } catch (error) {
    const [, status] = /status (\d+)/.exec(error instanceof MeshError ? error.message : '') ?? [];
    if (status === undefined) throw error;
    return Number(status);
  }
}
