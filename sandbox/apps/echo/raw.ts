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

export function openUdpEcho(place: Place, port: number): Promise<UdpSocket> {
  const socket = createSocket({ type: 'udp6', ipv6Only: false });
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
