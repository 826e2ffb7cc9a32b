// Two nodes with real agents for the netns tests, and what the control plane would tell them. Used by files of
// test/netns/ inside enterNamespaces().

import assert from 'node:assert/strict';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import type { AuthorizationPolicy } from '../../mesh/policy.ts';
import type { ResourceUpdate } from '../../mesh/resource-update.ts';
import type { AgentParts, AgentSettings } from '../../node-agent/agent-parts.ts';
import { type Agent, startAgent } from '../../node-agent/app.ts';
import type { CaptureDriver } from '../../node-agent/capture/capture.ts';
import { directorySource } from '../../node-agent/capture/find-netns.ts';
import { netnsCapture } from '../../node-agent/capture/netns.ts';
import {
  AGENT_SETTINGS,
  createTestCa,
  enrolmentOf,
  HandmadeDiscovery,
  issueFrom,
  memoryLog,
  type TestCa,
  workloadOf,
} from '../../node-agent/test-support/world.ts';
import { systemClock } from '../../runtime/clock.ts';
import { Lan, type NodeName, type Pod } from './lan.ts';

const SETTINGS: AgentSettings = {
  ...AGENT_SETTINGS,
  drainDeadlineMs: 2000,
  leaveGraceMs: 200,
  watchIntervalMs: 200,
};
export type Node = { agent: Agent; discovery: HandmadeDiscovery; lines: Record<string, unknown>[] };

/** Both nodes with their agents; tells both what the control plane would. */
export class Cluster {
  readonly lan: Lan;
  readonly ca: TestCa;
  readonly nodes = new Map<NodeName, Node>();
  readonly captures: CaptureDriver[] = [];
  readonly #workloads = new Map<string, Parameters<typeof workloadOf>>();

  constructor(lan: Lan, ca: TestCa) {
    this.lan = lan;
    this.ca = ca;
  }

  /** With an agent on each node. */
  static async start(): Promise<Cluster> {
    const cluster = new Cluster(new Lan(), await createTestCa());
    await cluster.startAgent('node-a');
    await cluster.startAgent('node-b');
    return cluster;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.nodes.values()].map(({ agent }) => agent.stop()));
    for (const capture of this.captures) capture.close();
    this.lan.close();
  }

  async startAgent(
    name: NodeName,
    discovery = new HandmadeDiscovery(),
    parts: Pick<AgentParts, 'resolveHost'> = {},
    settings: Partial<AgentSettings> = {},
  ): Promise<Node> {
    const { log, lines } = memoryLog();
    const capture = netnsCapture({
      clock: systemClock,
      log,
      sources: [directorySource(this.lan.podDirectory(name))],
      probesFrom: `/run/netns/${name}`,
    });
    this.captures.push(capture);
    const agent = await startAgent(
      { ...parts, clock: systemClock, log, discovery, issue: issueFrom(this.ca), capture },
      { ...SETTINGS, ...settings },
    );
    const node = { agent, discovery, lines };
    this.nodes.set(name, node);
    return node;
  }

  node(pod: Pod): Node {
    return this.nodes.get(pod.node)!;
  }

  /** Everybody knows the policy from now on. */
  enact(policy: AuthorizationPolicy): void {
    for (const { discovery } of this.nodes.values()) discovery.push({ kind: 'policy', policy });
  }

  /** The workload as everybody shall see it from now on. */
  announce(pod: Pod, overrides: Parameters<typeof workloadOf>[1] = {}): void {
    this.#workloads.set(pod.uid, [pod, overrides]);
    for (const { discovery } of this.nodes.values()) {
      discovery.push({ kind: 'workload', workload: workloadOf(pod, overrides) });
    }
  }

  /** Told to every node. */
  push(...updates: readonly ResourceUpdate[]): void {
    for (const { discovery } of this.nodes.values()) discovery.push(...updates);
  }

  /** A fresh agent's discovery gets all that is known; no pod is wanted yet. */
  tellAll(discovery: HandmadeDiscovery): void {
    for (const [pod, overrides] of this.#workloads.values()) {
      discovery.push({ kind: 'workload', workload: workloadOf(pod, overrides) });
    }
  }

  /** Wanted, and announced as reachable by tunnel once its agent says so: what the control plane does. */
  async enrol(pod: Pod): Promise<void> {
    const { discovery } = this.node(pod);
    const since = discovery.reports.length;
    discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(pod) });
    await discovery.reported(pod.uid, 'enabled', since);
    const [, overrides] = this.#workloads.get(pod.uid)!;
    this.announce(pod, { ...overrides, protocol: 'hbone' });
  }

  async leave(pod: Pod): Promise<void> {
    const { discovery } = this.node(pod);
    const since = discovery.reports.length;
    const [, overrides] = this.#workloads.get(pod.uid)!;
    this.announce(pod, { ...overrides, protocol: 'tcp' });
    discovery.push({ kind: 'enrolment-removed', podUid: pod.uid });
    await discovery.reported(pod.uid, 'removed', since);
  }

  async failed(pod: Pod): Promise<EnrolmentReport & { state: 'failed' }> {
    const { discovery } = this.node(pod);
    const since = discovery.reports.length;
    discovery.push({ kind: 'enrolment', enrolment: enrolmentOf(pod) });
    const report = await discovery.reported(pod.uid, 'failed', since);
    assert.equal(report.state, 'failed');
    return report as EnrolmentReport & { state: 'failed' };
  }
}

/** Lets whatever is under way go on: for loops that wait for a state nobody tells of. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
