// One pod's way into the mesh and out of it: certificate, doors, rules, report. Made by enrolment.ts for each pod that was
// ever wanted. Invariants: its steps run one at a time, no open connection is lost on the way in or out, nothing is left
// behind in a pod that went out, and a pod that was enclosed before it started never runs outside while it is wanted.

import type { Socket } from 'node:net';
import type { Enrolment } from '../mesh/enrolment.ts';
import { MeshError } from '../mesh/failures.ts';
import { orAborted } from '../runtime/aborted.ts';
import { type Backoff, backoff } from '../runtime/backoff.ts';
import { TunnelAcceptor } from '../tunnel/accept.ts';
import type { Claim } from '../tunnel/certificates/certificates.ts';
import type { Credentials } from '../tunnel/contexts.ts';
import type { DialTarget } from '../tunnel/socket.ts';
import { CaptureError, type Doors, type PodCapture, podName } from './capture/capture.ts';
import { describe, type ReportedOutcome, sameSteps } from './enrolment-outcome.ts';
import { type EnrolmentParts, type PodState, placeOf } from './enrolment-parts.ts';
import type { LocalPod } from './local-pod.ts';
import { doorsOf } from './pod-doors.ts';
import { watchPod } from './pod-watch.ts';
import type { Turns } from './turns.ts';

/** Handshakes that began before the doors were yielded end within it: many round trips of a cluster's network. */
const HAND_OVER_MS = 250;
const RETRY = { initialMs: 1000, maxMs: 60_000 };

/** What an enrolled pod holds; each part is there once its step was taken. */
type Held = {
  capture?: PodCapture;
  claim?: Claim;
  acceptor?: TunnelAcceptor;
};

export class PodEnrolment {
  #enrolment: Enrolment;
  readonly #parts: EnrolmentParts;
  readonly #turns: Turns;
  readonly #gone: () => void;
  readonly local: LocalPod;
  readonly #retry: Backoff = backoff(RETRY);
  readonly #stop = new AbortController();
  readonly #tried = Promise.withResolvers<void>();
  #moved = Promise.withResolvers<void>();
  readonly #held: Held = {};
  readonly #running: Promise<void>;
  #wanted = true;
  /** New connections come to us: rules were set, and not taken back. */
  #captured = false;
  #state: PodState = 'waiting';
  #changed = new AbortController();
  #renewed = false;

  constructor(parts: EnrolmentParts, turns: Turns, enrolment: Enrolment, gone: () => void) {
    this.#parts = parts;
    this.#turns = turns;
    this.#enrolment = enrolment;
    this.#gone = gone;
    const newest = (): Enrolment => this.#enrolment;
    this.local = {
      get enrolment() {
        return newest();
      },
      dial: (target, signal) => this.#dial(target, signal),
      udp: (family) => this.#present().udp(family),
      credentials: () => this.#credentials(),
    };
    this.#running = this.#run();
  }

  /** The newest that was pushed: addresses come after the pod has started. */
  get enrolment(): Enrolment {
    return this.#enrolment;
  }

  get state(): PodState {
    return this.#state;
  }

  get tried(): Promise<void> {
    return this.#tried.promise;
  }

  want(enrolment: Enrolment | undefined): void {
    const wanted = enrolment !== undefined;
    const before = this.#enrolment;
    if (enrolment !== undefined) this.#enrolment = enrolment;
    const done = this.#state === 'enabled' && sameSteps(before, this.#enrolment);
    if (wanted === this.#wanted && (before === this.#enrolment || done)) return;
    this.#wanted = wanted;
    this.lookAgain();
  }

  /** Something about the pod is new (it started, its namespace was made anew): the steps are gone through once more. */
  lookAgain(): void {
    this.#changed.abort(new Error('The pod is wanted otherwise now'));
    this.#changed = new AbortController();
  }

  /** Resolves with the next change of state. */
  get moved(): Promise<void> {
    return this.#moved.promise;
  }

  /** The pod has another network namespace, whatever its path still shows. */
  renewed(): void {
    if (!this.#wanted) return;
    this.#renewed = true;
    this.#move('waiting');
    this.lookAgain();
  }

  async drain(): Promise<void> {
    this.#stop.abort(new Error('The agent is stopping'));
    await this.#running;
    const { capture } = this.#held;
    if (capture?.yieldDoors !== undefined) {
      capture.yieldDoors();
      // a connection whose handshake is under way belongs to our socket already, and would be reset with it
      await this.#parts.clock.sleep(HAND_OVER_MS);
    }
    await capture?.closeDoors();
    await Promise.all([this.#held.acceptor?.drain(), this.#parts.journeys.left(this.local, false)]);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('The agent is stopping'));
    await this.#running;
    await this.#letGo();
  }

  /** One step at a time until the pod has left, or the agent stops. */
  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      if (this.#wanted) {
        await this.#enter();
      } else if ((await this.#leave()) && !this.#wanted) {
        this.#gone();
        return;
      }
      this.#tried.resolve();
    }
    this.#tried.resolve();
  }

  /** Returns when the pod is wanted otherwise, or after a failure's pause. */
  async #enter(): Promise<void> {
    const { clock } = this.#parts;
    const until = AbortSignal.any([this.#stop.signal, this.#changed.signal]);
    try {
      const capture = await this.#openCapture();
      if (capture === undefined) {
        this.#move('waiting');
        this.#tried.resolve();
        // the runtime's word, or the pod's addresses, end this sooner
        await clock.sleep(this.#parts.watchIntervalMs, until).catch(() => {});
        return;
      }
      if (this.#state !== 'enabled') this.#move('starting');
      await this.#takeSteps(capture, until);
    } catch (error) {
      if (!until.aborted) await this.#pause(error, until);
      return;
    }
    this.#retry.reset();
    this.#move('enabled');
    this.#tried.resolve();
    this.#report({ state: 'enabled' });
    try {
      await this.#watch(until);
    } catch (error) {
      if (!until.aborted) await this.#pause(error, until);
    }
  }

  /** After a failure; returns when the pod is to be tried again, or is wanted otherwise. */
  async #pause(error: unknown, until: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const wait = this.#retry.next();
    const { reason, message } = describe(error);
    this.#move('failed');
    this.#tried.resolve();
    log.warn('Cannot enrol a pod: trying again', {
      pod: podName(this.enrolment),
      podUid: this.enrolment.podUid,
      reason,
      inMs: Math.round(wait),
      error,
    });
    this.#report({ state: 'failed', reason, message });
    await clock.sleep(wait, until).catch(() => {});
  }

  /** Returns when the pod is wanted otherwise, or its namespace is gone: then it is looked up and enrolled anew. */
  async #watch(until: AbortSignal): Promise<void> {
    const { capture } = this.#held;
    if (capture === undefined) return;
    const pod = { name: podName(this.enrolment), capture };
    const outcome = await watchPod({ ...this.#parts, turns: this.#turns }, pod, until);
    if (outcome === 'gone') await this.#forgetNamespace();
  }

  async #forgetNamespace(): Promise<void> {
    const { connections, journeys, log } = this.#parts;
    const pod = podName(this.enrolment);
    log.warn('The network namespace of a pod is gone: enrolling the pod anew', { pod });
    const gone = new MeshError('UPSTREAM_RESET', `The network namespace of pod ${pod} is gone`);
    connections.cutAll(gone, this.enrolment.podUid);
    await Promise.all([this.#letGo(), journeys.left(this.local, true)]);
    this.#move('waiting');
  }

  /** undefined while the pod, whose addresses nobody knows yet, has no network namespace: it is still to be started. */
  async #openCapture(): Promise<PodCapture | undefined> {
    // made anew between two looks: the steps must not be taken in the namespace of before
    const renewed = this.#renewed && this.#held.capture !== undefined;
    this.#renewed = false;
    if (renewed || (await this.#held.capture?.vanished()) === true) await this.#forgetNamespace();
    try {
      this.#held.capture ??= await this.#parts.capture.open(placeOf(this.enrolment, this.#parts));
    } catch (error) {
      const early = error instanceof CaptureError && error.reason === 'NoNetworkNamespace';
      if (!early || this.enrolment.addresses.length > 0) throw error;
      return undefined;
    }
    return this.#held.capture;
  }

  async #takeSteps(capture: PodCapture, until: AbortSignal): Promise<void> {
    const held = this.#held;
    held.claim ??= this.#claimCertificate();
    const credentials = await orAborted(held.claim.current('warmup'), until);
    held.acceptor ??= this.#makeAcceptor(credentials);
    await this.#turns.run(
      false,
      async () => {
        try {
          await capture.listen(this.#doors());
          await capture.redirect(placeOf(this.enrolment, this.#parts));
          this.#captured = true;
        } catch (error) {
          // rules that are there already hold on: a pod that was captured is not let past us
          if (!this.#captured || (await capture.vanished())) await this.#undo(capture);
          throw error;
        }
      },
      until,
    );
  }

  #doors(): Doors {
    const wish = this.enrolment.capture.dns;
    return doorsOf(this.#parts.journeys, this.local, {
      tunnel: (socket) => this.#takeTunnel(socket),
      dns: wish === 'default' ? this.#parts.dnsCapture : wish === 'on',
    });
  }

  /**
   * After a failed step the pod is as it was: its traffic passes by us, or, if it was enclosed before it started, goes
   * nowhere. The namespace is looked up anew.
   */
  async #undo(capture: PodCapture): Promise<void> {
    if (!this.#parts.enclosures.has(this.enrolment.podUid)) {
      await capture.remove().catch(() => {
        // most likely the pod is gone, with everything in it
      });
    }
    await capture.close();
    delete this.#held.capture;
    this.#captured = false;
  }

  /** True when the pod has left for good; false when it is wanted again, or the agent stops. */
  async #leave(): Promise<boolean> {
    const { capture, acceptor } = this.#held;
    if (capture === undefined) {
      await this.#letGo();
      this.#report({ state: 'removed' });
      return true;
    }
    this.#move('leaving');
    const until = AbortSignal.any([this.#stop.signal, this.#changed.signal]);
    const { clock, connections, journeys, log } = this.#parts;
    const { podUid } = this.enrolment;
    const gone = await capture.vanished();
    if (gone) {
      connections.cutAll(
        new MeshError('UPSTREAM_RESET', `Pod ${podName(this.enrolment)} is gone`),
        podUid,
      );
    } else {
      await this.#turns
        .run(true, () => this.#release(capture), until)
        .catch((error: unknown) => log.warn('Cannot let go of a pod', { error }));
      await clock.sleep(this.#parts.leaveGraceMs, until).catch(() => {});
      if (until.aborted) return false;
    }
    await capture.closeDoors();
    delete this.#held.acceptor;
    this.#report({ state: 'removed' });
    // both end with their last stream; the pod may come back meanwhile, with an acceptor of its own
    const drained = Promise.all([
      gone ? acceptor?.close() : acceptor?.drain(),
      journeys.left(this.local, gone),
    ]);
    if (!(await connections.idle(podUid, until))) return false;
    // nobody uses it any more, whatever its peers still hold open
    await acceptor?.close();
    await drained;
    if (!gone) {
      await this.#turns
        .run(true, () => capture.remove(), this.#stop.signal)
        .catch((error: unknown) => log.warn('Cannot clean up in a pod', { error }));
    }
    await this.#letGo();
    return true;
  }

  async #release(capture: PodCapture): Promise<void> {
    await capture.release();
    this.#captured = false;
  }

  async #letGo(): Promise<void> {
    const { capture, claim, acceptor } = this.#held;
    delete this.#held.capture;
    delete this.#held.claim;
    delete this.#held.acceptor;
    this.#captured = false;
    claim?.release();
    await acceptor?.close();
    await capture?.close();
  }

  #claimCertificate(): Claim {
    const claim = this.#parts.certificates.claim(this.enrolment.identity);
    claim.onRenewed((credentials) => this.#held.acceptor?.replace(credentials));
    return claim;
  }

  #makeAcceptor(credentials: Credentials): TunnelAcceptor {
    return new TunnelAcceptor({
      clock: this.#parts.clock,
      credentials,
      onRequest: (request) => this.#parts.journeys.inbound(this.local, request),
      onDenied: (denied) => this.#parts.journeys.denied(this.local, denied),
      onLost: (lost) => this.#parts.journeys.lost?.(this.local, lost),
      ...(this.#parts.handshakes && { gate: this.#parts.handshakes }),
    });
  }

  #takeTunnel(socket: Socket): void {
    const { acceptor } = this.#held;
    if (acceptor === undefined) socket.resetAndDestroy();
    else acceptor.take(socket);
  }

  async #dial(target: DialTarget, signal?: AbortSignal): Promise<Socket> {
    return this.#present().dial(target, signal);
  }

  #present(): PodCapture {
    const { capture } = this.#held;
    if (capture !== undefined) return capture;
    throw new MeshError(
      'UPSTREAM_CONNECT',
      `Cannot connect from pod ${podName(this.enrolment)}: it has left the mesh`,
    );
  }

  #credentials(): Promise<Credentials> {
    const { claim } = this.#held;
    if (claim !== undefined) return claim.current();
    const message = `Cannot use the certificate of pod ${podName(this.enrolment)}: it has left the mesh`;
    return Promise.reject(new MeshError('IDENTITY_ERROR', message));
  }

  #move(state: PodState): void {
    if (state === this.#state) return;
    const fields = { pod: podName(this.enrolment), from: this.#state, to: state };
    this.#state = state;
    this.#moved.resolve();
    this.#moved = Promise.withResolvers<void>();
    this.#parts.log.info('Enrolment of a pod changed', fields);
  }

  #report(outcome: ReportedOutcome): void {
    const { podUid, name, namespace } = this.enrolment;
    this.#parts.report({ podUid, name, namespace, ...outcome });
  }
}
