// Capture by nft inside the pod's own network namespace: our listening sockets live there, redirect rules lead new
// connections to them. Called by enrolment.ts; the way it works on every real node. Nothing in the pod itself changes.

import { fstatSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { formatIpPort, type IpPort, isIpv6, parseIp } from '../../mesh/address.ts';
import type { Enrolment } from '../../mesh/enrolment.ts';
import { MeshError } from '../../mesh/failures.ts';
import { OUTBOUND_PORT, PASSTHROUGH_PORT, TUNNEL_PORT } from '../../mesh/own-ports.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { connected, type DialTarget, keepSocketAlive } from '../../tunnel/socket.ts';
import {
  type CaptureDriver,
  type Captured,
  CaptureError,
  type Doors,
  type Leftover,
  type PodCapture,
  podName,
} from './capture.ts';
import { CommandError, runInside } from './commands.ts';
import { findNetns, inodeOf, type NetnsSource } from './find-netns.ts';
import { type Listener, listen } from './listener.ts';
import {
  AGENT_MARK,
  LIST_TABLE,
  type RuleState,
  routeBatch,
  routeRemovalBatch,
  ruleset,
  rulesetRemoval,
  SHOW_RULE,
} from './rules.ts';
import {
  inNetns,
  type Netns,
  openNetns,
  openSocket,
  originalDestination,
  SyscallError,
} from './syscalls.ts';

const EADDRINUSE = 98;
const EAFNOSUPPORT = 97;
const EADDRNOTAVAIL = 99;

export type NetnsParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly sources: readonly NetnsSource[];
};

export function netnsCapture(parts: NetnsParts): CaptureDriver {
  return {
    async open(pod) {
      const path = await findNetns(parts.sources, pod.podUid);
      if (path === undefined) throw noNamespace(pod);
      try {
        return new NetnsPod(parts, pod, { path, netns: openNetns(path) });
      } catch (cause) {
        throw noNamespace(pod, cause);
      }
    },
    async leftovers(wanted) {
      const found: Leftover[] = [];
      const listed = await Promise.all(parts.sources.map((source) => source.list()));
      for (const podUid of new Set(listed.flat())) {
        if (wanted.has(podUid)) continue;
        const leftover = await leftoverOf(parts, podUid);
        if (leftover !== undefined) found.push(leftover);
      }
      return found;
    },
  };
}

async function leftoverOf(
  { sources, log }: NetnsParts,
  podUid: string,
): Promise<Leftover | undefined> {
  const path = await findNetns(sources, podUid);
  if (path === undefined) return undefined;
  let netns: Netns | undefined;
  try {
    netns = openNetns(path);
    await runInside(netns, 'nft', LIST_TABLE);
  } catch (error) {
    netns?.close();
    // a table that is not there is the rule; a missing program is said at the first enrolment
    log.debug('No leftover in a pod', { podUid, error });
    return undefined;
  }
  const inside = netns;
  return {
    podUid,
    release: () => applyRules(inside, 'released'),
    remove: () => removeAll(inside, [4, 6]),
    close: async () => inside.close(),
  };
}

async function applyRules(netns: Netns, state: RuleState): Promise<void> {
  await runInside(netns, 'nft', ['-f', '-'], ruleset(state));
}

async function removeAll(netns: Netns, families: readonly (4 | 6)[]): Promise<void> {
  await runInside(netns, 'nft', ['-f', '-'], rulesetRemoval());
  for (const family of families) {
    // -force: what is not there any more needs no removing
    const args = [`-${family}`, '-force', '-batch', '-'];
    await runInside(netns, 'ip', args, routeRemovalBatch(family)).catch(() => '');
  }
}

function noNamespace(pod: Enrolment, cause?: unknown): CaptureError {
  return new CaptureError(
    'NoNetworkNamespace',
    `Cannot find the network namespace of pod ${podName(pod)} (UID ${pod.podUid}) on this node: check that the pod is running`,
    { cause },
  );
}

class NetnsPod implements PodCapture {
  readonly #parts: NetnsParts;
  readonly #pod: Enrolment;
  readonly #netns: Netns;
  readonly #inode: number;
  #path: string;
  #listeners: Listener[] = [];
  /** Whether the kernel of this pod speaks IPv6; known after listen(). */
  #v6 = true;

  constructor(parts: NetnsParts, pod: Enrolment, found: { path: string; netns: Netns }) {
    this.#parts = parts;
    this.#pod = pod;
    this.#netns = found.netns;
    this.#path = found.path;
    this.#inode = fstatSync(found.netns.fd).ino;
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Socket> {
    signal?.throwIfAborted();
    let socket: Socket;
    try {
      socket = this.#socketTo(target);
    } catch (cause) {
      throw new MeshError(
        'UPSTREAM_CONNECT',
        `Cannot connect to ${formatIpPort(target.to)} from pod ${podName(this.#pod)}: ${messageOf(cause)}`,
        { cause },
      );
    }
    socket.setNoDelay(true);
    keepSocketAlive(socket);
    // an address literal, so Node connects this very descriptor without a lookup
    socket.connect({ host: target.to.ip, port: target.to.port });
    return connected(this.#parts, socket, target.to, signal);
  }

  #socketTo({ to, from }: DialTarget): Socket {
    const fd = inNetns(this.#netns, () =>
      openSocket({
        family: isIpv6(to.ip) ? 'ipv6' : 'ipv4',
        mark: AGENT_MARK,
        ...(from === undefined ? {} : { transparent: true, bind: { ip: from, port: 0 } }),
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
    return new Socket(options);
  }

  async listen(doors: Doors): Promise<void> {
    if (this.#listeners.length > 0) return;
    const opened: Listener[] = [];
    try {
      opened.push(
        await this.#listenOn(OUTBOUND_PORT, (socket) => redirected(socket, doors.outbound)),
      );
      opened.push(
        await this.#listenOn(PASSTHROUGH_PORT, (socket) => redirected(socket, doors.passthrough)),
      );
      opened.push(await this.#listenOn(TUNNEL_PORT, (socket) => doors.tunnel(socket)));
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()));
      throw error;
    }
    this.#listeners = opened;
  }

  async redirect(): Promise<void> {
    await this.#attempt('redirect its connections', async () => {
      await this.#applyRoutes();
      await applyRules(this.#netns, 'capturing');
    });
  }

  async release(): Promise<void> {
    await this.#attempt('let go of its connections', () => applyRules(this.#netns, 'released'));
  }

  async closeDoors(): Promise<void> {
    const listeners = this.#listeners;
    this.#listeners = [];
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  async remove(): Promise<void> {
    await this.#attempt('remove the redirection', () => removeAll(this.#netns, this.#families()));
  }

  async vanished(): Promise<boolean> {
    // the usual case costs one stat, a scan only when the path has changed its meaning
    if ((await inodeOf(this.#path)) === this.#inode) return false;
    const path = await findNetns(this.#parts.sources, this.#pod.podUid);
    if (path === undefined || (await inodeOf(path)) !== this.#inode) return true;
    this.#path = path;
    return false;
  }

  async close(): Promise<void> {
    await this.closeDoors();
    this.#netns.close();
  }

  #families(): (4 | 6)[] {
    return this.#v6 ? [4, 6] : [4];
  }

  async #applyRoutes(): Promise<void> {
    for (const family of this.#families()) {
      const shown = await runInside(this.#netns, 'ip', [`-${family}`, ...SHOW_RULE]);
      const batch = routeBatch(family, shown.trim() !== '');
      await runInside(this.#netns, 'ip', [`-${family}`, '-batch', '-'], batch);
    }
  }

  async #listenOn(port: number, onConnection: (socket: Socket) => void): Promise<Listener> {
    const pod = podName(this.#pod);
    try {
      return await listen({ fd: this.#bound(port) }, onConnection);
    } catch (cause) {
      if (cause instanceof SyscallError && cause.errno === EADDRINUSE) {
        throw new CaptureError(
          'PortTaken',
          `Cannot listen on port ${port} in pod ${pod}: a program in the pod already does; let it use another port, or opt the pod out with the label ambit-mesh.io/mode=none`,
          { cause },
        );
      }
      throw new CaptureError(
        'CaptureFailed',
        `Cannot listen on port ${port} in pod ${pod}: ${messageOf(cause)}; the agent needs CAP_NET_ADMIN and CAP_SYS_ADMIN`,
        { cause },
      );
    }
  }

  /** Dual stack where the pod has IPv6, else IPv4 only. */
  #bound(port: number): number {
    const open = (family: 'ipv4' | 'ipv6'): number =>
      inNetns(this.#netns, () =>
        openSocket({
          family,
          mark: AGENT_MARK,
          transparent: true,
          // a new agent takes over while the old one drains
          reusePort: true,
          bind: { ip: parseIp(family === 'ipv6' ? '::' : '0.0.0.0'), port },
        }),
      );
    try {
      return open('ipv6');
    } catch (error) {
      const noV6 =
        error instanceof SyscallError &&
        (error.errno === EAFNOSUPPORT || error.errno === EADDRNOTAVAIL);
      if (!noV6) throw error;
      this.#v6 = false;
      return open('ipv4');
    }
  }

  async #attempt(what: string, step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (cause) {
      const next =
        cause instanceof CommandError && cause.missing
          ? 'install nftables and iproute2 in the image of the node agent'
          : 'see the log of the node agent';
      throw new CaptureError(
        'CaptureFailed',
        `Cannot ${what} in pod ${podName(this.#pod)}: ${messageOf(cause)}; ${next}`,
        { cause },
      );
    }
  }
}

/** Reads the original destination while the descriptor is surely ours, in the very turn the connection was accepted. */
function redirected(socket: Socket, door: (captured: Captured) => void): void {
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
