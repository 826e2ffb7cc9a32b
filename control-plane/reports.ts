// What agents say of their pods, written on the pods: the annotation that makes a workload reachable by tunnel, and an
// Event when an enrolment failed. An agent is believed only about pods of its own node.

import type { EnrolmentReport } from '../mesh/enrolment.ts';
import { backoff } from '../runtime/backoff.ts';
import type { Clock } from '../runtime/clock.ts';
import { type KubeClient, KubeError } from '../runtime/kubernetes/client.ts';
import type { Pod } from '../runtime/kubernetes/objects.ts';
import { PODS } from '../runtime/kubernetes/resources.ts';
import type { Log } from '../runtime/log.ts';
import type { AgentIdentity } from './push/connection.ts';
import type { EventWriter } from './status/events.ts';
import { REDIRECTION, REDIRECTION_MESSAGE } from './translate/mode.ts';

export type ReportParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly events: EventWriter;
  /** The pod as the informer has it. */
  readonly pod: (name: string, namespace: string) => Pod | undefined;
};

type Waiting = { readonly agent: AgentIdentity; readonly report: EnrolmentReport };

// Writes under way at once: the API server is shared, and a rollout reports many pods.
const MAX_WRITING = 8;
// Newest per pod; a node of 500 pods times the agents that connect at once after a restart.
const MAX_WAITING = 50_000;
const RETRY = { initialMs: 200, maxMs: 5000 } as const;
const MAX_TRIES = 6;

export class ReportWriter {
  readonly #parts: ReportParts;
  readonly #waiting = new Map<string, Waiting>();
  readonly #writing = new Map<string, Promise<void>>();
  /** What we wrote last on each pod, until it is pushed out by newer ones. */
  readonly #written = new Map<string, EnrolmentReport['state']>();
  readonly #stop = new AbortController();

  constructor(parts: ReportParts) {
    this.#parts = parts;
  }

  accept(agent: AgentIdentity, report: EnrolmentReport): void {
    if (this.#stop.signal.aborted) return;
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(report.podUid)) {
      // the agent tells everything again when it reconnects
      this.#parts.log.error('Dropped an enrolment report: too many wait for Kubernetes', {
        pod: `${report.namespace}/${report.name}`,
      });
      return;
    }
    this.#waiting.set(report.podUid, { agent, report });
    this.#next();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('Stopped writing reports'));
    this.#waiting.clear();
    await Promise.all(this.#writing.values());
  }

  #next(): void {
    for (const [podUid, waiting] of this.#waiting) {
      if (this.#writing.size >= MAX_WRITING) return;
      // one write a pod at a time, so that the newest word is the last written
      if (this.#writing.has(podUid)) continue;
      this.#waiting.delete(podUid);
      const written = this.#write(waiting).finally(() => {
        this.#writing.delete(podUid);
        this.#next();
      });
      this.#writing.set(podUid, written);
    }
  }

  async #write(waiting: Waiting): Promise<void> {
    const { clock, log } = this.#parts;
    const { report } = waiting;
    const retry = backoff(RETRY);
    for (let tries = 1; ; tries++) {
      try {
        await this.#writeOnce(waiting);
        return;
      } catch (error) {
        if (tries === MAX_TRIES) {
          log.error('Cannot write an enrolment report: the pod keeps its old state', {
            pod: `${report.namespace}/${report.name}`,
            state: report.state,
            error,
          });
          return;
        }
        await clock.sleep(retry.next(), this.#stop.signal).catch(() => {});
        // a newer word waits: this one need not be written any more
        if (this.#stop.signal.aborted || this.#waiting.has(report.podUid)) return;
      }
    }
  }

  async #writeOnce({ agent, report }: Waiting): Promise<void> {
    const { client, log, events } = this.#parts;
    const { name, namespace, podUid } = report;
    const pod = await this.#find(report);
    // gone, or made anew under its name: the report is about nothing any more
    if (pod === undefined || pod.metadata.uid !== podUid) return;
    if (pod.spec.nodeName !== agent.node) {
      log.warn('Refused an enrolment report: the pod is not on the node of the agent', {
        pod: `${namespace}/${name}`,
        podNode: pod.spec.nodeName,
        agentNode: agent.node,
      });
      return;
    }
    const wanted = annotationsOf(report);
    const present = pod.metadata.annotations ?? {};
    const isWritten = Object.entries(wanted).every(
      ([key, value]) => (present[key] ?? null) === value,
    );
    const written = this.#written.get(podUid);
    // what the informer shows may be older than our own last write
    if (isWritten && (written === undefined || written === report.state)) return;
    try {
      await client.patch<Pod>(PODS, name, namespace, {
        // the UID makes the write fail when the pod was made anew meanwhile
        metadata: { uid: podUid, annotations: wanted },
      });
    } catch (error) {
      const over = error instanceof KubeError && (error.status === 404 || error.status === 409);
      if (!over) throw error;
      return;
    }
    this.#remember(podUid, report.state);
    log.info('Wrote the enrolment of a pod', {
      pod: `${namespace}/${name}`,
      node: agent.node,
      state: report.state,
      ...(report.state === 'failed' ? { reason: report.reason, why: report.message } : {}),
    });
    if (report.state === 'failed') {
      events.warn({ kind: 'Pod', object: pod, reason: report.reason, message: report.message });
    }
  }

  #remember(podUid: string, state: EnrolmentReport['state']): void {
    this.#written.delete(podUid);
    this.#written.set(podUid, state);
    const [oldest = ''] = this.#written.keys();
    if (this.#written.size > MAX_WAITING) this.#written.delete(oldest);
  }

  async #find({ name, namespace, podUid }: EnrolmentReport): Promise<Pod | undefined> {
    const known = this.#parts.pod(name, namespace);
    if (known?.metadata.uid === podUid) return known;
    // the agent may have been quicker than our informer
    return this.#parts.client.get<Pod>(PODS, name, namespace);
  }
}

function annotationsOf(report: EnrolmentReport): Record<string, string | null> {
  switch (report.state) {
    case 'enabled':
      return { [REDIRECTION]: 'enabled', [REDIRECTION_MESSAGE]: null };
    case 'removed':
      return { [REDIRECTION]: null, [REDIRECTION_MESSAGE]: null };
    case 'failed':
      return {
        [REDIRECTION]: 'failed',
        [REDIRECTION_MESSAGE]: `${report.reason}: ${report.message}`,
      };
  }
}
