// One container of a pod from its first start to its last end: start, attend, restart with back-off, stop. Made by pod.ts.
// Invariant: at most one run at a time, and run() does not resolve before the last process of it has ended.

import type { Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import type { News } from '../events.ts';
import { ContainerLog } from '../logs/container-log.ts';
import type { ContainerSpec, ProbeSpec, RestartPolicy, Terminated } from '../pod/pod-spec.ts';
import { type ProbeTarget, runProbe } from '../probes/probe-actions.ts';
import { type ProbeKind, probeContainer } from '../probes/probes.ts';
import { rfc3339 } from '../time.ts';
import { deadline } from './container-exec.ts';
import {
  type ContainerLife,
  type ContainerRecord,
  move,
  newContainer,
  START_ERROR,
} from './container-life.ts';
import { ConfigurationError } from './environment.ts';
import { runHook } from './hooks.ts';
import { type ContainerProcess, type Exit, StartError } from './processes.ts';
import { RestartDelay, type RestartSettings } from './restart-delay.ts';

/** No such image in the sandbox: ErrImagePull, then ImagePullBackOff. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}

export type StartedRun = { readonly process: ContainerProcess; readonly target: ProbeTarget };

export type ContainerParts = {
  readonly clock: Clock;
  readonly log: Log;
  /** @throws ImageError, ConfigurationError, RangeError or StartError */
  readonly start: (container: ContainerSpec, log: ContainerLog) => Promise<StartedRun>;
  readonly tell: (news: News) => void;
  readonly onChange: () => void;
};
export type ContainerSettings = {
  readonly spec: ContainerSpec;
  readonly kind: 'main' | 'init' | 'sidecar';
  readonly restartPolicy: RestartPolicy;
  /** What the container waits for before its first start. */
  readonly waitingReason: string;
  readonly containerId: string;
  readonly gracePeriodMs: number;
  readonly restarts: RestartSettings;
  readonly logDirectory: string;
  readonly maxLogBytes: number;
};

type Run = StartedRun & { readonly startedAt: number; ending: Promise<void> | undefined };

// A ConfigMap or Secret that appears is seen this soon; every try is one or two requests.
const CONFIG_RETRY_MS = 2000;
// ErrImagePull stays this long, so that a person who looks at once sees why, and then becomes ImagePullBackOff
const ERROR_SHOWN_MS = 2000;

export class Container {
  readonly spec: ContainerSpec;
  readonly #parts: ContainerParts;
  readonly #settings: ContainerSettings;
  readonly #delay: RestartDelay;
  readonly #pullDelay: RestartDelay;
  readonly #stopping = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #logs: ContainerLog[] = [];
  #record: ContainerRecord;
  #run: Run | undefined;
  #force: AbortSignal | undefined;
  #finished: Promise<void> | undefined;

  constructor(parts: ContainerParts, settings: ContainerSettings) {
    this.spec = settings.spec;
    this.#parts = parts;
    this.#settings = settings;
    this.#delay = new RestartDelay(settings.restarts);
    this.#pullDelay = new RestartDelay(settings.restarts);
    const { name, image = '' } = settings.spec;
    this.#record = newContainer(name, image, settings.waitingReason);
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  /** The present run, for exec, port-forward and probes of others. */
  get current(): StartedRun | undefined {
    return this.#run;
  }

  /** Resolves when the container's startup probe has passed for the first time. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** The log of the present (or last) run, or of the one before it. */
  log(previous: boolean): ContainerLog | undefined {
    return this.#logs.at(previous ? -2 : -1);
  }

  get succeeded(): boolean {
    const { life } = this.#record;
    return life.state === 'terminated' && life.terminated.exitCode === 0;
  }

  /** Runs the container as often as its restart policy says; resolves when it will not run again. Called once. */
  run(): Promise<void> {
    this.#finished ??= this.#runAll();
    return this.#finished;
  }

  /** Stops it: preStop, SIGTERM, and SIGKILL as soon as `force` aborts. Resolves when nothing of it runs. */
  async stop(force: AbortSignal): Promise<void> {
    this.#force = force;
    this.#stopping.abort(new Error('The container is being stopped'));
    if (this.#run !== undefined) {
      this.#tell('Normal', 'Killing', `Stopping container ${this.spec.name}`);
      await this.#endRun(this.#run, force);
    }
    await this.#finished;
  }

  async #runAll(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#stopping.signal.aborted) {
      const begun = clock.monotonic();
      const exitCode = await this.#runOnce();
      if (exitCode !== undefined && !this.#restartsAfter(exitCode)) return;
      if (this.#stopping.signal.aborted) return;
      await this.#pause(exitCode, clock.monotonic() - begun);
    }
  }

  /** @returns the exit code, or undefined when the container could not even be made */
  async #runOnce(): Promise<number | undefined> {
    const run = await this.#begin();
    if (run === undefined) return undefined;
    if (run === START_ERROR) return 128;
    this.#run = run;
    if (this.#force !== undefined) void this.#endRun(run, this.#force);
    const exit = await this.#attend(run);
    this.#run = undefined;
    this.#move({ state: 'terminated', terminated: this.#terminated(exit, run.startedAt) });
    return exit.code;
  }

  async #begin(): Promise<Run | typeof START_ERROR | undefined> {
    const { clock } = this.#parts;
    const { name, image = '' } = this.spec;
    const log = new ContainerLog(
      { clock },
      {
        path: `${this.#settings.logDirectory}/${name}/${this.#record.runs}.log`,
        maxBytes: this.#settings.maxLogBytes,
      },
    );
    const startedAt = clock.now();
    try {
      const { process, target } = await this.#parts.start(this.spec, log);
      this.#keepLog(log);
      this.#record = { ...this.#record, containerId: this.#containerId() };
      this.#tell('Normal', 'Pulled', `Container image "${image}" already present on machine`);
      this.#tell('Normal', 'Created', `Created container: ${name}`);
      this.#tell('Normal', 'Started', `Started container ${name}`);
      const { pid } = process;
      this.#move({ state: 'running', startedAt, pid, started: false, ready: false });
      return { process, target, startedAt, ending: undefined };
    } catch (error) {
      return this.#startFailed(error, startedAt, log);
    }
  }

  #startFailed(
    error: unknown,
    startedAt: number,
    log: ContainerLog,
  ): typeof START_ERROR | undefined {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof StartError) {
      this.#keepLog(log);
      this.#tell('Warning', 'Failed', `Error: ${message}`);
      const at = rfc3339(this.#parts.clock.now());
      const terminated = { exitCode: 128, reason: START_ERROR, message, finishedAt: at };
      this.#record = { ...this.#record, containerId: this.#containerId() };
      this.#move({
        state: 'terminated',
        terminated: { ...terminated, startedAt: rfc3339(startedAt) },
      });
      return START_ERROR;
    }
    if (error instanceof ImageError) {
      this.#tell('Warning', 'Failed', `Failed to pull image "${this.spec.image}": ${message}`);
      this.#move({ state: 'waiting', reason: 'ErrImagePull', message });
      return undefined;
    }
    const isConfiguration = error instanceof ConfigurationError || error instanceof RangeError;
    const reason = isConfiguration ? 'CreateContainerConfigError' : 'CreateContainerError';
    this.#tell('Warning', 'Failed', `Error: ${message}`);
    this.#move({ state: 'waiting', reason, message });
    return undefined;
  }

  #containerId(): string {
    return `sandbox://${this.#settings.containerId}/${this.spec.name}/${this.#record.runs}`;
  }

  /** Hooks and probes of one run, until its process has ended. */
  async #attend(run: Run): Promise<Exit> {
    const ended = new AbortController();
    const attending = this.#hookAndProbe(run, ended.signal).catch((error: unknown) => {
      this.#parts.log.error('Probing a container failed', { container: this.spec.name, error });
    });
    const exit = await run.process.exited;
    ended.abort(new Error('The container has ended'));
    await attending;
    await run.ending;
    return exit;
  }

  async #hookAndProbe(run: Run, ended: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    const hook = this.spec.lifecycle?.postStart;
    if (hook !== undefined) {
      const result = await runHook(hook, run.target, clock, ended);
      if (ended.aborted) return;
      if (!result.ok) {
        this.#tell('Warning', 'FailedPostStartHook', `PostStartHook failed: ${result.reason}`);
        await this.#killRun(run, this.#settings.gracePeriodMs);
        return;
      }
    }
    const parts = {
      clock,
      run: (probe: ProbeSpec, signal: AbortSignal) => runProbe(probe, run.target, signal),
    };
    await probeContainer(
      this.spec,
      parts,
      {
        onStarted: () => {
          this.#change({ started: true });
          this.#started.resolve();
        },
        onReady: (ready) => this.#change({ ready }),
        onFailure: (kind, reason) =>
          this.#tell('Warning', 'Unhealthy', `${kind} probe failed: ${reason}`),
        onDead: (kind, probe) => this.#probedDead(run, kind, probe),
      },
      ended,
    );
  }

  #probedDead(run: Run, kind: ProbeKind, probe: ProbeSpec): void {
    const { name } = this.spec;
    this.#tell(
      'Normal',
      'Killing',
      `Container ${name} failed ${kind.toLowerCase()} probe, will be restarted`,
    );
    const seconds = probe.terminationGracePeriodSeconds;
    const graceMs = seconds === undefined ? this.#settings.gracePeriodMs : seconds * 1000;
    void this.#killRun(run, graceMs);
  }

  /** Ends one run, not the container. */
  async #killRun(run: Run, graceMs: number): Promise<void> {
    const limit = deadline(this.#parts.clock, graceMs, this.#stopping.signal);
    try {
      await this.#endRun(run, limit.signal);
    } finally {
      limit.end();
    }
  }

  async #endRun(run: Run, force: AbortSignal): Promise<void> {
    if (run.ending !== undefined) {
      // a later, shorter deadline counts too
      const kill = (): void => run.process.kill();
      if (force.aborted) kill();
      force.addEventListener('abort', kill, { once: true });
      await run.process.exited;
      force.removeEventListener('abort', kill);
      return;
    }
    run.ending = this.#terminate(run, force);
    await run.ending;
  }

  async #terminate({ process, target }: Run, force: AbortSignal): Promise<void> {
    const hook = this.spec.lifecycle?.preStop;
    if (hook !== undefined && !force.aborted) {
      const result = await runHook(hook, target, this.#parts.clock, force);
      if (!result.ok) {
        this.#tell('Warning', 'FailedPreStopHook', `PreStopHook failed: ${result.reason}`);
      }
    }
    const kill = (): void => process.kill();
    force.addEventListener('abort', kill, { once: true });
    if (force.aborted) kill();
    else process.signal('SIGTERM');
    await process.exited;
    force.removeEventListener('abort', kill);
  }

  #restartsAfter(exitCode: number): boolean {
    const { kind, restartPolicy } = this.#settings;
    if (this.#stopping.signal.aborted) return false;
    if (kind === 'sidecar') return true;
    if (exitCode === 0) return kind === 'main' && restartPolicy === 'Always';
    return restartPolicy !== 'Never';
  }

  async #pause(exitCode: number | undefined, ranMs: number): Promise<void> {
    const { life } = this.#record;
    const { name, image = '' } = this.spec;
    const isPull = life.state === 'waiting' && life.reason === 'ErrImagePull';
    let delayMs = CONFIG_RETRY_MS;
    if (isPull) {
      delayMs = Math.max(this.#pullDelay.next(0), this.#settings.restarts.initialMs);
      const text = `Back-off pulling image "${image}": ${life.message ?? ''}`;
      // the next look at the pod shows the reason; from then on the back-off
      this.#tell('Normal', 'BackOff', `Back-off pulling image "${image}"`);
      await this.#sleep(Math.min(delayMs, ERROR_SHOWN_MS));
      this.#move({ state: 'waiting', reason: 'ImagePullBackOff', message: text });
    } else if (exitCode !== undefined) {
      delayMs = this.#delay.next(ranMs);
      if (delayMs === 0) return;
      const text = `back-off ${delayMs / 1000}s restarting failed container=${name}`;
      this.#tell('Warning', 'BackOff', `Back-off restarting failed container ${name}`);
      this.#move({ state: 'waiting', reason: 'CrashLoopBackOff', message: text });
    }
    await this.#sleep(delayMs);
  }

  async #sleep(ms: number): Promise<void> {
    // woken by stop(): the loop then sees that it is over
    await this.#parts.clock.sleep(ms, this.#stopping.signal).catch(() => {});
  }

  #terminated(exit: Exit, startedAt: number): Terminated {
    return {
      exitCode: exit.code,
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      reason: exit.code === 0 ? 'Completed' : 'Error',
      startedAt: rfc3339(startedAt),
      finishedAt: rfc3339(this.#parts.clock.now()),
      ...(this.#record.containerId === undefined ? {} : { containerID: this.#record.containerId }),
    };
  }

  #change(flags: { readonly started?: boolean; readonly ready?: boolean }): void {
    const { life } = this.#record;
    if (life.state === 'running') this.#move({ ...life, ...flags });
  }

  #move(next: ContainerLife): void {
    const { state } = this.#record.life;
    this.#record = move(this.#record, next);
    this.#parts.log.debug(`container ${state} -> ${next.state}`, { container: this.spec.name });
    this.#parts.onChange();
  }

  /** Only what `kubectl logs` and `logs --previous` can show is kept in mind. */
  #keepLog(log: ContainerLog): void {
    this.#logs.push(log);
    if (this.#logs.length > 2) this.#logs.shift()?.delete();
  }

  #tell(type: News['type'], reason: string, message: string): void {
    const field = this.#settings.kind === 'main' ? 'containers' : 'initContainers';
    this.#parts.tell({ type, reason, message, fieldPath: `spec.${field}{${this.spec.name}}` });
  }
}
