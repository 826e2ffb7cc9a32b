// The control plane put together: watch -> translate -> publish -> push -> ACK. Called by main.ts, and by tests with
// their own config and Kubernetes client.

import { readFile } from 'node:fs/promises';
import { parseIdentity } from '../mesh/identity.ts';
import { type Admin, startAdmin } from '../runtime/admin.ts';
import type { Clock } from '../runtime/clock.ts';
import { createIssuanceClient } from '../runtime/issuance-client.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import { elect } from '../runtime/kubernetes/lease.ts';
import { reviewToken } from '../runtime/kubernetes/token-review.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { keepOwnCertificate } from '../runtime/own-certificate.ts';
import { Readiness } from '../runtime/readiness.ts';
import { VERSION } from '../runtime/version.ts';
import { TYPE_ADDRESS } from '../wire/discovery.ts';
import type { Problem } from '../wire/status.ts';
import { batch } from './batch.ts';
import type { ControlPlaneConfig } from './config.ts';
import { deploySettingsOf } from './config.ts';
import { type Decision, followGateways } from './deploy/gateways.ts';
import { countPushes, countStatusWrites, exposeControlPlane } from './metrics.ts';
import { Proxies } from './proxies.ts';
import { decideAdmission } from './push/admit.ts';
import { namesOf, serveProxy } from './push/connection.ts';
import { type PushServer, servePush } from './push/serve.ts';
import { ReportWriter } from './reports.ts';
import { Retirement } from './retirement.ts';
import { ConditionWriter } from './status/conditions.ts';
import { createEventWriter } from './status/events.ts';
import { ProblemTeller } from './status/problems.ts';
import { PolicyAncestorWriter, RouteParentWriter } from './status/route-parents.ts';
import { statusOf } from './status/view.ts';
import { Store } from './store.ts';
import { isAlive } from './translate/mode.ts';
import { createTranslationMemo, type Translation, translate } from './translate/world.ts';
import { followTrust } from './trust.ts';
import { watchCluster } from './watch/cluster.ts';

export type ControlPlaneParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
};
export type ControlPlane = {
  /** Where it listens, for those who asked for port 0. */
  readonly port: number;
  readonly admin: Admin['ports'];
  close(): Promise<void>;
};

const LEASE = 'ambit-control-plane';
/** What Gateways name is read within milliseconds; somebody may have forbidden to read a Secret, and nobody waits for that. */
const LOOK_UP_MS = 5000;

/** Resolves when it serves agents. @throws `signal.reason` when aborted before */
export async function startControlPlane(
  parts: ControlPlaneParts,
  config: ControlPlaneConfig,
  signal: AbortSignal,
): Promise<ControlPlane> {
  const { client, clock, log } = parts;
  await using open = new AsyncDisposableStack();
  const metrics = new Metrics();
  metrics.collectProcess();
  const readiness = new Readiness();
  const store = new Store();
  const proxies = new Proxies();
  const leadership = { held: false };
  let newest: Translation | undefined;
  let known: readonly Problem[] = [];
  let planned: Decision | undefined;

  // watch -> translate -> publish
  const settings = { ...config, rootNamespace: config.namespace };
  const memo = createTranslationMemo();
  const publish = (): void => {
    const world = cluster.world();
    const running = new Set([...world.pods].filter(isAlive).map(({ metadata }) => metadata.uid));
    newest = translate(world, settings, memo);
    const enrolments = retirement.plan(newest.enrolments, (uid) => running.has(uid));
    const believed = trust.read();
    planned = gateways.plan({
      gateways: world.gateways,
      roots: trust.rootMap(),
      uses: newest.waypointUses,
      attachedRoutes: newest.attachedRoutes,
      routes: newest.routes,
    });
    known = [...newest.problems, ...planned.problems, ...believed.problems];
    if (
      store.publish({
        ...newest,
        enrolments,
        trust: believed.bundles,
        listeners: planned.listeners,
        backendTls: planned.backendTls,
      })
    ) {
      log.debug('Published', { version: store.current.version });
    }
    published.resolve();
    retirement.published(store.current.version);
    conditions.wish([...newest.outcomes, ...planned.outcomes]);
    routeParents.wish(newest.routeOutcomes);
    policyAncestors.wish(planned.ancestorOutcomes);
    problems.tell(known);
  };
  const tryPublish = (): void => {
    try {
      publish();
    } catch (error) {
      // what agents have stays as it is; the next change tries again
      log.error('Cannot translate the cluster: publishing nothing new', { error });
    }
  };
  const published = Promise.withResolvers<void>();
  let synced = false;
  const changes = open.adopt(
    batch({ clock, run: tryPublish }, { quietMs: config.quietMs, maxMs: config.maxDelayMs }),
    (it) => it.close(),
  );
  const retirement = open.adopt(new Retirement({ clock, onDue: () => changes.poke() }), (it) =>
    it.close(),
  );
  const cluster = open.adopt(
    watchCluster(parts, config, () => {
      // half a cluster must not be published: agents would drop the other half
      if (synced) changes.poke();
    }),
    (it) => it.close(),
  );
  const trust = open.adopt(
    followTrust({ ...parts, proxies: () => proxies.list() }, config, () => {
      if (synced) changes.poke();
    }),
    (it) => it.close(),
  );
  const isLeader = (): boolean => leadership.held;
  const gateways = open.adopt(
    followGateways(
      { ...parts, services: cluster.services, isLeader },
      deploySettingsOf(config),
      () => {
        if (synced) changes.poke();
      },
    ),
    (it) => it.close(),
  );
  const events = open.adopt(createEventWriter(parts), (it) => it.close());
  const reports = open.adopt(
    new ReportWriter({
      ...parts,
      events,
      pod: (name, namespace) => cluster.pods.get(name, namespace),
    }),
    (it) => it.close(),
  );
  const find = cluster.find.bind(cluster);
  const problems = new ProblemTeller({ log, events, isLeader, find });
  const writing = { ...parts, isLeader, count: countStatusWrites(metrics) };
  const conditions = open.adopt(new ConditionWriter(writing), (it) => it.close());
  const routeParents = open.adopt(new RouteParentWriter(writing), (it) => it.close());
  const policyAncestors = open.adopt(new PolicyAncestorWriter(writing), (it) => it.close());

  const admin = open.adopt(
    await startAdmin({ log, metrics, readiness }, config, {
      '/status': async () => ({
        contentType: 'application/json',
        body: JSON.stringify(
          statusOf({
            version: VERSION,
            pod: config.pod,
            leader: leadership.held,
            rootsPem:
              trust.rootsPem() ||
              (await readFile(config.rootCertFile, 'utf8').catch(() => undefined)),
            trustDomain: config.trustDomain,
            proxies: proxies.list(),
            namespaces: cluster.namespaces.items(),
            pods: cluster.pods.items(),
            problems: known,
            waypoints: planned?.waypoints ?? [],
            rotation: trust.rotation(),
          }),
        ),
      }),
    }),
    (it) => it.close(),
  );
  exposeControlPlane(metrics, { store, proxies, isLeader: () => leadership.held });

  const unready = [readiness.blocker('Kubernetes objects'), readiness.blocker('own certificate')];
  const ended = new Promise<never>((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
  ended.catch(() => {});
  await Promise.race([Promise.all([cluster.synced, trust.synced, gateways.synced]), ended]);
  // proxies that were told of listeners without certificates would close them
  await Promise.race([
    gateways.lookUp({
      gateways: cluster.gateways.items(),
      roots: trust.rootMap(),
      uses: new Map(),
      attachedRoutes: new Map(),
      routes: [],
    }),
    clock.sleep(LOOK_UP_MS),
    ended,
  ]);
  synced = true;
  tryPublish();
  // agents that were told of an empty cluster would let go of all they know
  await Promise.race([published.promise, ended]);
  unready[0]?.();

  // push -> ACK
  const identity = parseIdentity(
    `spiffe://${config.trustDomain}/ns/${config.namespace}/sa/ambit-control-plane`,
  );
  const issuance = open.adopt(
    createIssuanceClient(
      { log },
      {
        address: config.caAddress,
        rootCertFile: config.rootCertFile,
        moreRoots: () => [trust.rootsPem()],
        tokenFile: config.tokenFile,
        serverIdentity: { ...identity, serviceAccount: 'ambit-ca' },
        clusterId: config.cluster,
      },
    ),
    (it) => it.close(),
  );
  const counters = countPushes(metrics);
  const onProgress = (): void => {
    retirement.progress((version) => proxies.haveAll(TYPE_ADDRESS, version));
  };
  const server: PushServer = open.adopt(
    await servePush(
      {
        log,
        admit: async (token) =>
          decideAdmission(
            await reviewToken(client, token, config.audiences),
            (namespace, name, uid) => {
              const pod = cluster.pods.get(name, namespace);
              return pod?.metadata.uid === uid
                ? { node: pod.spec.nodeName, labels: pod.metadata.labels ?? {} }
                : undefined;
            },
            config,
          ),
        onProxy: (proxy, socket) => {
          log.info('Proxy connected', { ...namesOf(proxy), userAgent: proxy.userAgent });
          const onReport = reports.accept.bind(reports);
          const connection = serveProxy(
            { clock, log, store, socket, counters, onProgress, onReport, onTrust: trust.heard },
            proxy,
          );
          proxies.add(connection);
          void connection.closed.then(() => {
            log.info('Proxy disconnected', namesOf(proxy));
            onProgress();
            trust.heard();
          });
        },
      },
      config.listen,
    ),
    async (it) => {
      const closing = it.close();
      await proxies.closeAll('The control plane stops');
      await closing;
    },
  );
  const own = open.adopt(
    keepOwnCertificate(
      {
        clock,
        log,
        issue: async (csrPem, stop) =>
          (await issuance.issue({ csrPem, ttlSeconds: 0 }, stop)).chain,
        use: (certificate) => {
          server.use(certificate);
          trust.holds(certificate);
        },
      },
      { identity },
    ),
    (it) => it.close(),
  );
  trust.renewNow(() => own.renew());
  await Promise.race([own.ready, ended]);
  unready[1]?.();

  // one replica writes what only one should
  const resign = new AbortController();
  const electing = elect(
    parts,
    { namespace: config.namespace, name: LEASE, holder: config.pod },
    (leading) =>
      new Promise<void>((resolve) => {
        leadership.held = true;
        // what only a leader writes is planned again
        changes.poke();
        const end = (): void => {
          leadership.held = false;
          resolve();
        };
        leading.addEventListener('abort', end, { once: true });
        if (leading.aborted) end();
      }),
    resign.signal,
  );
  open.defer(async () => {
    resign.abort(new Error('The control plane stops'));
    await electing;
  });
  log.info('Serving discovery', { port: server.port, trustDomain: config.trustDomain });

  const owned = open.move();
  return { port: server.port, admin: admin.ports, close: () => owned.disposeAsync() };
}
