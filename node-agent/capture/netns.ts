// Capture by nft inside the pod's own network namespace: our listening sockets live there, redirect rules lead new
// connections to them. Called by enrolment.ts; the way it works on every real node. Nothing in the pod itself changes.

import type { Socket as UdpSocket } from 'node:dgram';
import { fstatSync } from 'node:fs';
import type { Socket } from 'node:net';
import { formatIpPort } from '../../mesh/address.ts';
import { MeshError } from '../../mesh/failures.ts';
import { DNS_PORT, OUTBOUND_PORT, PASSTHROUGH_PORT, TUNNEL_PORT } from '../../mesh/own-ports.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { connected, type DialTarget, keepSocketAlive } from '../../tunnel/socket.ts';
import {
  type CaptureDriver,
  CaptureError,
  type DnsDoor,
  type Doors,
  type Leftover,
  type PodCapture,
  type PodPlace,
  podName,
  type RepairReason,
} from './capture.ts';
import { CommandError } from './commands.ts';
import { findNetns, inodeOf, type NetnsSource } from './find-netns.ts';
import { type Listener, listen } from './listener.ts';
import { listTable } from './nft-list.ts';
import { PodRules } from './pod-rules.ts';
import {
  boundToAll,
  boundToLoopback,
  dialSocket,
  type Family,
  hasIpv6,
  markedUdp,
  takeRedirected,
  udpSocket,
} from './pod-sockets.ts';
import { ProbeBypass } from './probe-bypass.ts';
import { TABLE } from './rules.ts';
import { leadToSecondListener, type Netns, openNetns, SyscallError } from './syscalls.ts';

const EADDRINUSE = 98;

export type NetnsParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly sources: readonly NetnsSource[];
  /** Path of the node's own namespace, where kubelet probes are let past capture; undefined: they are captured. */
  readonly probesFrom?: string | undefined;
};

type PodParts = NetnsParts & { readonly probes: ProbeBypass | undefined };

export function netnsCapture(parts: NetnsParts): CaptureDriver {
  const { probesFrom } = parts;
  const probes = probesFrom === undefined ? undefined : new ProbeBypass(probesFrom);
  return {
    async open(pod) {
      const path = await findNetns(parts.sources, pod.podUid);
      if (path === undefined) throw noNamespace(pod);
      let capture: NetnsPod;
      try {
        capture = new NetnsPod({ ...parts, probes }, pod, { path, netns: openNetns(path) });
      } catch (cause) {
        throw noNamespace(pod, cause);
      }
      try {
        await capture.allowProbes();
        return capture;
      } catch (error) {
        await capture.close();
        throw error;
      }
    },
    close: () => probes?.close(),
    async leftovers(wanted) {
      // pods that were let go matter more than addresses too many on the node
      await probes
        ?.sweep()
        .catch((error: unknown) =>
          parts.log.warn('Cannot sweep what let kubelet probes reach pods of before', { error }),
        );
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
    if ((await listTable(netns, TABLE)) === undefined) {
      netns.close();
      return undefined;
    }
  } catch (error) {
    netns?.close();
    // most often the pod is gone; a missing program is said at the first enrolment
    log.debug('Cannot look for a leftover in a pod', { podUid, error });
    return undefined;
  }
  const inside = netns;
  const rules = new PodRules(inside, [4, 6]);
  return {
    podUid,
    release: () => rules.apply({ kind: 'released' }),
    remove: () => rules.remove(),
    async close() {
      rules.close();
      inside.close();
    },
  };
}

function noNamespace(pod: PodPlace, cause?: unknown): CaptureError {
  return new CaptureError(
    'NoNetworkNamespace',
    `Cannot find the network namespace of pod ${podName(pod)} (UID ${pod.podUid}) on this node: check that the pod is running`,
    { cause },
  );
}

class NetnsPod implements PodCapture {
  readonly #parts: PodParts;
  #pod: PodPlace;
  readonly #netns: Netns;
  readonly #inode: number;
  #path: string;
  readonly #listeners = new Map<string, Listener>();
  /** Whether the pod's DNS is to be led to us; as the last listen() said. */
  #dns = false;
  readonly #v6: boolean;
  readonly #rules: PodRules;
  /** Known to be gone, with all that was in it. */
  #gone = false;

  constructor(parts: PodParts, pod: PodPlace, found: { path: string; netns: Netns }) {
    this.#parts = parts;
    this.#pod = pod;
    this.#netns = found.netns;
    this.#path = found.path;
    this.#inode = fstatSync(found.netns.fd).ino;
    this.#v6 = hasIpv6(found.netns);
    this.#rules = new PodRules(found.netns, this.#v6 ? [4, 6] : [4]);
  }

  async dial(target: DialTarget, signal?: AbortSignal): Promise<Socket> {
    signal?.throwIfAborted();
    let socket: Socket;
    try {
      socket = dialSocket(this.#netns, target);
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

  udp(family: Family): UdpSocket {
    try {
      return markedUdp(this.#netns, family);
    } catch (cause) {
      throw new MeshError(
        'UPSTREAM_CONNECT',
        `Cannot make a UDP socket in pod ${podName(this.#pod)}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  async listen(doors: Doors): Promise<void> {
    const before = new Set(this.#listeners.keys());
    try {
      await this.#open(OUTBOUND_PORT, (socket) => takeRedirected(socket, doors.outbound));
      await this.#open(PASSTHROUGH_PORT, (socket) => takeRedirected(socket, doors.passthrough));
      await this.#open(TUNNEL_PORT, (socket) => doors.tunnel(socket));
      if (doors.dns !== undefined) await this.#openDns(doors.dns);
    } catch (error) {
      const opened = [...this.#listeners].filter(([name]) => !before.has(name));
      for (const [name] of opened) this.#listeners.delete(name);
      await Promise.all(opened.map(([, listener]) => listener.close()));
      throw error;
    }
    this.#dns = doors.dns !== undefined;
  }

  async redirect(pod: PodPlace): Promise<void> {
    this.#pod = pod;
    await this.allowProbes();
    await this.#attempt('redirect its connections', () =>
      this.#rules.apply({ kind: 'capturing', options: pod.capture, dns: this.#dns }),
    );
  }

  async verify(): Promise<RepairReason | undefined> {
    return this.#attempt(
      'put back its redirection, which another program has changed,',
      async () => {
        const reason = await this.#rules.verify();
        if (reason !== undefined) return reason;
        return (await this.#parts.probes?.verify()) === true ? 'probe-bypass-changed' : undefined;
      },
    );
  }

  /** Also for a pod that an agent before us captured, as soon as we know of it. @throws CaptureError */
  async allowProbes(): Promise<void> {
    const { podUid, addresses } = this.#pod;
    await this.#attempt(
      'let kubelet probes past capture (AMBIT_PROBE_BYPASS=false does without)',
      async () => this.#parts.probes?.allow(podUid, addresses),
    );
  }

  async #forbidProbes(): Promise<void> {
    await this.#parts.probes?.forbid(this.#pod.podUid);
  }

  async release(): Promise<void> {
    await this.#attempt('let go of its connections', async () => {
      await this.#rules.apply({ kind: 'released' });
      await this.#forbidProbes();
    });
  }

  yieldDoors(): void {
    for (const { fd } of this.#listeners.values()) if (fd !== undefined) leadToSecondListener(fd);
  }

  async closeDoors(): Promise<void> {
    const listeners = [...this.#listeners.values()];
    this.#listeners.clear();
    await Promise.all(listeners.map((listener) => listener.close()));
  }

  async remove(): Promise<void> {
    await this.#attempt('remove the redirection', async () => {
      await this.#rules.remove();
      await this.#forbidProbes();
    });
  }

  async vanished(): Promise<boolean> {
    // the usual case costs one stat, a scan only when the path has changed its meaning
    if ((await inodeOf(this.#path)) === this.#inode) return false;
    const path = await findNetns(this.#parts.sources, this.#pod.podUid);
    this.#gone = path === undefined || (await inodeOf(path)) !== this.#inode;
    if (path === undefined || this.#gone) return true;
    this.#path = path;
    return false;
  }

  async close(): Promise<void> {
    await this.closeDoors();
    // an agent that stops leaves its pods as they are; a pod that is gone leaves its address to the next one
    if (this.#gone) {
      await this.#forbidProbes().catch((error: unknown) =>
        this.#parts.log.warn('Cannot take back what let kubelet probes reach a pod', { error }),
      );
    }
    this.#rules.close();
    this.#netns.close();
  }

  /** Dual stack where the pod has IPv6, else IPv4 only. */
  async #open(port: number, onConnection: (socket: Socket) => void): Promise<void> {
    const family = this.#v6 ? 'ipv6' : 'ipv4';
    await this.#keep(`${port}`, port, () =>
      listen({ fd: boundToAll(this.#netns, family, port) }, onConnection),
    );
  }

  /** On the loopback addresses only: conntrack would not know an answer from the pod's own address for one. */
  async #openDns(door: DnsDoor): Promise<void> {
    for (const family of this.#v6 ? (['ipv4', 'ipv6'] as const) : (['ipv4'] as const)) {
      const bound = (kind: 'tcp' | 'udp'): number =>
        boundToLoopback(this.#netns, family, kind, DNS_PORT);
      await this.#keep(`tcp ${family} ${DNS_PORT}`, DNS_PORT, () =>
        listen({ fd: bound('tcp') }, (socket) => takeRedirected(socket, door.tcp)),
      );
      await this.#keep(`udp ${family} ${DNS_PORT}`, DNS_PORT, async () => {
        const fd = bound('udp');
        const socket = udpSocket(family, fd);
        door.udp(socket);
        return { fd, close: async () => void socket.close() };
      });
    }
  }

  async #keep(name: string, port: number, open: () => Promise<Listener>): Promise<void> {
    if (this.#listeners.has(name)) return;
    const pod = podName(this.#pod);
    try {
      this.#listeners.set(name, await open());
    } catch (cause) {
      if (cause instanceof SyscallError && cause.errno === EADDRINUSE) {
        throw new CaptureError(
          'PortTaken',
          `Cannot listen on port ${port} in pod ${pod}: a program in the pod already does; let it use another port, or ${wayOut(port)}`,
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

  async #attempt<T>(what: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
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

function wayOut(port: number): string {
  return port === DNS_PORT
    ? 'leave the DNS of the pod alone with the annotation ambit-mesh.io/dns-capture=false'
    : 'opt the pod out with the label ambit-mesh.io/mode=none';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
