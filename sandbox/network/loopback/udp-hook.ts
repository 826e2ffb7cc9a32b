// Gives the UDP sockets of this process a pod's place in the network, as tcp-hook.ts does for TCP. Installed by
// loopback-hook.ts. A socket keeps the endpoint it first got for a service address, and sees answers as the service's.

import { createSocket } from 'node:dgram';
import { ownIfLocal, routeDatagram, type Target, type View } from './decide.ts';
import { realPort, shownPort, zoneOf } from './plan.ts';

/** The part of Node's UDP handle (not documented) that is used here. */
type UdpHandle = {
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  send(request: unknown, list: unknown, count: number, ...rest: unknown[]): number;
  send6(request: unknown, list: unknown, count: number, ...rest: unknown[]): number;
  connect(address: string, port: number): number;
  connect6(address: string, port: number): number;
  getsockname(out: AddressOut): number;
  onmessage: MessageListener;
};
type AddressOut = { address?: string; port?: number; family?: string };
type MessageListener = (size: number, handle: UdpHandle, bytes: unknown, from: AddressOut) => void;

const ECONNREFUSED = -111;
/** Service addresses that one socket remembers the endpoint of; the oldest is forgotten first. */
const MAX_REMEMBERED = 256;

export function installUdpHook(view: () => View, random: () => number): void {
  const prototype = udpPrototype();
  const { bind, send, send6, connect, connect6, getsockname } = prototype;
  const remembered = new WeakMap<UdpHandle, Map<string, Target>>();

  function route(
    handle: UdpHandle,
    address: string,
    port: number,
  ): Target | 'untouched' | 'refused' {
    const known = remembered.get(handle) ?? new Map<string, Target>();
    const key = `${address}:${port}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const now = view();
    const found = routeDatagram(now, now.place.address, { host: address, port }, random);
    if (found.kind === 'untouched' || found.kind === 'refused') return found.kind;
    // datagrams are never proxied
    if (found.target.host !== address || found.target.port !== port) {
      if (known.size >= MAX_REMEMBERED) known.delete(known.keys().next().value ?? '');
      known.set(key, found.target);
      remembered.set(handle, known);
      seeAsAsked(handle, known);
    }
    return found.target;
  }

  function bindHere(this: UdpHandle, address: string, port: number, flags: number): number {
    const { place } = view();
    const own = ownIfLocal(place, address);
    const inside = zoneOf(place, own) !== 'outside';
    return bind.call(this, own, inside ? realPort(port, place.lowPortsShifted) : port, flags);
  }

  function sender(original: UdpHandle['send']): UdpHandle['send'] {
    return function (this: UdpHandle, request, list, count, ...rest) {
      const [port, address] = rest;
      // on a connected socket the arguments are (request, list, count, hasCallback)
      if (typeof port !== 'number' || typeof address !== 'string')
        return original.call(this, request, list, count, ...rest);
      const target = route(this, address, port);
      if (target === 'untouched') return original.call(this, request, list, count, ...rest);
      if (target === 'refused') return ECONNREFUSED;
      return send.call(this, request, list, count, target.port, target.host, ...rest.slice(2));
    };
  }

  function connector(original: UdpHandle['connect']): UdpHandle['connect'] {
    return function (this: UdpHandle, address, port) {
      const target = route(this, address, port);
      if (target === 'untouched') return original.call(this, address, port);
      return target === 'refused' ? ECONNREFUSED : connect.call(this, target.host, target.port);
    };
  }

  prototype.bind = bindHere;
  prototype.bind6 = bindHere;
  prototype.send = sender(send);
  prototype.send6 = sender(send6);
  prototype.connect = connector(connect);
  prototype.connect6 = connector(connect6);
  prototype.getsockname = function (out) {
    const result = getsockname.call(this, out);
    if (out.port !== undefined) out.port = shownPort(out.port, view().place.lowPortsShifted);
    return result;
  };
}

const wrapped = Symbol('answers are seen as from the address that was asked');

/** An answer of an endpoint carries the address that the question was sent to, as connection tracking would have it. */
function seeAsAsked(
  handle: UdpHandle & { [wrapped]?: true },
  known: ReadonlyMap<string, Target>,
): void {
  if (handle[wrapped] === true) return;
  handle[wrapped] = true;
  const deliver = handle.onmessage;
  handle.onmessage = function (size, self, bytes, from) {
    for (const [asked, target] of known) {
      if (from?.address !== target.host || from.port !== target.port) continue;
      const end = asked.lastIndexOf(':');
      from.address = asked.slice(0, end);
      from.port = Number(asked.slice(end + 1));
      break;
    }
    deliver.call(this, size, self, bytes, from);
  };
}

function udpPrototype(): UdpHandle {
  const socket = createSocket('udp4');
  const states = Object.getOwnPropertySymbols(socket).map(
    (symbol) => (socket as unknown as Record<symbol, unknown>)[symbol],
  );
  const handle = states.map(handleOf).find((found) => found !== undefined);
  socket.close();
  if (handle === undefined) {
    throw new Error(
      'Cannot give this process a pod network: this Node.js has no UDP handle to hook; use Node.js 24',
    );
  }
  return Object.getPrototypeOf(handle) as UdpHandle;
}

function handleOf(state: unknown): UdpHandle | undefined {
  if (typeof state !== 'object' || state === null || !('handle' in state)) return undefined;
  return (state as { handle: UdpHandle | null }).handle ?? undefined;
}
