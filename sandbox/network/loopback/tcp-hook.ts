// Gives the TCP sockets of this process a pod's place in the network: addresses they bind, where their connections go.
// Installed by loopback-hook.ts. It works on Node's TCP handle, the one door that net, tls, http, http2 and fetch all go
// through, after names are resolved. Invariant: a connection that cannot be routed as it should fails; it never leaks.

import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { parseIp } from '../../../mesh/address.ts';
import { encodeProxyHeader } from '../../../wire/proxy-protocol.ts';
import { ownIfLocal, type Route, routeConnection, type View } from './decide.ts';
import { realPort, shownPort, zoneOf } from './plan.ts';

/** The part of Node's TCP handle (not documented, the same from Node 12 on) that is used here. */
type TcpHandle = {
  readonly fd: number;
  bind(address: string, port: number, flags?: number): number;
  bind6(address: string, port: number, flags?: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  getsockname(out: AddressOut): number;
  getpeername(out: AddressOut): number;
};
type AddressOut = { address?: string; port?: number };
type ConnectRequest = { oncomplete: (status: number, ...rest: unknown[]) => void };

/** libuv's numbers for Linux. */
const ECONNREFUSED = -111;
const EPIPE = -32;
/** libuv's flag for a port that several processes may hold. */
const UV_TCP_REUSEPORT = 2;

export function installTcpHook(view: () => View, random: () => number): void {
  const prototype = tcpPrototype();
  const { bind, connect, getsockname, getpeername } = prototype;
  const bound = new WeakMap<TcpHandle, string>();

  function bindHere(this: TcpHandle, address: string, port: number, flags = 0): number {
    const { place } = view();
    const own = ownIfLocal(place, address);
    const inside = zoneOf(place, own) !== 'outside';
    const real = inside ? realPort(port, place.lowPortsShifted) : port;
    // what is for IPv6 only means nothing to the address it becomes
    const result = bind.call(this, own, real, flags & UV_TCP_REUSEPORT);
    if (result === 0) bound.set(this, own);
    return result;
  }

  function connectRouted(
    this: TcpHandle,
    request: ConnectRequest,
    address: string,
    port: number,
  ): number {
    const now = view();
    const source = bound.get(this) ?? now.place.address;
    const route = routeConnection(now, source, { host: address, port }, random);
    if (route.kind === 'untouched') return untouched.call(this, request, address, port);
    if (route.kind === 'refused') return ECONNREFUSED;
    if (!bound.has(this)) {
      const result = bind.call(this, source, 0);
      if (result !== 0) return result;
    }
    if (route.kind === 'proxied') announce(this, request, route);
    return connect.call(this, request, route.target.host, route.target.port);
  }

  function untouched(
    this: TcpHandle,
    request: ConnectRequest,
    address: string,
    port: number,
  ): number {
    return address.includes(':')
      ? originalConnect6.call(this, request, address, port)
      : connect.call(this, request, address, port);
  }

  /** The header is the connection's first bytes: it is written before anybody is told that it is open. */
  function announce(
    handle: TcpHandle,
    request: ConnectRequest,
    route: Route & { kind: 'proxied' },
  ): void {
    const complete = request.oncomplete;
    request.oncomplete = function (status, ...rest) {
      if (status !== 0) {
        complete.call(this, status, ...rest);
        return;
      }
      const local: AddressOut = {};
      getsockname.call(handle, local);
      const header = encodeProxyHeader({
        source: { ip: parseIp(route.source), port: local.port ?? 0 },
        destination: { ip: parseIp(route.destination.host), port: route.destination.port },
      });
      complete.call(this, writeWhole(handle.fd, header), ...rest);
    };
  }

  const originalConnect6 = prototype.connect6;
  prototype.bind = bindHere;
  prototype.bind6 = bindHere;
  prototype.connect = connectRouted;
  prototype.connect6 = connectRouted;
  prototype.getsockname = shown(getsockname, view);
  prototype.getpeername = shown(getpeername, view);
}

/** A fresh connection's send buffer is empty, so that a few dozen bytes fit. */
function writeWhole(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes) === bytes.length ? 0 : EPIPE;
  } catch {
    return EPIPE;
  }
}

/** Programs see the port they asked for, not where it really is. */
function shown(
  original: (this: TcpHandle, out: AddressOut) => number,
  view: () => View,
): (this: TcpHandle, out: AddressOut) => number {
  return function (out) {
    const result = original.call(this, out);
    const { place } = view();
    if (
      out.port !== undefined &&
      out.address !== undefined &&
      zoneOf(place, out.address) !== 'outside'
    ) {
      out.port = shownPort(out.port, place.lowPortsShifted);
    }
    return result;
  };
}

/** A socket that waits for a lookup which never ends has its handle, and nothing has been sent. */
function tcpPrototype(): TcpHandle {
  const socket = new Socket();
  socket.connect({ host: 'nowhere.invalid', port: 1, lookup: () => {} });
  const handle = (socket as unknown as { _handle?: TcpHandle })._handle;
  if (handle === undefined) {
    throw new Error(
      'Cannot give this process a pod network: this Node.js has no TCP handle to hook; use Node.js 24',
    );
  }
  const prototype = Object.getPrototypeOf(handle) as TcpHandle;
  socket.destroy();
  return prototype;
}
