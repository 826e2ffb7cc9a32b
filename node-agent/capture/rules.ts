// The nft ruleset of one pod's network namespace, as text: a pure function, applied by netns.ts as one transaction.
// Marks, connection mark and route table are the reference's, so that its tools and network policies know them.

import { OUTBOUND_PORT, PASSTHROUGH_PORT, TUNNEL_PORT } from '../../mesh/own-ports.ts';

/** SO_MARK of every socket the agent opens in a pod: such traffic is never captured. */
export const AGENT_MARK = 0x539;
/** Connections the agent opened into the pod as somebody else: replies come back to the agent. */
const REPLY_MARK = 0x111;
const MARK_MASK = 0xfff;
const ROUTE_TABLE = 100;
const RULE_PRIORITY = 32764;
const TABLE = 'ambit';
/** Raised when the rules change, so that an agent sees which ones a pod has. */
const RULES_VERSION = 1;

// The source address kubelet probes are given where the node rewrites them: such traffic is never captured.
const PROBE_V4 = '169.254.7.127';
const PROBE_V6 = 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff';

/**
 * `capturing`: new connections are led to the agent. `released`: new ones pass, captured ones stay translated.
 * Replaces whatever version of the table is there, in one transaction.
 */
export type RuleState = 'capturing' | 'released';

export function ruleset(state: RuleState): string {
  const [nat_in, nat_out] = state === 'capturing' ? [CAPTURE_IN, CAPTURE_OUT] : [KEEP, KEEP];
  return `
add table inet ${TABLE}
delete table inet ${TABLE}
table inet ${TABLE} {
  comment "version ${RULES_VERSION} ${state}"
  chain mark_in {
    type filter hook prerouting priority mangle; policy accept;
    meta mark and ${hex(MARK_MASK)} == ${hex(AGENT_MARK)} ct mark set ct mark and 0xfffff000 or ${hex(REPLY_MARK)}
  }
  chain mark_out {
    type route hook output priority mangle; policy accept;
    ct mark and ${hex(MARK_MASK)} == ${hex(REPLY_MARK)} meta mark set ct mark
  }
  chain nat_in {
    type nat hook prerouting priority dstnat; policy accept;
${indent(nat_in)}
  }
  chain nat_out {
    type nat hook output priority -100; policy accept;
${indent(nat_out)}
  }
}
`;
}

export function rulesetRemoval(): string {
  return `add table inet ${TABLE}\ndelete table inet ${TABLE}\n`;
}

/** `nft` arguments that succeed when the table is there. */
export const LIST_TABLE = ['list', 'table', 'inet', TABLE];

// Only the opening SYN: conntrack takes the first packet it sees of a connection that is already open for a new one, and
// redirecting that would break the connection at enrolment.
const OPENING = 'tcp flags & (fin | syn | rst | ack) == syn';

const CAPTURE_IN = [
  `ip saddr ${PROBE_V4} accept`,
  `ip6 saddr ${PROBE_V6} accept`,
  'ip daddr 127.0.0.0/8 accept',
  'ip6 daddr ::1 accept',
  `tcp dport ${TUNNEL_PORT} accept`,
  `meta mark and ${hex(MARK_MASK)} == ${hex(AGENT_MARK)} accept`,
  `${OPENING} redirect to :${PASSTHROUGH_PORT}`,
];

const CAPTURE_OUT = [
  `ip daddr ${PROBE_V4} accept`,
  `ip6 daddr ${PROBE_V6} accept`,
  `meta mark and ${hex(MARK_MASK)} == ${hex(REPLY_MARK)} accept`,
  `meta mark and ${hex(MARK_MASK)} == ${hex(AGENT_MARK)} accept`,
  // the pod talking to itself
  'oifname "lo" accept',
  'ip daddr 127.0.0.0/8 accept',
  'ip6 daddr ::1 accept',
  `${OPENING} redirect to :${OUTBOUND_PORT}`,
];

// A rule that uses conntrack keeps its hooks in the namespace: without one, open captured connections lose their
// translation and are reset at once.
const KEEP = ['ct state established accept'];

/** `ip -4|-6 rule` arguments that say whether the reply rule is there. */
export const SHOW_RULE = ['rule', 'show', 'pref', String(RULE_PRIORITY)];

/** Lines for `ip -batch`: replies to connections opened as somebody else are delivered locally. */
export function routeBatch(family: 4 | 6, ruleIsThere: boolean): string {
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
