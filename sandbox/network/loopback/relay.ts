// The link between nodes in loopback mode: every connection that would cross it passes through here, so that it can be
// watched as a real link can. Opened by cluster.ts. Invariant: the far side sees the caller's address, and a failed dial
// resets the caller's connection.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { IpPort } from '../../../mesh/address.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { readProxyHeader } from '../../../wire/proxy-protocol.ts';
import type { LinkCapture } from '../network.ts';
import type { LinkPacket } from '../packet.ts';
import { shownPort } from './plan.ts';

/** A PROXY v2 header without extras is 28 or 52 bytes; ours is written in one piece right after the connect. */
const HEADER_TIMEOUT_MS = 5_000;
const MAX_HEADER_BYTES = 536;

type RelaySettings = { readonly host: string; readonly lowPortsShifted: boolean };

export interface LinkRelay {
  readonly address: { readonly host: string; readonly port: number };
  capture(onPacket: (packet: LinkPacket) => void): LinkCapture;
  close(): Promise<void>;
}

export async function startRelay(
  parts: { clock: Clock },
  settings: RelaySettings,
): Promise<LinkRelay> {
  const relay = new Relay(parts, settings);
  await relay.listen();
  return relay;
}

class Relay implements LinkRelay {
  readonly #clock: Clock;
  readonly #settings: RelaySettings;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #captures = new Set<(packet: LinkPacket) => void>();
  #port = 0;

  constructor(parts: { clock: Clock }, settings: RelaySettings) {
    this.#clock = parts.clock;
    this.#settings = settings;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#track(socket);
      this.#accept(socket);
    });
  }

  get address(): LinkRelay['address'] {
    return { host: this.#settings.host, port: this.#port };
  }

  async listen(): Promise<void> {
    this.#server.listen({ host: this.#settings.host, port: 0 });
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (typeof address === 'object' && address !== null) this.#port = address.port;
  }

  capture(onPacket: (packet: LinkPacket) => void): LinkCapture {
    this.#captures.add(onPacket);
    return { dropped: () => 0, close: () => void this.#captures.delete(onPacket) };
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #accept(near: Socket): void {
    let head = Buffer.alloc(0);
    const timer = this.#clock.timer(HEADER_TIMEOUT_MS, () => {
      near.resetAndDestroy();
    });
    near.on('error', () => {});
    near.on('close', () => {
      timer.cancel();
    });
    const onData = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      const read = readProxyHeader(head);
      if (read.state === 'more' && head.length < MAX_HEADER_BYTES) return;
      timer.cancel();
      near.off('data', onData);
      near.pause();
      if (read.state !== 'done') {
        near.resetAndDestroy();
        return;
      }
      const rest = head.subarray(read.consumed);
      if (rest.length > 0) near.unshift(rest);
      this.#dial(near, read.header.source, read.header.destination);
    };
    near.on('data', onData);
  }

  #dial(near: Socket, source: IpPort, destination: IpPort): void {
    const far = connect({
      host: destination.ip,
      port: destination.port,
      localAddress: source.ip,
      allowHalfOpen: true,
      noDelay: true,
    });
    this.#track(far);
    far.on('error', () => {
      near.resetAndDestroy();
    });
    near.on('error', () => {
      far.resetAndDestroy();
    });
    // a connection ends with either side, however that one ended
    far.on('close', () => near.destroySoon());
    near.on('close', () => far.destroySoon());
    far.on('connect', () => {
      // watchers see the port that was asked for
      const port = shownPort(destination.port, this.#settings.lowPortsShifted);
      const shown = { ip: destination.ip, port };
      this.#copy(near, far, source, shown);
      this.#copy(far, near, shown, source);
    });
  }

  #copy(from: Socket, to: Socket, source: IpPort, destination: IpPort): void {
    from.on('data', (payload: Buffer) => {
      for (const onPacket of this.#captures) {
        onPacket({
          at: this.#clock.now(),
          source,
          destination,
          protocol: 'tcp',
          payload,
          raw: payload,
        });
      }
      if (!to.write(payload)) from.pause();
    });
    to.on('drain', () => {
      from.resume();
    });
    from.on('end', () => {
      to.end();
    });
    from.resume();
  }

  async close(): Promise<void> {
    const done = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await done;
  }
}
