// The ports of an ingress gateway: opened, closed and given new listeners as discovery tells. Built by app.ts for a proxy
// of that kind. Invariant: a change of listeners cuts no open connection; a connection sees the listeners its port has now.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { GatewayListener, GatewayListeners } from '../../mesh/gateway-listeners.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { GatewayPort } from './accept-connection.ts';

/** Of all ports together, each a descriptor or two and some 50 kB; who comes then is cut, and counted. */
const MAX_CONNECTIONS = 20_000;
/** Somebody else may have had the port; the kernel asks nothing for being tried again. */
const RETRY_MS = 5000;
/** Whoever is told of connections that were cut is told this often at most. */
const TELL_CUT_MS = 10_000;
/** The kernel's queue of connections that nobody has accepted yet; its own limit is often lower. */
const BACKLOG = 4096;

export type PortsParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly accept: (socket: Socket, port: GatewayPort) => void;
};

export type PortsSettings = {
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
  /** undefined: every address there is. */
  readonly host: string | undefined;
  /** Where a port of a listener is opened; as it says where this is left out. */
  readonly openedAs?: (port: number) => number;
  /** Of all ports together; {@link MAX_CONNECTIONS} where this is left out. */
  readonly connections?: number;
};

type Open = {
  readonly port: number;
  listeners: readonly GatewayListener[];
  /** undefined while it could not be opened. */
  server: Server | undefined;
  retry: Timer | undefined;
};

export class IngressPorts {
  readonly #parts: PortsParts;
  readonly #settings: PortsSettings;
  readonly #open = new Map<number, Open>();
  readonly #sockets = new Set<Socket>();
  readonly #opening = new Set<Promise<void>>();
  #cut = 0;
  #toldOfCut = Number.NEGATIVE_INFINITY;
  #idle: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(parts: PortsParts, settings: PortsSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Connections that were cut because there were too many. */
  get cut(): number {
    return this.#cut;
  }

  /** Where a listener's port is open; undefined: it is not. */
  openAt(port: number): number | undefined {
    const address = this.#open.get(port)?.server?.address() as AddressInfo | null | undefined;
    return address?.port;
  }

  /** Resolves when each port that was to be opened is, or could not be. */
  async settled(): Promise<void> {
    while (this.#opening.size > 0) await Promise.all(this.#opening);
  }

  apply(told: GatewayListeners | undefined): void {
    if (this.#closed) return;
    const wanted = Map.groupBy(told?.listeners ?? [], ({ port }) => port);
    for (const [port, open] of this.#open) {
      if (wanted.has(port)) continue;
      // its open connections see that there is nothing for them any more
      open.listeners = [];
      open.retry?.cancel();
      open.server?.close();
      this.#open.delete(port);
      this.#parts.log.info('Closed a port', { gateway: this.#settings.gateway, port });
    }
    for (const [port, listeners] of wanted) {
      const open = this.#open.get(port);
      if (open !== undefined) open.listeners = listeners;
      else {
        const made: Open = { port, listeners, server: undefined, retry: undefined };
        this.#open.set(port, made);
        this.#listen(made);
      }
    }
  }

  /** Takes no more connections; resolves when those that are open have ended. */
  async drain(): Promise<void> {
    this.#closed = true;
    for (const { server, retry } of this.#open.values()) {
      retry?.cancel();
      server?.close();
    }
    if (this.#sockets.size === 0) return;
    this.#idle ??= Promise.withResolvers();
    await this.#idle.promise;
  }

  /** At once. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #listen(open: Open): void {
    const opening = this.#listenOnce(open).finally(() => this.#opening.delete(opening));
    this.#opening.add(opening);
  }

  #listenOnce(open: Open): Promise<void> {
    const { log, clock } = this.#parts;
    const { gateway, host, openedAs } = this.#settings;
    const { port } = open;
    const view: GatewayPort = { gateway, port, listeners: () => open.listeners };
    return new Promise((resolve) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => this.#take(socket, view));
      server.on('error', (error) => {
        resolve();
        // of one that was open before too, whatever that may be
        server.close();
        open.server = undefined;
        if (this.#closed || this.#open.get(port) !== open) return;
        log.error('Cannot open a port of the gateway: trying again', {
          gateway,
          port,
          retryMs: RETRY_MS,
          error,
        });
        open.retry = clock.timer(RETRY_MS, () => this.#listen(open));
      });
      server.listen({ port: openedAs?.(port) ?? port, host, backlog: BACKLOG }, () => {
        resolve();
        // it may have gone while it was opened
        if (this.#closed || this.#open.get(port) !== open) {
          server.close();
          return;
        }
        open.server = server;
        log.info('Opened a port', { gateway, port });
      });
    });
  }

  #take(socket: Socket, port: GatewayPort): void {
    const { connections = MAX_CONNECTIONS } = this.#settings;
    if (this.#sockets.size >= connections) {
      this.#cut++;
      socket.resetAndDestroy();
      this.#tellOfCut();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#idle?.resolve();
    });
    this.#parts.accept(socket, port);
  }

  #tellOfCut(): void {
    const now = this.#parts.clock.monotonic();
    if (now - this.#toldOfCut < TELL_CUT_MS) return;
    this.#toldOfCut = now;
    this.#parts.log.error('Cut connections to the gateway: too many are open', {
      gateway: this.#settings.gateway,
      open: this.#sockets.size,
      cutSoFar: this.#cut,
    });
  }
}
