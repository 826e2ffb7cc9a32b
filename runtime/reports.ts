// What this node's agent last said of each pod, kept until the control plane is sure to know it. Used by the discovery
// client: everything is told again on each new connection, because a report is not acknowledged by itself.

import type { EnrolmentReport } from '../mesh/enrolment.ts';

// Kubernetes allows 110 pods a node by default, large nodes 500; the rest are pods that left, which go first.
const MAX_PODS = 4096;

export class Reports {
  /** In the order of telling: newest last. */
  readonly #latest = new Map<string, EnrolmentReport>();
  /** Told on the connection that is open now. */
  readonly #told = new Set<string>();

  /** Returns false when the word on a pod that may still be here had to be dropped for it. */
  add(report: EnrolmentReport): boolean {
    this.#latest.delete(report.podUid);
    this.#latest.set(report.podUid, report);
    this.#told.delete(report.podUid);
    if (this.#latest.size <= MAX_PODS) return true;
    const left = [...this.#latest.values()].find(({ state }) => state === 'removed');
    const [oldest = ''] = this.#latest.keys();
    const dropped = left?.podUid ?? oldest;
    this.#latest.delete(dropped);
    this.#told.delete(dropped);
    return left !== undefined;
  }

  /** What has not been told on this connection. */
  *untold(): Generator<EnrolmentReport> {
    for (const [podUid, report] of this.#latest) {
      if (this.#told.has(podUid)) continue;
      this.#told.add(podUid);
      yield report;
    }
  }

  /** A new connection: its other end may be another replica, or may not have acted on what it was told. */
  reconnected(): void {
    this.#told.clear();
  }
}
