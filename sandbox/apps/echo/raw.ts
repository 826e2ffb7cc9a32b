// The raw sides of the echo: TCP greets with one line of JSON and then returns every byte, half-close included; UDP
// answers each datagram with one line of JSON that holds it.

import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server } from 'node:net';
import type { Place } from '../place.ts';
import { describeEcho } from './answer.ts';

export function createTcpEcho(place: Place): Server {
  return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.write(`${JSON.stringify(describeEcho(place, socket, { protocol: 'tcp' }))}\n`);
    socket.pipe(socket);
  });
}

/** On IPv6 and IPv4 where the machine has both. */
export async function openUdpEcho(place: Place, port: number): Promise<UdpSocket> {
  try {
    return await bindUdpEcho(place, port, createSocket({ type: 'udp6', ipv6Only: false }));
  } catch (error) {
    const hasNoIpv6 = error instanceof Error && 'code' in error && error.code === 'EAFNOSUPPORT';
    if (!hasNoIpv6) throw error;
    return bindUdpEcho(place, port, createSocket('udp4'));
  }
}

function bindUdpEcho(place: Place, port: number, socket: UdpSocket): Promise<UdpSocket> {
  socket.on('message', (message, peer) => {
    const ends = { remoteAddress: peer.address, remotePort: peer.port, localPort: port };
    const answer = describeEcho(place, ends, { protocol: 'udp', body: message.toString('utf8') });
    socket.send(`${JSON.stringify(answer)}\n`, peer.port, peer.address, () => {});
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
