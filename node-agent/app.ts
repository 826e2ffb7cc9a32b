// The node agent put together: every part is built, wired and closed here, and nothing else constructs. Called by
// connected.ts with the real discovery, issuance and capture, and by tests with their own.

import { randomInt } from 'node:crypto';
import type { Snapshot } from '../mesh/snapshot.ts';
import { EVERYTHING } from '../runtime/access-filter.ts';
import { type Admin, startAdmin } from '../runtime/admin.ts';
import { exposeDiscovery } from '../runtime/discovery-metrics.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Readiness } from '../runtime/readiness.ts';
import { followReadiness } from '../runtime/ready-file.ts';
import { startTracing } from '../runtime/tracing/tracing.ts';
import { Certificates } from '../tunnel/certificates/certificates.ts';
import { exposeCertificates, reportTrust } from '../tunnel/certificates/reports.ts';
import { HandshakeGate } from '../tunnel/handshake-gate.ts';
import { IDLE_RELEASE_MS, TunnelPool } from '../tunnel/pool.ts';
import type { PeerTrust } from '../tunnel/trust.ts';
import { AccessLog } from './access-log.ts';
import { adminRoutes } from './admin-routes.ts';
import type { AdminView } from './admin-view.ts';
import type { AgentParts, AgentSettings } from './agent-parts.ts';
import { Connections } from './connections.ts';
import { Dns } from './dns/dns.ts';
import { drain } from './drain.ts';
import { Enrolments } from './enrolment.ts';
import { exposeGauges } from './gauges.ts';
import { HostLookup } from './host-lookup.ts';
import { journeysOf } from './journeys.ts';
import { sweepLeftovers } from './leftovers.ts';
import { DEFAULT_LIMITS, Limits } from './limits.ts';
import { openMetricsTunnel, ownEnrolment } from './metrics-tunnel.ts';
import { followStarts } from './nri/starts.ts';
import { PolicyRecord } from './policy-record.ts';
import { PolicyWatch } from './policy-watch.ts';
import { hostResolver } from './resolve-host.ts';
import { Trails } from './trail.ts';
import { TunnelReports } from './tunnel-reports.ts';
import { dialTunnel, isCurrent } from './tunnels.ts';

export type Agent = {
  readonly ports: Admin['ports'];
  readonly metrics: Metrics;
  /** Waits for what is open, at most the drain deadline, then ends everything. */
  stop(): Promise<void>;
};

export async function startAgent(parts: AgentParts, settings: AgentSettings): Promise<Agent> {
  const { clock, log, discovery } = parts;
  const random = parts.random ?? Math.random;
  const metrics = new Metrics();
  metrics.collectProcess();
  const readiness = new Readiness();
  const firstSync = readiness.blocker('first snapshot');
  const firstEnrolments = readiness.blocker('enrolments');
  const runtimeKnown = readiness.blocker('container runtime');
  readiness.detail('container runtime', () => starts.describe());

  const limits = new Limits({ clock, log, metrics }, settings.limits ?? DEFAULT_LIMITS);
  const connections = new Connections(limits);
  const accessLines = log.child({ scope: 'access' });
  const access = new AccessLog({ log: accessLines, random }, settings.accessFilter ?? EVERYTHING);
  const tracing = startTracing({ clock, log, metrics }, settings.tracing, {
    'service.name': 'ambit-node-agent',
    'k8s.node.name': settings.nodeName ?? '',
  });
  const { tracer } = tracing;
  const trails = new Trails({ log, access, clock, metrics, tracer }, settings);
  const tunnels = new TunnelReports({ clock, log: accessLines, metrics });
  const repairs = metrics.counter({
    name: 'ambit_capture_repairs_total',
    help: 'Redirections of pods that another program had changed, and that were put back',
    labels: ['reason'],
  });
  const onTrust = (trust: PeerTrust): void => void pool.recheck(trust);
  const certificates = new Certificates(
    { ...parts, onTrust },
    {
      trustDomain: settings.trustDomain,
      ttlSeconds: Math.round(settings.certificateTtlMs / 1000),
      random,
    },
  );
  const pool = new TunnelPool({
    clock,
    dial: (key, signal) => dialTunnel({ clock, pod: enrolments.local(key.owner) }, key, signal),
    isCurrent: (key) => isCurrent(key, discovery.snapshot()),
    idleReleaseMs: settings.tunnelIdleMs ?? IDLE_RELEASE_MS,
    onLost: ({ sourceIp, destination }, error) =>
      tunnels.lost({
        source: { ip: sourceIp, port: 0 },
        destination,
        direction: 'outbound',
        error,
      }),
  });
  const hosts = new HostLookup({ clock, random, resolve: parts.resolveHost ?? hostResolver([]) });
  const record = new PolicyRecord({ log, metrics, clock });
  const dns =
    settings.dns &&
    new Dns(
      {
        clock,
        log,
        metrics,
        random,
        discovery,
        randomId: () => randomInt(0x10000),
      },
      settings.dns,
    );
  const journeys = journeysOf({
    clock,
    discovery,
    metrics,
    random,
    trails,
    connections,
    tunnels,
    pool,
    record,
    hosts,
    dns,
  });
  const handshakes = new HandshakeGate();
  const enrolments = new Enrolments({
    handshakes,
    clock,
    log,
    capture: parts.capture,
    certificates,
    connections,
    journeys,
    report: (report) => discovery.report(report),
    repaired: (reason) => repairs.inc({ reason }),
    leaveGraceMs: settings.leaveGraceMs,
    watchIntervalMs: settings.watchIntervalMs,
    dnsCapture: settings.dnsCapture,
    enclosures: {
      has: (podUid) => starts.has(podUid),
      addresses: (podUid) => starts.addresses(podUid),
      reconsider: () => starts.reconsider(),
    },
  });
  const starts = followStarts({ ...parts, enrolments, metrics }, settings.nri);

  const { metricsTunnel } = settings;
  const watch = new PolicyWatch();
  const take = (snapshot: Snapshot): void => {
    certificates.believe(snapshot.trustBundles());
    enrolments.apply(snapshot.enrolments());
    starts.reconsider();
    const pods = [...enrolments.pods()].map(({ enrolment }) => enrolment);
    if (metricsTunnel !== undefined) pods.push(ownEnrolment(metricsTunnel));
    const cut = connections.recheck(watch.concerned(snapshot, pods));
    for (const { code } of cut) record.cut(code);
    tunnels.evicted(pool.evict());
  };
  if (discovery.record !== undefined) {
    exposeDiscovery(
      { metrics, readiness },
      discovery.record,
      () => discovery.saveFailures?.() ?? 0,
    );
  }
  const { readyFile } = settings;
  const own = readyFile === undefined ? undefined : followReadiness({ log, readiness }, readyFile);
  const unsubscribe = discovery.subscribe(take);
  const view: AdminView = {
    clock,
    discovery,
    certificates,
    connections,
    enrolments,
    pool,
    settings,
  };
  exposeGauges(metrics, log, view);
  exposeCertificates(metrics, certificates, clock);
  const trustReports = reportTrust(parts, certificates);
  const doors = { log, metrics, readiness, ...(parts.quit && { quit: parts.quit }) };
  const giveUp = async (error: unknown): Promise<never> => {
    unsubscribe();
    await starts.close();
    trustReports.close();
    own?.close();
    await tracing.close();
    throw error;
  };
  const admin = await startAdmin(doors, settings, adminRoutes(view)).catch(giveUp);
  const tunnelled =
    metricsTunnel &&
    (await openMetricsTunnel(
      { clock, certificates, journeys, handshakes },
      metricsTunnel,
      admin.ports.metrics,
    ).catch(async (error: unknown) => {
      await admin.close();
      return giveUp(error);
    }));

  void starts.settled.then(runtimeKnown);

  const podUids = (): Set<string> =>
    new Set([
      ...[...enrolments.pods()].map(({ enrolment }) => enrolment.podUid),
      ...starts.podUids(),
    ]);
  const stopping = new AbortController();
  const live = orStopped(discovery.live ?? discovery.synced, stopping.signal);
  const begin = async (): Promise<void> => {
    firstSync();
    take(discovery.snapshot());
    await enrolments.settled();
    firstEnrolments();
    // a snapshot from disk does not know who was enrolled since: letting go of what it does not name would open those
    await live;
    const graceMs = settings.drainDeadlineMs + settings.leaveGraceMs;
    await sweepLeftovers(parts, { wanted: podUids, graceMs }, stopping.signal);
  };
  let begun: Promise<void> | undefined;
  discovery.synced.then(
    () => {
      if (!stopping.signal.aborted) begun = begin();
    },
    () => {
      // closed before it was ever connected
    },
  );

  return {
    ports: admin.ports,
    metrics,
    async stop() {
      readiness.blocker('stopping');
      stopping.abort(new Error('The agent is stopping'));
      await starts.close();
      unsubscribe();
      // the next agent holds these ports too: from here on only its answers count
      const doorsClosed = Promise.all([admin.close(), tunnelled?.drain()]);
      const cut = await drain(
        { clock, log, connections, enrolments, pool, trails, dns },
        settings.drainDeadlineMs,
      );
      await tunnelled?.close();
      await begun;
      trustReports.close();
      certificates.close();
      hosts.close();
      await tracing.close();
      await doorsClosed;
      own?.close();
      log.info('Drained', { cut });
    },
  };
}

/** Resolves with the promise, and also when the agent stops: then nothing it stood for matters any more. */
function orStopped(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    promise.then(resolve, () => resolve());
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
