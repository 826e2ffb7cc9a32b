// Sockets made inside a pod's network namespace, each with the agent's mark. Called by netns.ts. Invariant: a descriptor that
// does not become a socket of Node's is closed here.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { closeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { type IpPort, isIpv6, parseIp } from '../../mesh/address.ts';
import { type DialTarget, RoomySocket } from '../../tunnel/socket.ts';
import type { Captured } from './capture.ts';
import { AGENT_MARK } from './rules.ts';
import { inNetns, type Netns, openSocket, originalDestination, receiveRoom } from './syscalls.ts';

export type Family = 'ipv4' | 'ipv6';

export const LOOPBACK = { ipv4: parseIp('127.0.0.1'), ipv6: parseIp('::1') } as const;
const ANY = { ipv4: parseIp('0.0.0.0'), ipv6: parseIp('::') } as const;

/** Whether the namespace has IPv6 at all: a kernel or a pod may have it switched off. */
export function hasIpv6(netns: Netns): boolean {
  try {
    const bind = { ip: LOOPBACK.ipv6, port: 0 };
    closeSync(inNetns(netns, () => openSocket({ kind: 'udp', family: 'ipv6', bind })));
    return true;
  } catch {
    return false;
  }
}

/** A descriptor for a TCP listener on all addresses of the pod. @throws SyscallError */
export function boundToAll(netns: Netns, family: Family, port: number): number {
  return inNetns(netns, () =>
    openSocket({
      family,
      mark: AGENT_MARK,
      transparent: true,
      // a new agent takes over while the old one drains
      reusePort: true,
      bind: { ip: ANY[family], port },
    }),
  );
}

/** The same on the loopback address only. @throws SyscallError */
export function boundToLoopback(
  netns: Netns,
  family: Family,
  kind: 'tcp' | 'udp',
  port: number,
): number {
  const bind = { ip: LOOPBACK[family], port };
  return inNetns(netns, () =>
    openSocket({ kind, family, mark: AGENT_MARK, reusePort: true, bind }),
  );
}

/**
 * A TCP socket that is still to be connected. The port is taken at bind, at random: chosen at connect (as
 * IP_BIND_ADDRESS_NO_PORT has it) it would follow the very sequence of the caller's own kernel, and meet the caller's own
 * connections. @throws SyscallError
 */
export function dialSocket(netns: Netns, { to, from, roomBytes }: DialTarget): Socket {
  const fd = inNetns(netns, () =>
    openSocket({
      family: isIpv6(to.ip) ? 'ipv6' : 'ipv4',
      mark: AGENT_MARK,
      ...(from === undefined ? {} : { transparent: true, bind: { ip: from, port: 0 } }),
      ...(roomBytes === undefined ? {} : { receiveBytes: roomBytes }),
    }),
  );
  // manualStart: Node would else read at once from a socket that is not connected yet
  const options: SocketConstructorOpts & { manualStart: boolean } = {
    fd,
    manualStart: true,
    allowHalfOpen: true,
    readable: true,
    writable: true,
  };
  return roomBytes === undefined ? new Socket(options) : new RoomySocket(options, receiveRoom(fd));
}

/** An unbound UDP socket; the kernel gives it a port when it first sends. @throws SyscallError */
export function markedUdp(netns: Netns, family: Family): UdpSocket {
  const fd = inNetns(netns, () => openSocket({ kind: 'udp', family, mark: AGENT_MARK }));
  return udpSocket(family, fd);
}

/** Node takes the descriptor as it is, bound or not, and listens on it. */
export function udpSocket(family: Family, fd: number): UdpSocket {
  const socket = createSocket(family === 'ipv6' ? 'udp6' : 'udp4');
  try {
    socket.bind({ fd });
    return socket;
  } catch (error) {
    socket.close();
    closeSync(fd);
    throw error;
  }
}

/** Reads the original destination while the descriptor is surely ours, in the very turn the connection was accepted. */
export function takeRedirected(socket: Socket, door: (captured: Captured) => void): void {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const fd = descriptorOf(socket);
  if (remoteAddress === undefined || remotePort === undefined || fd === undefined) {
    socket.destroy();
    return;
  }
  const source: IpPort = { ip: parseIp(remoteAddress), port: remotePort };
  let destination: IpPort;
  try {
    destination = originalDestination(fd, isIpv6(source.ip));
  } catch {
    // not redirected: somebody dialled our port itself
    if (localAddress === undefined || localPort === undefined) {
      socket.destroy();
      return;
    }
    destination = { ip: parseIp(localAddress), port: localPort };
  }
  door({ socket, source, destination });
}

/** Node keeps it on a field it does not document; nothing else leads to it. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } };
  return handle?.fd;
}
