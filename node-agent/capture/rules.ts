// The nft ruleset of one pod's network namespace, as text: a pure function, applied by netns.ts as one transaction.
// Marks, connection mark and route table are the reference's, so that its tools and network policies know them.

import { isIpv6 } from '../../mesh/address.ts';
import type { CaptureOptions, PortRange } from '../../mesh/capture-options.ts';
import { DNS_PORT, OUTBOUND_PORT, PASSTHROUGH_PORT, TUNNEL_PORT } from '../../mesh/own-ports.ts';
import type { Cidr } from '../../mesh/policy.ts';

/** SO_MARK of every socket the agent opens in a pod: such traffic is never captured. */
export const AGENT_MARK = 0x539;
/** Connections the agent opened into the pod as somebody else: replies come back to the agent. */
const REPLY_MARK = 0x111;
const MARK_MASK = 0xfff;
const ROUTE_TABLE = 100;
const RULE_PRIORITY = 32764;
/** Our own DNS questions are tracked apart: the pod's, which we translate, may come from the same port. */
const DNS_ZONE = 1;
/** The table's family and name, for `nft list table`. */
export const TABLE = ['inet', 'ambit'] as const;
const TABLE_NAME = TABLE.join(' ');
/** Raised when the rules change, so that an agent sees which ones a pod has: as an empty chain, which nft shows everywhere. */
export const RULES_VERSION = 2;
const VERSION_CHAIN = 'version_';

// The source addresses that kubelet probes are given on the node (probe-bypass.ts): such traffic is never captured.
export const PROBE_V4 = '169.254.7.127';
export const PROBE_V6 = 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff';

/**
 * `capturing`: new connections are led to the agent. `released`: new ones pass, captured ones stay translated.
 */
export type RuleState =
  | {
      readonly kind: 'capturing';
      readonly options: CaptureOptions;
      /** Whether the agent answers the pod's DNS. */
      readonly dns: boolean;
    }
  | { readonly kind: 'released' };

/** Replaces whatever version of the table is there, in one transaction. */
export function ruleset(state: RuleState): string {
  const chains = chainsOf(state).map(({ name, hook, rules }) =>
    hook === undefined
      ? `  chain ${name} {\n  }\n`
      : `  chain ${name} {\n    ${hook}; policy accept;\n${indent(rules)}\n  }\n`,
  );
  return `
add table ${TABLE_NAME}
delete table ${TABLE_NAME}
table ${TABLE_NAME} {
  comment "version ${RULES_VERSION} ${state.kind}"
${chains.join('')}}
`;
}

export function rulesetRemoval(): string {
  return `add table ${TABLE_NAME}\ndelete table ${TABLE_NAME}\n`;
}

/** Of each chain how many rules it has, in the order they are made in: what the kernel must show of these rules. */
export function ruleCounts(state: RuleState): string {
  return chainsOf(state)
    .map(({ name, rules }) => `${name} ${rules.length}`)
    .join(', ');
}

/** The version of the rules whose chains these are; 0 when they do not say. */
export function versionOf(chains: Iterable<string>): number {
  for (const name of chains) {
    if (name.startsWith(VERSION_CHAIN)) return Number(name.slice(VERSION_CHAIN.length)) || 0;
  }
  return 0;
}

type Chain = {
  readonly name: string;
  readonly hook: string | undefined;
  readonly rules: readonly string[];
};

const OURS = `meta mark and ${hex(MARK_MASK)} == ${hex(AGENT_MARK)}`;
const NOT_OURS = `meta mark and ${hex(MARK_MASK)} != ${hex(AGENT_MARK)}`;

function chainsOf(state: RuleState): Chain[] {
  const capturing = state.kind === 'capturing';
  const marks = [
    {
      name: 'mark_in',
      hook: 'type filter hook prerouting priority mangle',
      rules: [`${OURS} ct mark set ct mark and 0xfffff000 or ${hex(REPLY_MARK)}`],
    },
    {
      name: 'mark_out',
      hook: 'type route hook output priority mangle',
      rules: [`ct mark and ${hex(MARK_MASK)} == ${hex(REPLY_MARK)} meta mark set ct mark`],
    },
  ];
  const nat = [
    {
      name: 'nat_in',
      hook: 'type nat hook prerouting priority dstnat',
      rules: capturing ? captureIn(state.options) : KEEP,
    },
    {
      name: 'nat_out',
      hook: 'type nat hook output priority -100',
      rules: capturing ? captureOut(state.options, state.dns) : KEEP,
    },
  ];
  const version = { name: `${VERSION_CHAIN}${RULES_VERSION}`, hook: undefined, rules: [] };
  return [version, ...(capturing && state.dns ? ZONES : []), ...marks, ...nat];
}

const ZONES: readonly Chain[] = [
  {
    name: 'zone_out',
    hook: 'type filter hook output priority raw',
    rules: [`udp dport 53 ${OURS} ct zone set ${DNS_ZONE}`],
  },
  {
    name: 'zone_in',
    hook: 'type filter hook prerouting priority raw',
    rules: [`udp sport 53 ${NOT_OURS} ct zone set ${DNS_ZONE}`],
  },
];

// Only the opening SYN: conntrack takes the first packet it sees of a connection that is already open for a new one, and
// redirecting that would break the connection at enrolment.
const OPENING = 'tcp flags & (fin | syn | rst | ack) == syn';

function captureIn(options: CaptureOptions): string[] {
  const exceptions = [
    `ip saddr ${PROBE_V4} accept`,
    `ip6 saddr ${PROBE_V6} accept`,
    'ip daddr 127.0.0.0/8 accept',
    'ip6 daddr ::1 accept',
    `tcp dport ${TUNNEL_PORT} accept`,
    `${OURS} accept`,
  ];
  if (options.bypassInbound) return exceptions;
  return [
    ...exceptions,
    ...ports('tcp dport', options.excludeInboundPorts),
    ...ranges('saddr', options.excludeInboundCidrs),
    `${OPENING} redirect to :${PASSTHROUGH_PORT}`,
  ];
}

function captureOut(options: CaptureOptions, dns: boolean): string[] {
  return [
    `ip daddr ${PROBE_V4} accept`,
    `ip6 daddr ${PROBE_V6} accept`,
    `meta mark and ${hex(MARK_MASK)} == ${hex(REPLY_MARK)} accept`,
    `${OURS} accept`,
    // the pod talking to itself
    'oifname "lo" accept',
    'ip daddr 127.0.0.0/8 accept',
    'ip6 daddr ::1 accept',
    // before DNS: who leaves out a name server, or port 53, means to reach it
    ...ports('th dport', options.excludeOutboundPorts),
    ...ranges('daddr', options.excludeOutboundCidrs),
    ...(dns
      ? [
          `udp dport 53 redirect to :${DNS_PORT}`,
          `tcp dport 53 ${OPENING} redirect to :${DNS_PORT}`,
        ]
      : []),
    `${OPENING} redirect to :${OUTBOUND_PORT}`,
  ];
}

/** One rule for all of them; nft refuses overlapping elements in a set, so they are merged first. */
function ports(match: string, excluded: readonly PortRange[]): string[] {
  if (excluded.length === 0) return [];
  const elements = merged(excluded).map(({ first, last }) =>
    first === last ? `${first}` : `${first}-${last}`,
  );
  const transport = match.startsWith('th ') ? 'meta l4proto { tcp, udp } ' : '';
  return [`${transport}${match} { ${elements.join(', ')} } accept`];
}

function merged(ranges: readonly PortRange[]): PortRange[] {
  const result: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const previous = result.at(-1);
    if (previous === undefined || range.first > previous.last + 1) result.push(range);
    else result[result.length - 1] = { ...previous, last: Math.max(previous.last, range.last) };
  }
  return result;
}

function ranges(match: 'saddr' | 'daddr', excluded: readonly Cidr[]): string[] {
  return excluded.map(
    ({ ip, prefixLength }) => `${isIpv6(ip) ? 'ip6' : 'ip'} ${match} ${ip}/${prefixLength} accept`,
  );
}

// A rule that uses conntrack keeps its hooks in the namespace: without one, open captured connections lose their
// translation and are reset at once.
const KEEP = ['ct state established accept'];

/** `ip -4|-6 rule` arguments that say whether the reply rule is there. */
export const SHOW_RULE = ['rule', 'show', 'pref', String(RULE_PRIORITY)];

/** `ip -4|-6` arguments that show what {@link routeBatch} made of routes. */
export const SHOW_ROUTES = ['route', 'show', 'table', String(ROUTE_TABLE), 'type', 'local'];

/**
 * Lines for `ip -batch`: replies to connections opened as somebody else are delivered locally. `shownRules` is what
 * {@link SHOW_RULE} gave: adding the rule twice would give two.
 */
export function routeBatch(family: 4 | 6, shownRules: string): string {
  const ruleIsThere = shownRules.includes(
    `fwmark ${hex(REPLY_MARK)}/${hex(MARK_MASK)} lookup ${ROUTE_TABLE}`,
  );
  const all = family === 4 ? '0.0.0.0/0' : '::/0';
  const lines = [`route replace local ${all} dev lo table ${ROUTE_TABLE}`];
  if (!ruleIsThere) lines.push(`rule add ${replyRule()}`);
  return `${lines.join('\n')}\n`;
}

export function routeRemovalBatch(family: 4 | 6): string {
  const all = family === 4 ? '0.0.0.0/0' : '::/0';
  return `rule del ${replyRule()}\nroute del local ${all} dev lo table ${ROUTE_TABLE}\n`;
}

function replyRule(): string {
  return `fwmark ${hex(REPLY_MARK)}/${hex(MARK_MASK)} pref ${RULE_PRIORITY} lookup ${ROUTE_TABLE}`;
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `    ${line}`).join('\n');
}
