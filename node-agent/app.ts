// The node agent put together: every part is built, wired and closed here, and nothing else constructs. Called by main.ts
// with the real discovery, issuance and capture, and by tests with their own.

import { randomInt } from 'node:crypto';
import type { EnrolmentReport } from '../mesh/enrolment.ts';
import { MeshError } from '../mesh/failures.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import type { TrustReport } from '../mesh/trust.ts';
import { type Admin, startAdmin } from '../runtime/admin.ts';
import type { Clock } from '../runtime/clock.ts';
import { type DiscoveryRecord, exposeDiscovery } from '../runtime/discovery-metrics.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Readiness } from '../runtime/readiness.ts';
import { followReadiness } from '../runtime/ready-file.ts';
import { HandshakeGate } from '../tunnel/handshake-gate.ts';
import { IDLE_RELEASE_MS, TunnelPool } from '../tunnel/pool.ts';
import type { PeerTrust } from '../tunnel/trust.ts';
import { AccessLog, EVERYTHING } from './access-log.ts';
import { type AdminView, adminRoutes } from './admin-routes.ts';
import { Affinity } from './affinity.ts';
import type { CaptureDriver } from './capture/capture.ts';
import { exposeCertificates, reportTrust } from './certificate-reports.ts';
import { Certificates } from './certificates.ts';
import type { AgentConfig } from './config.ts';
import { Connections } from './connections.ts';
import { Dns, type DnsSettings } from './dns/dns.ts';
import { countLookups } from './dns/dns-metrics.ts';
import { Enrolments } from './enrolment.ts';
import { exposeGauges } from './gauges.ts';
import type { Issue } from './held-certificate.ts';
import { HostLookup, type ResolveHost } from './host-lookup.ts';
import { receive } from './inbound.ts';
import { knownSource, type SnapshotSource } from './known-source.ts';
import { sweepLeftovers } from './leftovers.ts';
import { DEFAULT_LIMITS, Limits } from './limits.ts';
import type { Journeys } from './local-pod.ts';
import type { Sandboxes } from './nri/sandboxes.ts';
import { followStarts } from './nri/starts.ts';
import { carry, EndpointLoad } from './outbound.ts';
import { admitPlain } from './passthrough.ts';
import { PolicyRecord } from './policy-record.ts';
import { PolicyWatch } from './policy-watch.ts';
import { hostResolver } from './resolve-host.ts';
import { Trails } from './trail.ts';
import { TunnelReports } from './tunnel-reports.ts';
import { dialTunnel, isCurrent, openThrough, tunnelKey } from './tunnels.ts';

export type Discovery = SnapshotSource & {
  /** There is a snapshot to work from. */
  readonly synced: Promise<void>;
  /** The control plane itself has told everything; absent where every snapshot is its own. */
  readonly live?: Promise<void>;
  /** What is known of the connection, where there is one. */
  readonly record?: DiscoveryRecord;
  /** How often the snapshot could not be kept. */
  readonly saveFailures?: () => number;
  report(report: EnrolmentReport): void;
  reportTrust(report: TrustReport): void;
};

export type AgentParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly discovery: Discovery;
  readonly issue: Issue;
  readonly capture: CaptureDriver;
  /** Where `capture` looks for what the container runtime tells of. */
  readonly sandboxes?: Sandboxes;
  readonly random?: () => number;
  /** Ends the process politely: what /quitquitquit asks for. */
  readonly quit?: (why: string) => void;
  /** For endpoints that have a DNS name only. */
  readonly resolveHost?: ResolveHost;
};

export type AgentSettings = Pick<
  AgentConfig,
  | 'trustDomain'
  | 'certificateTtlMs'
  | 'drainDeadlineMs'
  | 'leaveGraceMs'
  | 'watchIntervalMs'
  | 'dnsCapture'
  | 'nri'
  | 'admin'
  | 'metrics'
  | 'ready'
> &
  Partial<
    Pick<AgentConfig, 'tunnelIdleMs' | 'readyFile' | 'accessFilter' | 'seriesIdleMs' | 'limits'>
  > & {
    /** Without it the DNS of no pod is captured. */
    readonly dns?: DnsSettings | undefined;
  };

/** Sockets that were reset end within one turn; nothing that hangs may hold up the end. */
const CUT_GRACE_MS = 1000;

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
  const trails = new Trails({ log, access, clock, metrics }, settings);
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
  const load = new EndpointLoad();
  const affinity = new Affinity({ clock });
  const hosts = new HostLookup({ clock, random, resolve: parts.resolveHost ?? hostResolver([]) });
  const record = new PolicyRecord({ log, metrics, clock });
  const policy = { snapshot: () => discovery.snapshot(), record };
  const shared = { trails, connections, snapshot: policy.snapshot, policy };

  const countLookup = countLookups({ metrics, clock });
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
  const journeys: Journeys = {
    outbound: (pod, captured) =>
      void carry(pod, captured, {
        trails,
        connections,
        load,
        affinity,
        random,
        source: () => knownSource(parts, pod.enrolment.workloadUid),
        openThrough: (_, hop, heads, signal) =>
          openThrough({ clock, pod, pool, snapshot: policy.snapshot() }, hop, heads, signal),
        lookup: (hostname, like, signal) => {
          countLookup(hostname, policy.snapshot().workloadByUid(pod.enrolment.workloadUid));
          return hosts.address(hostname, like, signal);
        },
        openTunnel: (_, hop, head, signal) =>
          pool.open(tunnelKey(pod, hop, discovery.snapshot()), head, signal),
      }),
    inbound: (pod, request) => void receive(pod, request, shared),
    passthrough: (pod, captured) => void admitPlain(pod, captured, shared),
    denied: (_, { remote, local, error }) =>
      tunnels.refused({ source: remote, destination: local, direction: 'inbound', error }),
    lost: (_, { remote, local, error }) =>
      tunnels.lost({ source: remote, destination: local, direction: 'inbound', error }),
    ...(dns === undefined ? {} : { dns }),
    left: ({ enrolment: { podUid } }, gone) => {
      dns?.release(podUid);
      return gone ? pool.release(podUid) : pool.drain(podUid);
    },
  };
  const enrolments = new Enrolments({
    handshakes: new HandshakeGate(),
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

  const watch = new PolicyWatch();
  const take = (snapshot: Snapshot): void => {
    certificates.believe(snapshot.trustBundles());
    enrolments.apply(snapshot.enrolments());
    starts.reconsider();
    const pods = [...enrolments.pods()].map(({ enrolment }) => enrolment);
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
  const admin = await startAdmin(doors, settings, adminRoutes(view)).catch(async (error) => {
    unsubscribe();
    await starts.close();
    trustReports.close();
    own?.close();
    throw error;
  });

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
      const doorsClosed = admin.close();
      const deadline = new AbortController();
      const timer = clock.timer(settings.drainDeadlineMs, () => deadline.abort());
      log.info('Draining', {
        connections: connections.count(),
        tunnels: pool.tunnels,
        deadlineMs: settings.drainDeadlineMs,
      });
      const drained = enrolments.drain();
      const idle = await connections.idle(undefined, deadline.signal);
      timer.cancel();
      const cut = connections.count();
      if (!idle) log.warn('Cutting open connections: the drain deadline is over', { cut });
      connections.cutAll(
        new MeshError('DRAIN_DEADLINE', 'The connection was cut: the node agent stopped'),
      );
      dns?.close();
      await Promise.all([enrolments.close(), pool.close()]);
      // each cut one has its line, before the process ends
      await Promise.race([trails.allEnded(), clock.sleep(CUT_GRACE_MS)]);
      await drained;
      await begun;
      trustReports.close();
      certificates.close();
      hosts.close();
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
