// Lets kubelet probes reach captured pods: on the node, connections of its root processes to those pods get a source address
// that the pods' rules leave alone. Called by netns.ts. Invariants: exactly the pods that are wanted are named; nothing is
// changed in the node's network while there are none; an agent that ends leaves all as it is, for the next one.

import type { IpAddress } from '../../mesh/address.ts';
import { isIpv6, parseIp } from '../../mesh/address.ts';
import { ChangeWatch } from './change-watch.ts';
import { runInside } from './commands.ts';
import { listTable, type NftTable } from './nft-list.ts';
import { PROBE_V4, PROBE_V6 } from './rules.ts';
import { type Netns, openNetns } from './syscalls.ts';

const TABLE = ['inet', 'ambit-probes'] as const;
const TABLE_NAME = TABLE.join(' ');
const CHAIN = `${TABLE_NAME} from_node`;
const SETS = { ipv4: 'pods4', ipv6: 'pods6' } as const;
/** Before anybody else's source translation (100): the first one that matches decides. */
const PRIORITY = 90;
/** The kubelet's, which has to be root. Packets that the node only forwards have no user, and so never match. */
const KUBELET_UID = 0;

const RULES = [
  `ip daddr @${SETS.ipv4} meta l4proto tcp meta skuid ${KUBELET_UID} snat ip to ${PROBE_V4}`,
  `ip6 daddr @${SETS.ipv6} meta l4proto tcp meta skuid ${KUBELET_UID} snat ip6 to ${PROBE_V6}`,
];

/** One transaction that makes what is not there, and changes the pods it names. */
export function probeRules(
  added: readonly IpAddress[],
  dropped: readonly IpAddress[] = [],
): string {
  return [
    `add table ${TABLE_NAME}`,
    `add set ${TABLE_NAME} ${SETS.ipv4} { type ipv4_addr; }`,
    `add set ${TABLE_NAME} ${SETS.ipv6} { type ipv6_addr; }`,
    `add chain ${CHAIN} { type nat hook postrouting priority ${PRIORITY}; policy accept; }`,
    `flush chain ${CHAIN}`,
    ...RULES.map((rule) => `add rule ${CHAIN} ${rule}`),
    // to delete what is not there would fail: it is added first
    ...elements('add', [...added, ...dropped]),
    ...elements('delete', dropped),
    '',
  ].join('\n');
}

export function probeRemoval(): string {
  return `add table ${TABLE_NAME}\ndelete table ${TABLE_NAME}\n`;
}

function elements(verb: 'add' | 'delete', addresses: readonly IpAddress[]): string[] {
  return [SETS.ipv4, SETS.ipv6].flatMap((set) => {
    const mine = addresses.filter((ip) => isIpv6(ip) === (set === SETS.ipv6));
    return mine.length === 0 ? [] : [`${verb} element ${TABLE_NAME} ${set} { ${mine.join(', ')} }`];
  });
}

export class ProbeBypass {
  readonly #node: Netns;
  readonly #watch: ChangeWatch;
  readonly #pods = new Map<string, readonly IpAddress[]>();
  /** What the kernel has of ours, as far as we know. */
  #applied = new Set<IpAddress>();
  /** Before that, there may be pods of an agent before us, which are still to be enrolled again. */
  #swept = false;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;

  /** `node` is the path of the node's own namespace. @throws the file system's error when it is not there */
  constructor(node: string) {
    this.#node = openNetns(node);
    this.#watch = new ChangeWatch(this.#node, ['nft']);
  }

  /** Takes the pod's newest addresses; none: those it had, for a pod's are known late and do not change. @throws CommandError */
  async allow(podUid: string, addresses: readonly IpAddress[]): Promise<void> {
    if (addresses.length > 0 || !this.#pods.has(podUid)) this.#pods.set(podUid, addresses);
    await this.#sync();
  }

  /** @throws CommandError */
  async forbid(podUid: string): Promise<void> {
    if (this.#pods.delete(podUid)) await this.#sync();
  }

  /** Drops the pods of an agent before us that are not ours. Called once, when ours are all named. @throws CommandError */
  async sweep(): Promise<void> {
    const table = await listTable(this.#node, TABLE);
    this.#swept = true;
    for (const ip of addressesIn(table)) this.#applied.add(ip);
    if (table !== undefined && this.#pods.size === 0) await this.#remove();
    else await this.#sync();
  }

  /** Whether somebody had changed it; then it is as it was again. @throws CommandError when it cannot be put back */
  async verify(): Promise<boolean> {
    if (this.#pods.size === 0 || !this.#watch.changed()) return false;
    await this.#running.catch(() => {});
    const table = await listTable(this.#node, TABLE);
    const found = new Set(addressesIn(table));
    const whole = table?.counts.get('from_node') === RULES.length;
    if (whole && [...this.#applied].every((ip) => found.has(ip))) return false;
    // only of what we put there: the rest may be of an agent before us, whose pods are still to be enrolled again
    this.#applied = new Set([...this.#applied].filter((ip) => whole && found.has(ip)));
    await this.#sync();
    return true;
  }

  close(): void {
    this.#watch.close();
    this.#node.close();
  }

  /** One transaction at a time; those who come while one runs share the next. */
  #sync(): Promise<void> {
    if (this.#queued !== undefined) return this.#queued;
    const next = this.#running
      .catch(() => {})
      .then(() => {
        this.#queued = undefined;
        return this.#apply();
      });
    this.#queued = next;
    this.#running = next;
    return next;
  }

  async #apply(): Promise<void> {
    const wanted = new Set([...this.#pods.values()].flat());
    const added = [...wanted].filter((ip) => !this.#applied.has(ip));
    const dropped = [...this.#applied].filter((ip) => !wanted.has(ip));
    if (added.length === 0 && dropped.length === 0) return;
    if (wanted.size === 0 && this.#swept) {
      await this.#remove();
      return;
    }
    await runInside(this.#node, 'nft', ['-f', '-'], probeRules(added, dropped));
    this.#applied = wanted;
  }

  async #remove(): Promise<void> {
    await runInside(this.#node, 'nft', ['-f', '-'], probeRemoval());
    this.#applied = new Set();
  }
}

function addressesIn(table: NftTable | undefined): IpAddress[] {
  return [SETS.ipv4, SETS.ipv6].flatMap((set) => table?.elements.get(set) ?? []).map(parseIp);
}
