// The waypoint put together: every part is built, wired and closed here, and nothing else constructs. Called by
// connected.ts with the real discovery and issuance, and by tests with their own.

import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { Identity } from '../mesh/identity.ts';
import type { Snapshot } from '../mesh/snapshot.ts';
import { INGRESS_CLASS, WAYPOINT_CLASS } from '../mesh/waypoint.ts';
import type { Workload } from '../mesh/workload.ts';
import type { Door } from '../runtime/admin.ts';
import { type Admin, type AdminDoors, startAdmin } from '../runtime/admin.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Readiness } from '../runtime/readiness.ts';
import { encodeShown } from '../runtime/shown-snapshot.ts';
import { startTracing, type TracingSettings } from '../runtime/tracing/tracing.ts';
import { TunnelAcceptor } from '../tunnel/accept.ts';
import { Certificates } from '../tunnel/certificates/certificates.ts';
import type { Issue } from '../tunnel/certificates/held-certificate.ts';
import { exposeCertificates } from '../tunnel/certificates/reports.ts';
import type { Credentials } from '../tunnel/contexts.ts';
import { ignoreError } from '../tunnel/socket.ts';
import type { Leg } from '../tunnel/splice.ts';
import { acceptStream } from './accept.ts';
import { Guard } from './auth/guard.ts';
import { drain } from './drain.ts';
import { type ConnectionParts, HEAD_TIMEOUT_MS } from './http/http1-connection.ts';
import { Http1Server } from './http/http1-server.ts';
import { Http2Server } from './http/http2-server.ts';
import { type IdleLimits, IdleStreams } from './http/idle-streams.ts';
import type { Inbound } from './inbound.ts';
import { type Ingress, type IngressSettings, startIngress } from './ingress/ingress.ts';
import { carryBytes } from './opaque.ts';
import { RouteTables } from './routing/tables.ts';
import { type ServeSteps, serve } from './serve.ts';
import { RequestLog, type RequestLogSettings } from './telemetry/access-log.ts';
import { Refusals } from './telemetry/refusals.ts';
import { RequestMetrics } from './telemetry/request-metrics.ts';
import { RequestTrails } from './telemetry/request-trail.ts';
import { RouteMetrics } from './telemetry/route-metrics.ts';
import { WaypointEvents } from './telemetry/waypoint-events.ts';
import { startTraffic } from './traffic.ts';
import { Dialer } from './upstream/dial.ts';
import { Endpoints } from './upstream/endpoints.ts';
import { BackendSecurity } from './upstream/secure.ts';

/** What a waypoint needs of discovery. */
export type Discovery = {
  readonly synced: Promise<void>;
  snapshot(): Snapshot;
  subscribe(listener: (snapshot: Snapshot) => void): () => void;
};

export type WaypointParts = {
  readonly clock: Clock;
  readonly log: Log;
  readonly discovery: Discovery;
  readonly issue: Issue;
  readonly random?: () => number;
  readonly quit?: (why: string) => void;
};

export type WaypointSettings = AdminDoors & {
  readonly identity: Identity;
  /** This pod, as the mesh knows it. */
  readonly workloadUid: string;
  /** `namespace/name` of the Gateway it is a replica of. */
  readonly gateway: string;
  /** Where tunnels come in. */
  readonly tunnels: Door;
  readonly certificateTtlMs: number;
  readonly drainDeadlineMs: number;
  /** How long nothing need move in a request. */
  readonly idle?: Partial<IdleLimits> | undefined;
  readonly headTimeoutMs?: number | undefined;
  /** How long it serves on as before once it is to stop; not at all without it. */
  readonly drainNoticeMs?: number;
  /** undefined: nobody collects traces. */
  readonly tracing?: TracingSettings | undefined;
  readonly requestLog?: RequestLogSettings;
  /** Of an ingress gateway. */
  readonly ingress?: IngressSettings | undefined;
};

export type Waypoint = {
  readonly ports: Admin['ports'] & { readonly tunnels: number };
  readonly metrics: Metrics;
  /** Of an ingress gateway. */
  readonly ingress: Ingress | undefined;
  /** Resolves when it takes tunnels: its certificate is there. */
  readonly serving: Promise<void>;
  /** Takes no more, waits for what is open, at most the drain deadline, then ends everything. */
  stop(): Promise<void>;
};

export async function startWaypoint(
  parts: WaypointParts,
  settings: WaypointSettings,
): Promise<Waypoint> {
  const { clock, log, discovery } = parts;
  const random = parts.random ?? Math.random;
  const metrics = new Metrics();
  metrics.collectProcess();
  const readiness = new Readiness();
  const firstSync = readiness.blocker('first snapshot');
  const firstCertificate = readiness.blocker('own certificate');
  const known = readiness.blocker('own workload in the mesh');

  const certificates = new Certificates(
    { ...parts, onTrust: (trust) => void dialer.pool.recheck(trust) },
    {
      trustDomain: settings.identity.trustDomain,
      ttlSeconds: Math.round(settings.certificateTtlMs / 1000),
      random,
    },
  );
  const claim = certificates.claim(settings.identity);
  const snapshot = (): Snapshot => discovery.snapshot();
  const self = (): Workload | undefined => snapshot().workloadByUid(settings.workloadUid);
  const dialer = new Dialer({
    clock,
    credentials: () => claim.current(),
    identity: settings.identity,
    snapshot,
    self,
  });
  const security = new BackendSecurity({ clock, snapshot });
  const endpoints = new Endpoints({ clock, dialer, security });
  const events = new WaypointEvents({ clock, metrics });
  const traffic = startTraffic({ clock, log, random, events, dialer, endpoints, snapshot, self });
  const { pick } = traffic;
  const tracing = startTracing({ clock, log, metrics }, settings.tracing, {
    'service.name': 'ambit-waypoint',
    'service.instance.id': settings.workloadUid,
  });
  const trails = new RequestTrails({
    clock,
    log,
    metrics,
    tracer: tracing.tracer,
    observers: [
      new RequestMetrics({ clock, metrics }),
      new RouteMetrics({ clock, metrics }),
      new RequestLog({ log: log.child({ scope: 'access' }), random }, settings.requestLog),
    ],
  });

  const guard = new Guard(
    { clock, log, metrics, snapshot, connect: traffic.connect },
    {
      gateway: settings.gateway,
      gatewayClass: settings.ingress === undefined ? WAYPOINT_CLASS : INGRESS_CLASS,
    },
  );
  const tables = new RouteTables({
    log,
    routesOf: (key) => snapshot().routesOfService(key),
    routesOfGateway: (key) => snapshot().routesOfGateway(key),
  });
  const idle = new IdleStreams({ clock }, settings.idle);
  const steps: ServeSteps = {
    ...traffic.steps,
    identity: settings.identity,
    clock,
    log,
    random,
    uuid: randomUUID,
    tables,
    trails,
    endpoints,
    events,
    guard,
    idle,
  };
  const refusals = new Refusals({ log: log.child({ scope: 'access' }), metrics });
  const headTimeoutMs = settings.headTimeoutMs ?? HEAD_TIMEOUT_MS;
  const doorOf = (protocol: 'http1' | 'http2'): ConnectionParts => ({
    clock,
    headTimeoutMs,
    onExchange: (one) => void serve(one, steps),
    onBad: (inbound, refusal) => refusals.tell(protocol, inbound, refusal),
  });
  const http1 = new Http1Server(doorOf('http1'));
  const http2 = new Http2Server(doorOf('http2'));

  const opaque = (leg: Leg, inbound: Inbound): void =>
    void carryBytes(leg, inbound, { log, pick, dialer, security, tables, random, guard });
  const ingress =
    settings.ingress &&
    startIngress(
      {
        clock,
        log,
        http1,
        http2,
        opaque,
        readiness,
        metrics,
        connectionTrace: () => trails.connection({}),
      },
      settings.ingress,
    );

  const serving = Promise.withResolvers<void>();
  let acceptor: TunnelAcceptor | undefined;
  const use = (credentials: Credentials): void => {
    acceptor?.replace(credentials);
    acceptor ??= new TunnelAcceptor({
      clock,
      credentials,
      onRequest: (request) =>
        void acceptStream(request, {
          clock,
          headTimeoutMs,
          log,
          snapshot,
          self,
          connectionTrace: (fields) => trails.connection(fields),
          tables,
          http1,
          http2,
          opaque,
        }),
      onDenied: ({ remote, error }) => log.warn('Refused a tunnel', { from: remote.ip, error }),
    });
    firstCertificate();
    serving.resolve();
  };
  claim.onRenewed(use);
  const take = (newest: Snapshot): void => {
    certificates.believe(newest.trustBundles());
    endpoints.evict(newest);
    traffic.take(newest);
    guard.update(newest);
    dialer.pool.evict();
    if (self() !== undefined) known();
    ingress?.take(newest);
  };
  const unsubscribe = discovery.subscribe(take);
  exposeCertificates(metrics, certificates, clock);

  const server = createServer({ pauseOnConnect: false }, (socket) => {
    socket.on('error', ignoreError);
    // without a certificate there is nobody to talk to
    if (acceptor === undefined) socket.resetAndDestroy();
    else acceptor.take(socket);
  });
  const doors = { log, metrics, readiness, ...(parts.quit && { quit: parts.quit }) };
  const admin = await startAdmin(doors, settings, {
    '/snapshot': () => ({
      contentType: 'application/octet-stream',
      body: encodeShown(snapshot(), clock.now()),
    }),
  }).catch((error: unknown) => {
    unsubscribe();
    certificates.close();
    throw error;
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: settings.tunnels.port, host: settings.tunnels.host }, resolve);
  });
  discovery.synced.then(
    () => {
      take(snapshot());
      firstSync();
      ingress?.synced();
    },
    () => {
      // closed before it was ever connected
    },
  );

  return {
    ports: { ...admin.ports, tunnels: (server.address() as AddressInfo).port },
    metrics,
    ingress,
    serving: serving.promise,
    async stop() {
      readiness.blocker('stopping');
      await drain(
        {
          clock,
          http: [http1, http2],
          shut: () => void server.close(),
          ended: () => Promise.all([acceptor?.drain(), ingress?.drain()]),
          cut: () => {
            void acceptor?.close();
            ingress?.close();
          },
        },
        { noticeMs: settings.drainNoticeMs ?? 0, deadlineMs: settings.drainDeadlineMs },
      );
      unsubscribe();
      http1.close();
      http2.close();
      idle.close();
      traffic.close();
      guard.close();
      endpoints.close();
      await dialer.pool.close();
      claim.release();
      certificates.close();
      await trails.allEnded();
      await tracing.close();
      await admin.close();
    },
  };
}
