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
import { lookAfterRoot } from './leadership.ts';
import { Limits } from './limits.ts';
import { exposeGauges } from './metrics.ts';
import { viewPods } from './pods.ts';
import { followRoot } from './root.ts';
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
  const root = open.adopt(followRoot(parts, config), (it) => it.close());
  const participants = () =>
    cluster.running([...config.trustedNodeAccounts, `${namespace}/ambit-control-plane`]);
  const runs = (place: string, pod: string) => cluster.pod(place, pod) !== undefined;
  const leading = lookAfterRoot(
    { ...parts, root, participants, runs, identities: () => cluster.identities() },
    { ...config, holder: config.pod },
  );
  open.defer(() => leading.close());
  const ended = new Promise<never>((_, reject) => {
    const end = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
  ended.catch(() => {});
  await Promise.race([pods.synced, ended]);
  seeing();
  await Promise.race([root.ready, ended]);

  const issue = (request: IssueRequest) => {
    const current = root.current();
    // cannot be: the door opens after the first
    if (current === undefined) throw new Error('There is nothing to sign with yet');
    return issueCertificate({ signer: current.signer, clock }, config, request);
  };
  const gate = new Gate({ maxRunning: MAX_RUNNING, maxWaiting: MAX_WAITING });
  const limits = new Limits({ clock });
  const counters = countIssuance(metrics);
  exposeGauges(metrics, gate, root, () => leading.leads);
  const review = (token: string) => reviewToken(client, token, config.audiences);
  const server = open.adopt(
    await serveIssuance(
      {
        log,
        answer: (call) =>
          answerCall(call, { log, clock, gate, limits, cluster, counters, review, issue }, config),
      },
      config.listen,
    ),
    (it) => it.close(),
  );

  const identity = parseIdentity(`spiffe://${trustDomain}/ns/${namespace}/sa/ambit-ca`);
  // foreign clients check the name they dialled
  const short = `ambit-ca.${namespace}`;
  const dnsNames = ['ambit-ca', short, `${short}.svc`, ...config.dnsNames];
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
  let servedUnder = root.current()?.signer.root;
  root.subscribe(() => {
    const under = root.current()?.signer.root;
    if (under === servedUnder) return;
    servedUnder = under;
    own.renew();
  });
  await Promise.race([own.ready, ended]);
  serving();
  log.info('Serving certificates', { port: server.port, trustDomain });

  const owned = open.move();
  return { port: server.port, admin: admin.ports, close: () => owned.disposeAsync() };
}
