// The CA put together: root, view of the pods, door, admin. Called by main.ts, and by tests with their own config and
// Kubernetes client.

import { parseIdentity } from '../mesh/identity.ts';
import { type Admin, startAdmin } from '../runtime/admin.ts';
import type { Clock } from '../runtime/clock.ts';
import type { KubeClient } from '../runtime/kubernetes/client.ts';
import { inform } from '../runtime/kubernetes/informer.ts';
import type { Pod } from '../runtime/kubernetes/objects.ts';
import { PODS } from '../runtime/kubernetes/resources.ts';
import { reviewToken } from '../runtime/kubernetes/token-review.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { keepOwnCertificate } from '../runtime/own-certificate.ts';
import { Readiness } from '../runtime/readiness.ts';
import { answerCall, countIssuance } from './answer.ts';
import type { CaConfig } from './config.ts';
import { Gate } from './gate.ts';
import { type IssueRequest, issueCertificate } from './issue.ts';
import { viewPods } from './pods.ts';
import { loadSigner, publishRoot } from './root.ts';
import { serveIssuance } from './serve.ts';

export type CaParts = {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
};
export type Ca = {
  /** Where it listens, for those who asked for port 0. */
  readonly port: number;
  readonly admin: Admin['ports'];
  close(): Promise<void>;
};

// A request waits mostly for the API server's token review; signing takes about 3 ms.
const MAX_RUNNING = 32;
// At some 300 certificates a second these are served within the clients' deadline of 10 s.
const MAX_WAITING = 1024;

/** Resolves when it serves. @throws Error when the kept root cannot be used, or `signal` aborts before it serves */
export async function startCa(parts: CaParts, config: CaConfig, signal: AbortSignal): Promise<Ca> {
  const { client, clock, log } = parts;
  const { namespace, trustDomain } = config;
  await using open = new AsyncDisposableStack();
  const metrics = new Metrics();
  metrics.collectProcess();
  const readiness = new Readiness();
  const serving = readiness.blocker('root and serving certificate');
  const seeing = readiness.blocker('pods');
  const admin = open.adopt(await startAdmin({ log, metrics, readiness }, config), (it) =>
    it.close(),
  );

  const pods = open.adopt(inform<Pod>(parts, PODS), (it) => it.close());
  const cluster = open.adopt(viewPods(pods), (it) => it.close());
  const signer = await loadSigner(parts, { ...config, holder: config.pod }, signal);
  const { rootsPem } = signer;
  open.adopt(publishRoot(parts, { namespace, rootsPem }), (it) => it.close());
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  ended.catch(() => {});
  await Promise.race([pods.synced, ended]);
  seeing();

  const issue = (request: IssueRequest) => issueCertificate({ signer, clock }, config, request);
  const gate = new Gate({ maxRunning: MAX_RUNNING, maxWaiting: MAX_WAITING });
  const counters = countIssuance(metrics);
  exposeGauges(metrics, gate, signer.notAfter);
  const review = (token: string) => reviewToken(client, token, config.audiences);
  const server = open.adopt(
    await serveIssuance(
      {
        log,
        answer: (call) =>
          answerCall(call, { log, clock, gate, cluster, counters, review, issue }, config),
      },
      config.listen,
    ),
    (it) => it.close(),
  );

  const identity = parseIdentity(`spiffe://${trustDomain}/ns/${namespace}/sa/ambit-ca`);
  // foreign clients check the name they dialled
  const dnsNames = ['ambit-ca', `ambit-ca.${namespace}`, `ambit-ca.${namespace}.svc`];
  const own = open.adopt(
    keepOwnCertificate(
      {
        clock,
        log,
        issue: async (csrPem) => (await issue({ identity, csrPem, ttlSeconds: 0, dnsNames })).chain,
        use: (certificate) => server.use(certificate),
      },
      { identity },
    ),
    (it) => it.close(),
  );
  await Promise.race([own.ready, ended]);
  serving();
  log.info('Serving certificates', { port: server.port, trustDomain });

  const owned = open.move();
  return { port: server.port, admin: admin.ports, close: () => owned.disposeAsync() };
}

function exposeGauges(metrics: Metrics, gate: Gate, rootNotAfter: number): void {
  metrics.collectedGauge(
    {
      name: 'ambit_ca_requests',
      help: 'Certificate requests under way, by state',
      labels: ['state'],
    },
    () => [
      { labels: { state: 'running' }, value: gate.running },
      { labels: { state: 'waiting' }, value: gate.waiting },
    ],
  );
  metrics.collectedGauge(
    {
      name: 'ambit_ca_root_not_after_seconds',
      help: 'When the signing chain ends, in unix seconds',
    },
    () => [{ labels: {}, value: rootNotAfter / 1000 }],
  );
}
