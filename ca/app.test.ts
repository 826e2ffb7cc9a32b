// The CA as its clients meet it: real gRPC over loopback TLS, our own client, a Kubernetes API in memory.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { parseIdentity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import { makeCsr } from '../runtime/csr.ts';
import { SettingsReader } from '../runtime/env.ts';
import { createIssuanceClient, type IssuanceClient } from '../runtime/issuance-client.ts';
import { inform } from '../runtime/kubernetes/informer.ts';
import { MemoryKube } from '../runtime/kubernetes/memory.ts';
import type { ConfigMap, Pod, TokenReview } from '../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, PODS } from '../runtime/kubernetes/resources.ts';
import { createLog } from '../runtime/log.ts';
import { createTestCa } from '../tunnel/test-ca.ts';
import { CREATE_CERTIFICATE } from '../wire/issuance.ts';
import { type Ca, startCa } from './app.ts';
import { readCaConfig } from './config.ts';

const CA = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/ambit-ca');
const WEB = parseIdentity('spiffe://cluster.local/ns/shop/sa/web');

const kube = new MemoryKube();
const lines: { message: string; reason?: string; why?: string }[] = [];
let ca: Ca;
let folder: string;
let client: IssuanceClient;

function placed(namespace: string, name: string, uid: string, account: string, node: string): Pod {
  return {
    metadata: { namespace, name, uid },
    spec: { nodeName: node, serviceAccountName: account, containers: [] },
    status: { phase: 'Running' },
  };
}

/** Tokens are `account/pod/uid`, all of ambit-system. */
function review({ spec }: TokenReview): TokenReview['status'] {
  const [account, pod = '', uid = ''] = spec.token.split('/');
  if (account === 'expired') return { authenticated: false, error: 'token has expired' };
  const audience =
    account === 'for-istio' ? 'istio-ca' : account === 'for-others' ? 'api' : 'ambit-ca';
  return {
    authenticated: true,
    audiences: [audience],
    user: {
      username: `system:serviceaccount:ambit-system:${account}`,
      extra: {
        'authentication.kubernetes.io/pod-name': [pod],
        'authentication.kubernetes.io/pod-uid': [uid],
      },
    },
  };
}

const token = (text: string) => writeFile(join(folder, 'token'), `${text}\n`);
const settings = (port: number, identity = CA) => ({
  address: `127.0.0.1:${port}`,
  rootCertFile: join(folder, 'root.pem'),
  tokenFile: join(folder, 'token'),
  serverIdentity: identity,
  clusterId: 'Kubernetes',
});

before(async () => {
  kube.reviewToken = review;
  await kube.create(PODS, placed('ambit-system', 'agent-1', 'u1', 'ambit-node-agent', 'n1'));
  await kube.create(PODS, placed('shop', 'web-1', 'u2', 'web', 'n1'));
  await kube.create(PODS, placed('shop', 'cart-1', 'u3', 'cart', 'n2'));
  const env = new SettingsReader({
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    AMBIT_CA_HOST: '127.0.0.1',
    AMBIT_CA_PORT: '0',
    AMBIT_TOKEN_AUDIENCES: 'ambit-ca,istio-ca',
    AMBIT_ADMIN_PORT: '0',
    AMBIT_METRICS_PORT: '0',
    AMBIT_READY_PORT: '0',
  });
  const log = createLog({ component: 'ca', write: (line) => lines.push(JSON.parse(line)) });
  ca = await startCa(
    { client: kube, clock: systemClock, log },
    readCaConfig(env),
    new AbortController().signal,
  );
  folder = await mkdtemp(join(tmpdir(), 'ambit-ca-'));
  const published = Promise.withResolvers<string>();
  const maps = inform<ConfigMap>({ client: kube, clock: systemClock, log }, CONFIG_MAPS);
  maps.subscribe(({ object }) => published.resolve(object.data?.['root-cert.pem'] ?? ''));
  await writeFile(join(folder, 'root.pem'), await published.promise);
  await maps.close();
  await token('ambit-node-agent/agent-1/u1');
  client = createIssuanceClient({ log }, settings(ca.port));
});

after(async () => {
  client.close();
  await ca.close();
  await rm(folder, { recursive: true });
});

describe('the CA', () => {
  test('gives a node agent the identity of a pod on its node', async () => {
    const { csrPem } = await makeCsr(WEB);
    const { chain } = await client.issue({ identity: WEB, csrPem, ttlSeconds: 3600 });
    const leaf = new X509Certificate(chain[0]!);
    assert.equal(leaf.subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/web');
    assert.ok(leaf.verify(new X509Certificate(chain.at(-1)!).publicKey));
    assert.ok(lines.some(({ message }) => message === 'Issued a certificate'));
  });

  test('gives everybody its own identity', async () => {
    const { csrPem } = await makeCsr(CA);
    const { chain } = await client.issue({ csrPem, ttlSeconds: 0 });
    assert.equal(
      new X509Certificate(chain[0]!).subjectAltName,
      'URI:spiffe://cluster.local/ns/ambit-system/sa/ambit-node-agent',
    );
  });

  test('refuses the identity of a pod on another node, and the log says why', async () => {
    const cart = parseIdentity('spiffe://cluster.local/ns/shop/sa/cart');
    const { csrPem } = await makeCsr(cart);
    await assert.rejects(
      client.issue({ identity: cart, csrPem, ttlSeconds: 0 }),
      /UNAUTHENTICATED: Cannot issue a certificate for spiffe:\S+cart to ambit-system\/ambit-node-agent: no running pod of that identity is on node n1/,
    );
    assert.equal(lines.at(-1)?.reason, 'NoSuchPodOnNode');
  });

  test('gives it once the pod has come to the node', async () => {
    const cart = parseIdentity('spiffe://cluster.local/ns/shop/sa/cart');
    await kube.create(PODS, placed('shop', 'cart-2', 'u4', 'cart', 'n1'));
    const { csrPem } = await makeCsr(cart);
    const { chain } = await client.issue({ identity: cart, csrPem, ttlSeconds: 0 });
    assert.equal(chain.length, 2);
  });

  test('refuses an expired token, read anew for each request', async () => {
    await token('expired/agent-1/u1');
    const { csrPem } = await makeCsr(WEB);
    await assert.rejects(
      client.issue({ identity: WEB, csrPem, ttlSeconds: 0 }),
      /UNAUTHENTICATED: Cannot tell who asks for a certificate: token has expired/,
    );
    await token('ambit-node-agent/agent-1/u1');
    await client.issue({ identity: WEB, csrPem, ttlSeconds: 0 });
  });

  test('refuses a bad CSR and a lifetime above the limit as the request’s fault', async () => {
    await assert.rejects(
      client.issue({ identity: WEB, csrPem: 'x', ttlSeconds: 0 }),
      /INVALID_ARGUMENT: .*CSR cannot be read/,
    );
    const { csrPem } = await makeCsr(WEB);
    await assert.rejects(
      client.issue({ identity: WEB, csrPem, ttlSeconds: 1e9 }),
      /INVALID_ARGUMENT: .*the most is 7776000 s/,
    );
  });

  test('is not believed by a client that expects another identity', async () => {
    const other = parseIdentity('spiffe://cluster.local/ns/ambit-system/sa/impostor');
    const wary = createIssuanceClient(
      { log: createLog({ component: 't', write() {} }) },
      settings(ca.port, other),
    );
    const { csrPem } = await makeCsr(WEB);
    await assert.rejects(
      wary.issue({ csrPem, ttlSeconds: 0 }),
      /UNAVAILABLE: .*expected spiffe:\S+impostor/,
    );
    wary.close();
  });

  test('says Unavailable while Kubernetes cannot be asked, and serves on after', async () => {
    const { csrPem } = await makeCsr(WEB);
    kube.breakDown();
    await assert.rejects(
      client.issue({ identity: WEB, csrPem, ttlSeconds: 0 }),
      /UNAVAILABLE: .*cannot ask Kubernetes/,
    );
    kube.restore();
    await client.issue({ identity: WEB, csrPem, ttlSeconds: 0 });
  });

  test('refuses an ImpersonatedIdentity that is none, and a call without a token', async () => {
    const root = (await kube.get<ConfigMap>(CONFIG_MAPS, 'ambit-ca-root-cert', 'ambit-system'))
      ?.data?.['root-cert.pem'];
    const foreign = new Client(
      `127.0.0.1:${ca.port}`,
      credentials.createSsl(Buffer.from(root ?? ''), null, null, {
        // a client of the reference checks the DNS name it dialled
        checkServerIdentity: (_, { subjectaltname }) =>
          subjectaltname?.includes('DNS:ambit-ca.ambit-system.svc')
            ? undefined
            : new Error('no name'),
      }),
    );
    const call = (metadata: Metadata, impersonatedIdentity: string | undefined) =>
      new Promise<number>((resolve) => {
        const { path, requestSerialize, responseDeserialize } = CREATE_CERTIFICATE;
        const request = { csr: 'x', validitySeconds: 0, impersonatedIdentity };
        foreign.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          (error) => resolve(error?.code ?? status.OK),
        );
      });
    assert.equal(await call(new Metadata(), undefined), status.UNAUTHENTICATED);
    const agent = new Metadata();
    agent.set('authorization', 'Bearer ambit-node-agent/agent-1/u1');
    assert.equal(await call(agent, 'spiffe://what'), status.INVALID_ARGUMENT);
    foreign.close();
  });

  test('is believed by what discovery told, when the mounted root is behind, or says the same twice', async () => {
    const root = await readFile(join(folder, 'root.pem'), 'utf8');
    const behind = join(folder, 'behind.pem');
    await writeFile(behind, (await createTestCa()).rootPem);
    const { csrPem } = await makeCsr(WEB);
    const log = createLog({ component: 't', write() {} });
    const ask = async (more: readonly string[]): Promise<number> => {
      const asking = { ...settings(ca.port), rootCertFile: behind, moreRoots: () => more };
      const one = createIssuanceClient({ log }, asking);
      try {
        return (await one.issue({ identity: WEB, csrPem, ttlSeconds: 0 })).chain.length;
      } finally {
        one.close();
      }
    };
    await assert.rejects(ask([]), /UNAVAILABLE/);
    assert.equal(await ask([root, root]), 2);
  });

  test('refuses a message of a megabyte at the door, and serves on', async () => {
    const csrPem = 'A'.repeat(1 << 20);
    await assert.rejects(
      client.issue({ identity: WEB, csrPem, ttlSeconds: 0 }),
      /RESOURCE_EXHAUSTED/,
    );
    const good = await makeCsr(WEB);
    await client.issue({ identity: WEB, csrPem: good.csrPem, ttlSeconds: 0 });
  });

  test('refuses a token of another audience than those configured, and takes each of these', async () => {
    await token('for-istio/agent-1/u1');
    const { csrPem } = await makeCsr(WEB);
    const answer = await client.issue({ csrPem, ttlSeconds: 0 });
    assert.ok(new X509Certificate(answer.chain[0]!).subjectAltName?.endsWith('sa/for-istio'));
    await token('for-others/agent-1/u1');
    await assert.rejects(
      client.issue({ csrPem, ttlSeconds: 0 }),
      /UNAUTHENTICATED: .*not for audience "ambit-ca" or "istio-ca"/,
    );
    await token('ambit-node-agent/agent-1/u1');
  });

  test('has written no key and no token into its log or its metrics', async () => {
    const metrics = await (await fetch(`http://127.0.0.1:${ca.admin.metrics}/metrics`)).text();
    const said = JSON.stringify(lines) + metrics;
    assert.ok(!/PRIVATE KEY|agent-1\/u1/.test(said));
  });

  test('counts what it issued and refused', async () => {
    const text = await (await fetch(`http://127.0.0.1:${ca.admin.metrics}/metrics`)).text();
    assert.match(text, /ambit_ca_certificates_issued_total [1-9]/);
    assert.match(text, /ambit_ca_requests_refused_total\{reason="NoSuchPodOnNode"\} 1/);
    assert.equal((await fetch(`http://127.0.0.1:${ca.admin.ready}/healthz/ready`)).status, 200);
  });
});
