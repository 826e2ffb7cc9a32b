// Finds out what isolation the kernel lets us have, by trying it: namespaces as root, namespaces inside a user namespace,
// or none (loopback mode). Called by launch.ts and by tests. Invariant: a probe leaves nothing behind.

import { spawn } from 'node:child_process';
import { withSystemPrograms } from './requirements.ts';

export type Isolation =
  | {
      readonly mode: 'netns';
      /** Words to put before a command so that it runs isolated. */
      readonly prefix: readonly string[];
      readonly kind: 'root' | 'user-namespace';
      /** With a process-number namespace the kernel itself ends every process of a sandbox that dies. */
      readonly ownProcesses: boolean;
    }
  | { readonly mode: 'loopback'; readonly reason: string };

/** A probe that hangs is an answer too: the longest seen on a loaded two-core machine was under a second. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * What a sandbox does in its namespace at once: links, forwarding, translation rules with the expressions we use.
 * The last line's `mount` shows that pods can be given files of their own.
 */
const PROBE = `set -e
ip link add name probe0 type bridge
ip link add probe1 type veth peer name probe2
ip link set probe1 master probe0
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f - <<'RULES'
table inet probe {
  chain one { type nat hook prerouting priority -100; fib daddr type local tcp dport 1 redirect to :2
  }
  chain two { type filter hook forward priority 0; ct state new tcp dport 1 reject with tcp reset
  }
  chain three { type nat hook postrouting priority 100; masquerade
  }
}
RULES
mount -t tmpfs probe /tmp
`;

const NAMES: Readonly<Record<string, string>> = {
  root: 'as root',
  'user-namespace': 'in a user namespace',
};

type Attempt = { readonly kind: 'root' | 'user-namespace'; readonly prefix: readonly string[] };

const OWN_PROCESSES = ['--pid', '--fork', '--kill-child', '--mount-proc'];
const AS_ROOT = ['unshare', '--net', '--mount'];
const AS_USER = ['unshare', '--user', '--map-root-user', '--net', '--mount'];

export type Person = {
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
};

/** What the kernel alone says, asked without any of the programs that a network is made with. */
export function probeNamespaces(person: Person): Promise<Isolation> {
  return firstThatWorks(person, 'true\n');
}

/** Tries everything a sandbox will do. Needs the programs; a missing one looks like a refusal. */
export function probeIsolation(person: Person): Promise<Isolation> {
  return firstThatWorks(person, PROBE);
}

async function firstThatWorks(person: Person, probe: string): Promise<Isolation> {
  const refusals = new Map<string, string>();
  for (const attempt of attempts(person.uid)) {
    const refusal = await tryIn(attempt.prefix, probe, person.env);
    if (refusal === undefined) {
      return {
        mode: 'netns',
        prefix: attempt.prefix,
        kind: attempt.kind,
        ownProcesses: attempt.prefix.includes('--pid'),
      };
    }
    refusals.set(attempt.kind, refusal);
  }
  const reasons = [...refusals].map(([kind, refusal]) => `${NAMES[kind]}: ${refusal}`);
  return { mode: 'loopback', reason: `The kernel gives us no namespaces (${reasons.join('; ')})` };
}

function attempts(uid: number): Attempt[] {
  const asUser: Attempt[] = [
    { kind: 'user-namespace', prefix: [...AS_USER, ...OWN_PROCESSES] },
    // a container that masks parts of /proc refuses a new /proc; the sandbox then ends its processes itself
    { kind: 'user-namespace', prefix: [...AS_USER, '--fork', '--kill-child'] },
  ];
  if (uid !== 0) return asUser;
  return [
    { kind: 'root', prefix: [...AS_ROOT, ...OWN_PROCESSES] },
    { kind: 'root', prefix: [...AS_ROOT, '--fork', '--kill-child'] },
    ...asUser,
  ];
}

/** @returns why not, or undefined when all of it worked */
async function tryIn(
  prefix: readonly string[],
  probe: string,
  env: Person['env'],
): Promise<string | undefined> {
  const [program = '', ...args] = prefix;
  const child = spawn(program, [...args, 'sh', '-s'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: withSystemPrograms(env),
    timeout: PROBE_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(probe);
  return await new Promise((done) => {
    child.on('error', (error) => {
      done(error.message);
    });
    child.on('close', (code, signal) => {
      if (code === 0) done(undefined);
      else done(complaint.trim().split('\n').at(-1) ?? `ended with ${code ?? signal}`);
    });
  });
}
