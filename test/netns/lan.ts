// A network of namespaces for the netns tests: two nodes with a link between them, pods on each, v4 and v6, all inside the
// calling process's own namespaces. Programs "in a pod" are sockets of this process that were made in there.

import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { createServer, type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseIp } from '../../mesh/address.ts';
import { inNetns, type Netns, openNetns, openSocket } from '../../node-agent/capture/syscalls.ts';
import type { PodSpec } from '../../node-agent/test-support/world.ts';

export type Pod = PodSpec & {
  readonly v4: string;
  readonly v6: string;
  readonly netns: Netns;
  /** The name of its interface on the node. */
  readonly link: string;
  readonly node: NodeName;
};

/** A pod, or a node's own network. */
export type Place = Pick<Pod, 'name' | 'netns'>;

const execute = promisify(execFile);

export type NodeName = 'node-a' | 'node-b';
const SUBNET = { 'node-a': 1, 'node-b': 2 } as const;

export class Lan {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ambit-pods-'));
  readonly #pods: Pod[] = [];
  readonly #nodes = new Map<NodeName, Place>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #nextHost = 10;

  constructor() {
    ip(`
      link set lo up
      netns add node-a
      netns add node-b
    `);
    for (const node of ['node-a', 'node-b']) withoutDuplicateDetection(node);
    ip(`
      -n node-a link add link-b type veth peer name link-a netns node-b
      -n node-a addr add 192.168.99.1/24 dev link-b
      -n node-b addr add 192.168.99.2/24 dev link-a
      -n node-a addr add fd99::1/64 dev link-b nodad
      -n node-b addr add fd99::2/64 dev link-a nodad
      -n node-a link set link-b up
      -n node-b link set link-a up
    `);
    for (const node of ['node-a', 'node-b'] as const) {
      const subnet = SUBNET[node];
      run('ip', [
        'netns',
        'exec',
        node,
        'sysctl',
        '-qw',
        'net.ipv4.ip_forward=1',
        'net.ipv6.conf.all.forwarding=1',
      ]);
      ip(`
        -n ${node} link set lo up
        -n ${node} link add br0 type bridge mcast_snooping 0
        -n ${node} addr add 10.244.${subnet}.1/24 dev br0
        -n ${node} addr add fd00:${subnet}::1/64 dev br0 nodad
        -n ${node} link set br0 up
      `);
    }
    ip(`
      -n node-a route add 10.244.2.0/24 via 192.168.99.2
      -n node-b route add 10.244.1.0/24 via 192.168.99.1
      -n node-a route add fd00:2::/64 via fd99::2
      -n node-b route add fd00:1::/64 via fd99::1
    `);
  }

  /** The node's own network; closed with the rest. */
  node(name: NodeName): Place {
    const node = this.#nodes.get(name) ?? { name, netns: openNetns(`/run/netns/${name}`) };
    this.#nodes.set(name, node);
    return node;
  }

  /**
   * Gives this process's own network a link to the node's pods, so that what it listens on is met as an agent's doors on
   * the network of its node are. Returns its addresses.
   */
  joinNode(node: NodeName): { readonly v4: string; readonly v6: string } {
    const subnet = SUBNET[node];
    const own = { v4: `10.244.${subnet}.5`, v6: parseIp(`fd00:${subnet}::5`) };
    ip(`
      link add host type veth peer name host netns ${node}
      -n ${node} link set host master br0 up
      addr add ${own.v4}/24 dev host
      addr add ${own.v6}/64 dev host nodad
      link set host up
      route add 10.244.0.0/16 via 10.244.${subnet}.1
      -6 route add fd00::/16 via fd00:${subnet}::1
    `);
    return own;
  }

  /** What a node's agent finds its pods in: `<directory>/<podUid>/netns`. */
  podDirectory(node: NodeName): string {
    return join(this.#directory, node);
  }

  addPod(name: string, node: NodeName, options: { readonly trustDomain?: string } = {}): Pod {
    const host = this.#nextHost++;
    const subnet = SUBNET[node];
    const pod: Pod = {
      name: `${name}-${host}`,
      uid: randomUUID(),
      addresses: [`10.244.${subnet}.${host}`, parseIp(`fd00:${subnet}::${host}`)],
      v4: `10.244.${subnet}.${host}`,
      v6: parseIp(`fd00:${subnet}::${host}`),
      link: `v${host}`,
      node,
      ...options,
      netns: { fd: -1, close() {} },
    };
    mkdirSync(join(this.podDirectory(node), pod.uid), { recursive: true });
    return this.#makeNamespace(pod);
  }

  /** Its sandbox dies and is made again, as after a crash of its pause container: same pod, another namespace. */
  remakePod(pod: Pod): Pod {
    this.destroyPod(pod);
    return this.#makeNamespace(pod);
  }

  #makeNamespace(pod: Pod): Pod {
    const { name: unique, node, link, v4, v6 } = pod;
    const subnet = SUBNET[node];
    ip(`netns add ${unique}`);
    withoutDuplicateDetection(unique);
    ip(`
      -n ${node} link add ${link} type veth peer name eth0 netns ${unique}
      -n ${node} link set ${link} master br0 up
      -n ${unique} link set lo up
      -n ${unique} addr add ${v4}/24 dev eth0
      -n ${unique} addr add ${v6}/64 dev eth0 nodad
      -n ${unique} link set eth0 up
      -n ${unique} route add default via 10.244.${subnet}.1
      -n ${unique} route add default via fd00:${subnet}::1
    `);
    symlinkSync(`/run/netns/${unique}`, join(this.podDirectory(pod.node), pod.uid, 'netns'));
    const made = { ...pod, netns: openNetns(`/run/netns/${unique}`) };
    this.#pods.push(made);
    return made;
  }

  /** The pod's sandbox is torn down: its interface and its entry go. */
  destroyPod(pod: Pod): void {
    ip(`-n ${pod.node} link del ${pod.link}\nnetns del ${pod.name}`);
    unlinkSync(join(this.podDirectory(pod.node), pod.uid, 'netns'));
  }

  /** An application of the pod's, listening on both families. */
  async serve(pod: Pod, port: number, app: (socket: Socket) => void): Promise<Server> {
    const fd = inNetns(pod.netns, () =>
      openSocket({ family: 'ipv6', bind: { ip: parseIp('::'), port }, backlog: 1024 }),
    );
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#track(socket);
      app(socket);
    });
    server.listen({ fd });
    await once(server, 'listening');
    this.#servers.push(server);
    return server;
  }

  /** A connection of an application of the pod's; rejects as it would there. */
  async connect(pod: Place, host: string, port: number): Promise<Socket> {
    // by its text: a v4-mapped address is for a socket of IPv6
    const family = host.includes(':') ? 'ipv6' : 'ipv4';
    const fd = inNetns(pod.netns, () => openSocket({ family }));
    const options: SocketConstructorOpts & { manualStart: boolean } = {
      fd,
      manualStart: true,
      allowHalfOpen: true,
      readable: true,
      writable: true,
    };
    const socket = new Socket(options);
    this.#track(socket);
    const connected = once(socket, 'connect');
    socket.connect({ host, port });
    await connected;
    return socket;
  }

  /** Runs a program of the pod's; resolves with what it printed. */
  run(pod: Place, program: string, ...args: string[]): Promise<string> {
    return inside(pod, program, ...args);
  }

  /** The whole nft ruleset of the pod. */
  ruleset(pod: Place): Promise<string> {
    return inside(pod, 'nft', 'list', 'ruleset');
  }

  /** Every trace an agent may leave in the pod, as text; empty when there is none. */
  async traces(pod: Pod): Promise<string> {
    const all = await Promise.all([
      this.ruleset(pod),
      inside(pod, 'ip', 'rule', 'show', 'pref', '32764'),
      inside(pod, 'ip', '-6', 'rule', 'show', 'pref', '32764'),
      inside(pod, 'ip', 'route', 'show', 'table', 'all', 'type', 'local', 'default'),
    ]);
    return all.join('').trim();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
    for (const { netns } of [...this.#pods, ...this.#nodes.values()]) netns.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #track(socket: Socket): void {
    socket.on('error', () => {});
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

async function inside(pod: Place, program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute('ip', ['netns', 'exec', pod.name, program, ...args]);
  return stdout;
}

/** Nobody else is on these links: waiting a second for a duplicate address to show up would only cost time. */
function withoutDuplicateDetection(netns: string): void {
  const settings = ['net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.default.dad_transmits=0'];
  run('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...settings]);
}

/** Lines of arguments for `ip`, one call each: `-n` does not work inside a batch. */
function ip(lines: string): void {
  for (const line of lines.split('\n').map((one) => one.trim())) {
    if (line !== '') run('ip', line.split(' '));
  }
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
