// One network namespace of the sandbox: kept by a small process that waits in it (as a pod's pause container does), so
// that other processes find it at /proc/PID/ns/net, and gone with the sandbox even when the sandbox is killed.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { isIpv6, parseIp } from '../../../mesh/address.ts';
import {
  createNetns,
  inNetns,
  type Netns,
  openNetns,
  openSocket,
} from '../../../node-agent/capture/syscalls.ts';

/** Enough to see what a program was given and what it found wrong; rules of a large cluster would flood the log. */
const MAX_COMPLAINT_CHARS = 2_000;

export class NetworkNamespace {
  readonly netns: Netns;
  /** undefined: the namespace the sandbox itself runs in. */
  readonly #holder: ChildProcess | undefined;

  constructor(parts: { netns: Netns; holder: ChildProcess | undefined }) {
    this.netns = parts.netns;
    this.#holder = parts.holder;
  }

  get pid(): number {
    return this.#holder?.pid ?? process.pid;
  }

  get path(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  spawn(program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return inNetns(this.netns, () => spawn(program, args, options));
  }

  /** Runs a program to its end with `input` on its stdin. @throws Error with what it said on stderr */
  async run(program: string, args: readonly string[], input = ''): Promise<string> {
    const child = this.spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    let complaint = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    // a program that ends before it has read everything says why on stderr; the broken pipe adds nothing
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) {
      const line = [program, ...args].join(' ');
      const said = complaint.trim().slice(0, MAX_COMPLAINT_CHARS) || '(no message)';
      throw new Error(
        `Cannot run "${line}": it ended with ${code}: ${said}\n${input.slice(0, MAX_COMPLAINT_CHARS)}`,
      );
    }
    return output;
  }

  /** Several `ip` commands at one stroke, without the leading word `ip`. */
  async ip(commands: readonly string[]): Promise<void> {
    if (commands.length > 0) await this.run('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
  }

  /** `net.ipv4.ip_forward`-style settings of this namespace. @throws the file system's error of the first refused one */
  configure(settings: Readonly<Record<string, string>>): void {
    inNetns(this.netns, () => {
      for (const [path, value] of Object.entries(settings))
        writeFileSync(`/proc/sys/${path}`, value);
    });
  }

  /** Connects from inside; `from` is the local address to bind. */
  async dial(
    target: { ip: string; port: number },
    from?: string,
    signal?: AbortSignal,
  ): Promise<Socket> {
    signal?.throwIfAborted();
    const ip = parseIp(target.ip);
    const bind = from === undefined ? {} : { bind: { ip: parseIp(from), port: 0 } };
    const fd = inNetns(this.netns, () =>
      openSocket({ family: isIpv6(ip) ? 'ipv6' : 'ipv4', ...bind }),
    );
    // connect() on a ready-made descriptor keeps it in the namespace it was made in
    const socket = new Socket({ fd, allowHalfOpen: true });
    const stop = (): void => {
      socket.destroy(
        signal?.reason instanceof Error ? signal.reason : new Error('Dial was stopped'),
      );
    };
    signal?.addEventListener('abort', stop, { once: true });
    try {
      socket.connect({ host: ip, port: target.port });
      await once(socket, 'connect');
      return socket;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    this.netns.close();
    const holder = this.#holder;
    if (holder === undefined || holder.exitCode !== null || holder.signalCode !== null) return;
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
  }
}

/** The namespace this process runs in: the sandbox's own, where the link between the nodes is. */
export function ownNamespace(): NetworkNamespace {
  return new NetworkNamespace({ netns: openNetns('/proc/thread-self/ns/net'), holder: undefined });
}

export async function createNamespace(): Promise<NetworkNamespace> {
  const netns = createNetns();
  try {
    // `cat` waits for the end of its input: when this process dies, however it dies, the namespace goes too
    const holder = inNetns(netns, () => spawn('cat', [], { stdio: ['pipe', 'ignore', 'ignore'] }));
    holder.stdin?.on('error', () => {});
    await once(holder, 'spawn');
    return new NetworkNamespace({ netns, holder });
  } catch (error) {
    netns.close();
    throw error;
  }
}
