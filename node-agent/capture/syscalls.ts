// The one place that calls the kernel directly: network namespaces and socket options that Node does not offer.
// Called by node-agent/capture and by the sandbox's network. Invariant: every call is synchronous on the main thread,
// and the process is never left in another namespace (it aborts rather than go on in the wrong one).

import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { type IpAddress, type IpPort, ipFromBytes, ipToBytes, isIpv6 } from '../../mesh/address.ts';

const libc = koffi.load(null);
const c = {
  setns: libc.func('int setns(int fd, int nstype)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const uint8_t *address, uint32_t length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  setsockopt: libc.func(
    'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
  ),
  getsockopt: libc.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
  ),
  strerror: libc.func('const char *strerror(int error)'),
};

// Linux ABI numbers (asm-generic/socket.h, linux/in.h, linux/in6.h); the same on x86-64 and arm64.
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const SOL_IP = 0;
const SOL_SOCKET = 1;
const SOL_IPV6 = 41;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const SO_MARK = 36;
const IP_TRANSPARENT = 19;
const IPV6_TRANSPARENT = 75;
const IPV6_V6ONLY = 26;
const SO_ORIGINAL_DST = 80;

/** A system call that failed: `code` is the errno's number, `syscall` the call's name. */
export class SyscallError extends Error {
  override readonly name = 'SyscallError';
  readonly syscall: string;
  readonly errno: number;

  constructor(syscall: string, errno: number) {
    super(`${syscall}: ${String(c.strerror(errno))} (errno ${errno})`);
    this.syscall = syscall;
    this.errno = errno;
  }
}

function check(syscall: string, result: number): number {
  if (result < 0) throw new SyscallError(syscall, koffi.errno());
  return result;
}

/** An open network namespace; whoever opens it closes it. */
export type Netns = { readonly fd: number; close(): void };

/** @throws the file system's error when `path` (e.g. `/proc/123/ns/net`) is not there */
export function openNetns(path: string): Netns {
  const fd = openSync(path, 'r');
  let open = true;
  return {
    fd,
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/**
 * Runs `work` with this thread inside `netns`. `work` must be synchronous; child processes it spawns stay in `netns`,
 * sockets it makes with {@link openSocket} too. Node's own `connect` and `listen(host)` do not: they resolve later.
 */
export function inNetns<T>(netns: Netns, work: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    check('setns', c.setns(netns.fd, CLONE_NEWNET));
    try {
      return work();
    } finally {
      // Going on in a pod's namespace would send the node's traffic through the pod: better no agent than that one.
      if (c.setns(home, CLONE_NEWNET) < 0) process.abort();
    }
  } finally {
    closeSync(home);
  }
}

export type SocketOptions = {
  readonly kind?: 'tcp' | 'udp';
  readonly family: 'ipv4' | 'ipv6';
  /** SO_MARK; needs CAP_NET_ADMIN. */
  readonly mark?: number;
  /** IP_TRANSPARENT: accept for, or bind to, addresses that are not ours. */
  readonly transparent?: boolean;
  readonly reusePort?: boolean;
  readonly bind?: IpPort;
  /** Listen backlog; without it the socket does not listen. */
  readonly backlog?: number;
};

/** A raw, non-blocking, close-on-exec socket made in the thread's present namespace. @throws SyscallError; nothing leaks */
export function openSocket(options: SocketOptions): number {
  const v6 = options.family === 'ipv6';
  const type = (options.kind === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK_CLOEXEC;
  const fd = check('socket', c.socket(v6 ? AF_INET6 : AF_INET, type, 0));
  try {
    setFlag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reusePort === true) setFlag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.mark !== undefined) setFlag(fd, SOL_SOCKET, SO_MARK, options.mark);
    if (options.transparent === true) {
      if (v6) setFlag(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
      // an IPv6 socket carries v4-mapped peers too, for which the IPv4 option counts
      setFlag(fd, SOL_IP, IP_TRANSPARENT, 1);
    }
    if (v6 && options.bind !== undefined && options.bind.ip !== '::')
      setFlag(fd, SOL_IPV6, IPV6_V6ONLY, 1);
    if (options.bind !== undefined) {
      const address = socketAddress(options.bind, v6);
      check('bind', c.bind(fd, address, address.length));
    }
    if (options.backlog !== undefined) check('listen', c.listen(fd, options.backlog));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Where a redirected connection was going before nft's `redirect` (SO_ORIGINAL_DST, linux/netfilter_ipv4.h).
 * `peerIsIpv6` tells the family of the connection itself: v4-mapped peers of a `::` listener are IPv4.
 */
export function originalDestination(fd: number, peerIsIpv6: boolean): IpPort {
  const buffer = Buffer.alloc(28);
  const level = peerIsIpv6 ? SOL_IPV6 : SOL_IP;
  check('getsockopt', c.getsockopt(fd, level, SO_ORIGINAL_DST, buffer, [buffer.length]));
  const port = buffer.readUInt16BE(2);
  const bytes = peerIsIpv6 ? buffer.subarray(8, 24) : buffer.subarray(4, 8);
  return { ip: ipFromBytes(bytes), port };
}

function setFlag(fd: number, level: number, name: number, value: number): void {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  check('setsockopt', c.setsockopt(fd, level, name, buffer, buffer.length));
}

/** struct sockaddr_in / sockaddr_in6. */
function socketAddress(address: IpPort, v6: boolean): Buffer {
  const buffer = Buffer.alloc(v6 ? 28 : 16);
  buffer.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  buffer.writeUInt16BE(address.port, 2);
  if (v6) buffer.set(v6Bytes(address.ip), 8);
  else buffer.set(ipToBytes(address.ip), 4);
  return buffer;
}

function v6Bytes(ip: IpAddress): Uint8Array {
  if (isIpv6(ip)) return ipToBytes(ip);
  return Uint8Array.from([...new Array<number>(10).fill(0), 0xff, 0xff, ...ipToBytes(ip)]);
}
