// The one place that calls the kernel directly: network namespaces and socket options that Node does not offer.
// Called by node-agent/capture and by the sandbox's network. Invariant: every call is synchronous on the main thread,
// and the process is never left in another namespace (it aborts rather than go on in the wrong one).

import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { type IpAddress, type IpPort, ipFromBytes, ipToBytes, isIpv6 } from '../../mesh/address.ts';

const libc = koffi.load(null);
const c = {
  setns: libc.func('int setns(int fd, int nstype)'),
  unshare: libc.func('int unshare(int flags)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const uint8_t *address, uint32_t length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  setsockopt: libc.func(
    'int setsockopt(int fd, int level, int name, const uint8_t *value, uint32_t length)',
  ),
  getsockopt: libc.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)',
  ),
  recvfrom: libc.func(
    'long recvfrom(int fd, _Out_ uint8_t *buffer, size_t size, int flags, _Out_ uint8_t *address, _Inout_ uint32_t *length)',
  ),
  attachFilter: libc.func('setsockopt', 'int', [
    'int',
    'int',
    'int',
    koffi.pointer(koffi.struct({ length: 'uint16_t', instructions: 'uint8_t *' })),
    'uint32_t',
  ]),
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
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_ATTACH_FILTER = 26;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const ETH_P_ALL_NETWORK_ORDER = 0x0300;
const BPF_RETURN_CONSTANT = 0x06;
const MSG_DONTWAIT = 0x40;
const EAGAIN = 11;
const ENOBUFS = 105;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
// groups of rtnetlink.h and nfnetlink.h as bits: routes and rules of both families; nft
const ROUTE_GROUPS = 0x40 | 0x80 | 0x400 | (1 << 18);
const NFT_GROUPS = 1 << 6;

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
 * Makes a network namespace. It lives while the result is open, or a process is in it. Nothing in it is up yet.
 * @throws SyscallError EPERM without CAP_SYS_ADMIN in the present user namespace
 */
export function createNetns(): Netns {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    check('unshare', c.unshare(CLONE_NEWNET));
    try {
      return openNetns('/proc/thread-self/ns/net');
    } finally {
      if (c.setns(home, CLONE_NEWNET) < 0) process.abort();
    }
  } finally {
    closeSync(home);
  }
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
  /** Bytes it is to hold unread, as far as we may; {@link receiveRoom} tells. The kernel adapts it otherwise. */
  readonly receiveBytes?: number;
};

/** A raw, non-blocking, close-on-exec socket made in the thread's present namespace. @throws SyscallError; nothing leaks */
export function openSocket(options: SocketOptions): number {
  const v6 = options.family === 'ipv6';
  const type = (options.kind === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK_CLOEXEC;
  const fd = check('socket', c.socket(v6 ? AF_INET6 : AF_INET, type, 0));
  try {
    // for UDP it would let two sockets have one port, and either might get what the other should
    if (options.kind !== 'udp') setFlag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (options.reusePort === true) setFlag(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.mark !== undefined) setFlag(fd, SOL_SOCKET, SO_MARK, options.mark);
    if (options.transparent === true) {
      if (v6) setFlag(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
      // an IPv6 socket carries v4-mapped peers too, for which the IPv4 option counts
      setFlag(fd, SOL_IP, IP_TRANSPARENT, 1);
    }
    // before it connects: the handshake fixes how large a window can ever be told
    if (options.receiveBytes !== undefined) setReceiveBuffer(fd, options.receiveBytes);
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

/** Payload bytes that the socket's receive buffer holds: the kernel keeps twice as much for their wrapping (socket(7)). */
export function receiveRoom(fd: number): number {
  const buffer = Buffer.alloc(4);
  check('getsockopt', c.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, buffer, [4]));
  return buffer.readInt32LE(0) / 2;
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

/** One instruction of a classic BPF filter (linux/filter.h): code, jump if true, jump if false, operand. */
export type FilterInstruction = readonly [code: number, yes: number, no: number, operand: number];

/**
 * A raw socket that sees every frame of the present namespace that `filter` lets through; needs CAP_NET_RAW.
 * The kernel keeps at most about `receiveBytes` of them and counts what it drops.
 */
export function openPacketSocket(settings: {
  readonly filter: readonly FilterInstruction[];
  readonly receiveBytes: number;
}): number {
  const type = SOCK_RAW | SOCK_NONBLOCK_CLOEXEC;
  // protocol 0: nothing is received before the filter is in place
  const fd = check('socket', c.socket(AF_PACKET, type, 0));
  try {
    const instructions = Buffer.alloc(settings.filter.length * 8);
    for (const [index, [code, yes, no, operand]] of settings.filter.entries()) {
      instructions.writeUInt16LE(code, index * 8);
      instructions.writeUInt8(yes, index * 8 + 2);
      instructions.writeUInt8(no, index * 8 + 3);
      instructions.writeUInt32LE(operand, index * 8 + 4);
    }
    const program = { length: settings.filter.length, instructions };
    check('setsockopt', c.attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, 16));
    setReceiveBuffer(fd, settings.receiveBytes);
    const address = Buffer.alloc(20);
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeUInt16LE(ETH_P_ALL_NETWORK_ORDER, 2);
    check('bind', c.bind(fd, address, address.length));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Of the sockets that share this listening socket's port (SO_REUSEPORT), the second one takes all new connections from now
 * on, where there is a second one: the kernel keeps them in the order they began to listen, so the first is the oldest.
 * When the newest leaves first (an upgrade that is taken back), handshakes under way at its close are lost.
 */
export function leadToSecondListener(fd: number): void {
  // one instruction: return 1, the number of the socket; a number nobody has means that the kernel chooses
  const instructions = Buffer.alloc(8);
  instructions.writeUInt16LE(BPF_RETURN_CONSTANT, 0);
  instructions.writeUInt32LE(1, 4);
  const program = { length: 1, instructions };
  check('setsockopt', c.attachFilter(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program, 16));
}

/** Bytes of the next frame, written to `buffer`; undefined when none waits. Never blocks. */
export function receiveFrame(fd: number, buffer: Buffer): number | undefined {
  const received = Number(c.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, null, null));
  if (received >= 0) return received;
  const errno = koffi.errno();
  if (errno === EAGAIN) return undefined;
  throw new SyscallError('recvfrom', errno);
}

/**
 * A socket on which the kernel tells of every change of nft rules, or of routes and routing rules, in the present
 * namespace. What it tells is read by {@link somethingCame}. @throws SyscallError
 */
export function openChangeSocket(of: 'nft' | 'routes'): number {
  const [protocol, groups] =
    of === 'nft' ? [NETLINK_NETFILTER, NFT_GROUPS] : [NETLINK_ROUTE, ROUTE_GROUPS];
  const type = SOCK_RAW | SOCK_NONBLOCK_CLOEXEC;
  const fd = check('socket', c.socket(AF_NETLINK, type, protocol));
  try {
    // struct sockaddr_nl
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    address.writeUInt32LE(groups, 8);
    check('bind', c.bind(fd, address, address.length));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Whether the kernel has told anything since the last call, which is thereby forgotten. Never blocks. */
export function somethingCame(fd: number): boolean {
  const scratch = Buffer.alloc(64);
  let came = false;
  for (;;) {
    try {
      if (receiveFrame(fd, scratch) === undefined) return came;
      came = true;
    } catch (error) {
      // more than the kernel keeps for us: something came, and the next call begins anew
      if (!(error instanceof SyscallError) || error.errno !== ENOBUFS) throw error;
      came = true;
    }
  }
}

/** Frames the kernel dropped on this packet socket since the last call. */
export function takeFrameDrops(fd: number): number {
  const statistics = Buffer.alloc(8);
  check('getsockopt', c.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, [8]));
  return statistics.readUInt32LE(4);
}

/** Beyond net.core.rmem_max only where we hold CAP_NET_ADMIN of the machine itself; without it, up to that. */
function setReceiveBuffer(fd: number, bytes: number): void {
  const size = Buffer.alloc(4);
  size.writeInt32LE(bytes);
  if (c.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0)
    check('setsockopt', c.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, size, 4));
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
