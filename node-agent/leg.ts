// A TCP socket as one side of a splice. Called by the three journeys.

import type { Socket } from 'node:net';
import { keepSocketAlive } from '../tunnel/socket.ts';
import type { Leg } from '../tunnel/splice.ts';

export function socketLeg(socket: Socket): Leg {
  keepSocketAlive(socket);
  return {
    bytes: socket,
    reset() {
      // an RST, so that the far end cannot take what it got for all there was
      if (!socket.destroyed) socket.resetAndDestroy();
    },
  };
}
