// The probes of one run of a container: when each is asked, and what counts as passed or failed. Called by container.ts;
// a startup probe holds back the other two. It only tells changes; what follows from them is the container's business.

import type { Clock } from '../../../runtime/clock.ts';
import { deadline } from '../container/container-exec.ts';
import type { ContainerSpec, ProbeSpec } from '../pod/pod-spec.ts';
import type { ProbeResult } from './probe-actions.ts';

// Kubernetes too may ask an unready container more often than its period, to make the pod ready faster. A program that
// just started listens within moments or not for long; after this time the period is kept.
const EAGER_MS = 250;
const EAGER_FOR_MS = 15_000;

export type ProbeKind = 'Startup' | 'Liveness' | 'Readiness';

export type ProbeParts = {
  readonly clock: Clock;
  readonly run: (probe: ProbeSpec, signal: AbortSignal) => Promise<ProbeResult>;
};
export type ProbeNews = {
  /** Startup passed, or there is no such probe: told once. */
  readonly onStarted: () => void;
  readonly onReady: (ready: boolean) => void;
  /** Startup or liveness failed too often: the container is to be killed. Told once. */
  readonly onDead: (kind: ProbeKind, probe: ProbeSpec) => void;
  /** One failure, whether or not it changes anything. */
  readonly onFailure: (kind: ProbeKind, reason: string) => void;
};

/** Runs until `signal` aborts. Never rejects. */
export async function probeContainer(
  container: Pick<ContainerSpec, 'startupProbe' | 'livenessProbe' | 'readinessProbe'>,
  parts: ProbeParts,
  news: ProbeNews,
  signal: AbortSignal,
): Promise<void> {
  const { startupProbe, livenessProbe, readinessProbe } = container;
  const begin = parts.clock.monotonic();
  if (startupProbe !== undefined) {
    const passed = await untilDecided('Startup', startupProbe, { ...parts, begin }, news, signal);
    if (!passed) return;
  }
  if (signal.aborted) return;
  news.onStarted();
  if (readinessProbe === undefined) news.onReady(true);
  await Promise.all([
    livenessProbe === undefined
      ? undefined
      : follow('Liveness', livenessProbe, { ...parts, begin }, news, signal),
    readinessProbe === undefined
      ? undefined
      : follow('Readiness', readinessProbe, { ...parts, begin }, news, signal),
  ]);
}

type Begun = ProbeParts & { readonly begin: number };

/** @returns true when the startup probe passed; false when it failed for good or the container ended */
async function untilDecided(
  kind: ProbeKind,
  probe: ProbeSpec,
  parts: Begun,
  news: ProbeNews,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const verdict of verdicts(kind, probe, parts, news, signal)) {
    if (verdict) return true;
    news.onDead(kind, probe);
    return false;
  }
  return false;
}

async function follow(
  kind: ProbeKind,
  probe: ProbeSpec,
  parts: Begun,
  news: ProbeNews,
  signal: AbortSignal,
): Promise<void> {
  let before: boolean | undefined;
  for await (const verdict of verdicts(kind, probe, parts, news, signal)) {
    if (kind === 'Readiness' && verdict !== before) news.onReady(verdict);
    if (kind === 'Liveness' && !verdict) {
      news.onDead(kind, probe);
      return;
    }
    before = verdict;
  }
}

/** One value each time a threshold is reached: passed or failed that often in a row. */
async function* verdicts(
  kind: ProbeKind,
  probe: ProbeSpec,
  { clock, run, begin }: Begun,
  news: ProbeNews,
  signal: AbortSignal,
): AsyncGenerator<boolean> {
  const { initialDelaySeconds = 0, periodSeconds = 10, timeoutSeconds = 1 } = probe;
  const successThreshold = kind === 'Readiness' ? (probe.successThreshold ?? 1) : 1;
  const failureThreshold = probe.failureThreshold ?? 3;
  const periodMs = periodSeconds * 1000;
  const first = begin + initialDelaySeconds * 1000;
  let streak = { ok: true, length: 0 };
  let wait = first - clock.monotonic();
  let eager = kind === 'Readiness';
  let toldAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    if (wait > 0 && !(await slept(clock, wait, signal))) return;
    if (signal.aborted) return;
    const limit = deadline(clock, timeoutSeconds * 1000, signal);
    const asked = clock.monotonic();
    const result = await run(probe, limit.signal).finally(() => limit.end());
    if (signal.aborted) return;
    if (!result.ok && asked - toldAt >= periodMs) {
      news.onFailure(kind, result.reason);
      toldAt = asked;
    }
    if (result.ok || asked - first > EAGER_FOR_MS) eager = false;
    streak =
      result.ok === streak.ok
        ? { ok: result.ok, length: streak.length + 1 }
        : { ok: result.ok, length: 1 };
    if (streak.length >= (result.ok ? successThreshold : failureThreshold)) yield result.ok;
    wait = asked + (eager ? Math.min(EAGER_MS, periodMs) : periodMs) - clock.monotonic();
  }
}

/** @returns false when `signal` aborted first */
async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch {
    return false;
  }
}
