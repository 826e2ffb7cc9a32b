// Pods that are just being made: each that shall be in the mesh is enclosed (its connections are led to us, and fail until
// it is enrolled) before its first container starts. Called by plugin.ts with the runtime's events and by app.ts with each
// snapshot. Invariants: the runtime is answered within the wait; a pod that could not be enclosed does not start; what was
// enclosed and is not wanted any more is let go.

import { type IpAddress, parseIp } from '../../mesh/address.ts';
import { CAPTURE_EVERYTHING } from '../../mesh/capture-options.ts';
import type { EnrolmentReport } from '../../mesh/enrolment.ts';
import type { Snapshot } from '../../mesh/snapshot.ts';
import { aborted, orAborted } from '../../runtime/aborted.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { PodSandbox } from '../../wire/nri.ts';
import { type CaptureDriver, type PodPlace, podName } from '../capture/capture.ts';
import type { Enrolments } from '../enrolment.ts';
import { type Admission, decideAdmission } from './decide.ts';
import type { Sandboxes } from './sandboxes.ts';

/** What became of a pod at its start, as the metric counts it. */
export type ArrivalOutcome = 'outside' | 'undecided' | 'enrolled' | 'enclosed' | 'refused';

export type ArrivalParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly capture: CaptureDriver;
  readonly discovery: {
    snapshot(): Snapshot;
    subscribe(listener: (snapshot: Snapshot) => void): () => void;
  };
  readonly enrolments: Pick<Enrolments, 'enabled' | 'state' | 'lookAgain' | 'renewed'>;
  readonly sandboxes: Sandboxes;
  readonly report: (report: EnrolmentReport) => void;
  readonly counted: (outcome: ArrivalOutcome) => void;
};

export type ArrivalSettings = {
  /**
   * How long the runtime is kept waiting, ms: well under the 2 s after which it drops a plugin, for it asks about one pod
   * of the node at a time.
   */
  readonly waitMs: number;
};

/** Setting rules takes some 30 ms; this much of the runtime's patience is kept for it, whatever else is waited for. */
const KEPT_FOR_RULES_MS = 500;
/** A pod that runs this long enclosed and not enrolled is told of: people wonder why its connections fail. */
const TELL_AFTER_MS = 5000;

/** What the runtime grants for an answer. */
export type Patience = {
  readonly ms: number;
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
};

type Enclosed = { readonly sandboxId: string; readonly tell: Timer };

export class Arrivals {
  readonly #parts: ArrivalParts;
  readonly #settings: ArrivalSettings;
  readonly #enclosed = new Map<string, Enclosed>();
  /** Sandboxes that were let start because nobody knew better; asked again before their first container. */
  readonly #undecided = new Set<string>();
  readonly #stop = new AbortController();
  readonly #letting = new Set<Promise<void>>();

  constructor(parts: ArrivalParts, settings: ArrivalSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Pods that were captured before they started and still run. */
  has(podUid: string): boolean {
    return this.#enclosed.has(podUid);
  }

  addresses(podUid: string): readonly IpAddress[] {
    const pod = this.#parts.sandboxes.get(podUid);
    return pod === undefined ? [] : placeOf(pod).addresses;
  }

  podUids(): IterableIterator<string> {
    return this.#enclosed.keys();
  }

  /** Those of them that are not enrolled: their connections fail. */
  waiting(): number {
    const { enrolments } = this.#parts;
    return [...this.#enclosed.keys()].filter((podUid) => enrolments.state(podUid) !== 'enabled')
      .length;
  }

  /**
   * The pod may start when this resolves, which it does within `patience.ms`. @throws CaptureError, or whatever kept its
   * rules from being set: the runtime gives the sandbox up and tries again
   */
  async started(pod: PodSandbox, patience: Patience): Promise<void> {
    const { clock, sandboxes, enrolments, counted } = this.#parts;
    const before = sandboxes.get(pod.uid);
    sandboxes.add(pod);
    // the kubelet has made the pod's sandbox anew: its enrolment is still in the one of before
    if (before !== undefined && before.id !== pod.id) enrolments.renewed(pod.uid);
    const late = new AbortController();
    const deadline = clock.monotonic() + patience.ms;
    const waitMs = Math.min(this.#settings.waitMs, patience.ms - KEPT_FOR_RULES_MS);
    const timer = clock.timer(Math.max(0, waitMs), () => late.abort());
    const until = AbortSignal.any([late.signal, patience.signal, this.#stop.signal]);
    try {
      const { kind } = await this.#decided(pod, until);
      if (kind !== 'wanted') {
        if (kind === 'undecided') this.#undecided.add(pod.id);
        counted(kind);
        return;
      }
      await this.#enclose(pod, deadline);
      counted(await this.#enrolled(pod, until));
    } catch (error) {
      counted('refused');
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Before each container of a pod: one that was let start undecided is asked about again before its first. */
  async container(pod: PodSandbox, patience: Patience): Promise<void> {
    if (!this.#undecided.has(pod.id)) return;
    await this.started(pod, patience);
    // whatever came of it, from now on a program runs in it: enclosing it would break its connections
    this.#undecided.delete(pod.id);
  }

  /** The runtime stops a sandbox, then removes it: both end up here. It waits, so that the namespace is still there. */
  async ended(pod: Pick<PodSandbox, 'uid' | 'id'>): Promise<void> {
    this.#undecided.delete(pod.id);
    const { sandboxes, enrolments } = this.#parts;
    const newest = sandboxes.get(pod.uid);
    if (newest?.id === pod.id && this.#enclosed.get(pod.uid)?.sandboxId === pod.id) {
      this.#forget(pod.uid);
      // an enrolment finds the namespace gone by itself
      if (enrolments.state(pod.uid) === undefined) await this.#letGo(newest);
    }
    sandboxes.delete(pod);
  }

  /** The runtime was asked for everything: what it does not name is not there. */
  synchronized(pods: readonly PodSandbox[]): void {
    const { sandboxes, enrolments } = this.#parts;
    sandboxes.replace(pods);
    for (const [podUid, { sandboxId }] of this.#enclosed) {
      if (!sandboxes.has({ uid: podUid, id: sandboxId })) this.#forget(podUid);
    }
    for (const { uid } of pods) enrolments.lookAgain(uid);
  }

  /** Whatever is enclosed and not wanted (any more) is let go; called after each change of what is known. */
  reconsider(): void {
    const { discovery, enrolments, sandboxes, report } = this.#parts;
    const snapshot = discovery.snapshot();
    for (const podUid of this.#enclosed.keys()) {
      const pod = sandboxes.get(podUid);
      // an enrolment lets its pod go by itself
      if (pod === undefined || enrolments.state(podUid) !== undefined) continue;
      if (decideAdmission(pod, snapshot).kind !== 'outside') continue;
      this.#forget(podUid);
      const { name, namespace } = pod;
      const letting = this.#letGo(pod).then(() => {
        this.#letting.delete(letting);
        report({ podUid, name, namespace, state: 'removed' });
      });
      this.#letting.add(letting);
    }
  }

  /** Rules stay as they are: the next agent finds them. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The agent is stopping'));
    for (const podUid of this.#enclosed.keys()) this.#forget(podUid);
    await Promise.all(this.#letting);
  }

  /** Waits for the pod's namespace to be heard of: it may be as new as the pod. */
  async #decided(pod: PodSandbox, until: AbortSignal): Promise<Admission> {
    const { discovery, log } = this.#parts;
    for (;;) {
      const changed = Promise.withResolvers<void>();
      const unsubscribe = discovery.subscribe(() => changed.resolve());
      const admission = decideAdmission(pod, discovery.snapshot());
      if (admission.kind === 'undecided' && !until.aborted) {
        await Promise.race([changed.promise, aborted(until)]);
      }
      unsubscribe();
      if (admission.kind !== 'undecided') return admission;
      if (!until.aborted) continue;
      log.warn('Let a pod start without knowing whether it shall be in the mesh', {
        pod: podName(placeOf(pod)),
        why: 'the control plane has not told of its namespace',
      });
      return admission;
    }
  }

  async #enrolled(pod: PodSandbox, until: AbortSignal): Promise<ArrivalOutcome> {
    const { enrolments, log } = this.#parts;
    enrolments.lookAgain(pod.uid);
    if (await enrolments.enabled(pod.uid, until)) return 'enrolled';
    log.warn('A pod starts captured before it is enrolled: its connections fail until then', {
      pod: podName(placeOf(pod)),
      podUid: pod.uid,
    });
    return 'enclosed';
  }

  async #enclose(pod: PodSandbox, deadline: number): Promise<void> {
    const { clock, capture } = this.#parts;
    if (this.#enclosed.get(pod.uid)?.sandboxId === pod.id) return;
    const place = placeOf(pod);
    const late = new AbortController();
    const timer = clock.timer(Math.max(0, deadline - clock.monotonic()), () => {
      const state = 'its rules were not set in the time the runtime gives';
      late.abort(new Error(`Cannot capture pod ${podName(place)} before it starts: ${state}`));
    });
    const rules = async (): Promise<void> => {
      const inside = await capture.open(place);
      try {
        await inside.redirect(place);
      } finally {
        await inside.close();
      }
    };
    try {
      await orAborted(rules(), late.signal);
    } finally {
      timer.cancel();
    }
    this.#forget(pod.uid);
    const tell = clock.timer(TELL_AFTER_MS, () => this.#tell(pod));
    this.#enclosed.set(pod.uid, { sandboxId: pod.id, tell });
  }

  /** Nobody else says that a pod waits: its enrolment has not come, or has not got anywhere. */
  #tell(pod: PodSandbox): void {
    const { enrolments, report } = this.#parts;
    const state = enrolments.state(pod.uid);
    // these have said what there is to say
    if (state === 'enabled' || state === 'failed' || state === 'leaving') return;
    const { uid: podUid, name, namespace } = pod;
    const why =
      state !== undefined
        ? 'it has no certificate yet; check the ca and its log'
        : 'the control plane has not enrolled it; check that the control plane is ready and its log';
    report({
      podUid,
      name,
      namespace,
      state: 'failed',
      reason: 'EnrolmentAwaited',
      message: `The pod started captured, and its connections fail until it is enrolled: ${why}`,
    });
  }

  /** Takes everything back that was set for the pod. */
  async #letGo(pod: PodSandbox): Promise<void> {
    const { capture, log } = this.#parts;
    const place = placeOf(pod);
    log.info('Letting go of a pod that was captured before it started', { pod: podName(place) });
    try {
      const inside = await capture.open(place);
      try {
        await inside.remove();
      } finally {
        await inside.close();
      }
    } catch (error) {
      log.warn('Cannot let go of a pod that was captured before it started', {
        pod: podName(place),
        error,
      });
    }
  }

  #forget(podUid: string): void {
    this.#enclosed.get(podUid)?.tell.cancel();
    this.#enclosed.delete(podUid);
  }
}

function placeOf({ uid: podUid, name, namespace, ips }: PodSandbox): PodPlace {
  // everything: what its owner leaves out follows with the enrolment
  return { podUid, name, namespace, addresses: ips.flatMap(readIp), capture: CAPTURE_EVERYTHING };
}

function readIp(text: string): IpAddress[] {
  try {
    return [parseIp(text)];
  } catch {
    return [];
  }
}
