// Who may open a tunnel to an enrolled pod, and who may have which certificate: asked by peers that are no node agents.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { type Identity, parseIdentity } from '../../mesh/identity.ts';
import { makeCsr } from '../../runtime/csr.ts';
import { entryPath } from '../../runtime/entry.ts';
import { createIssuanceClient, type IssuanceClient } from '../../runtime/issuance-client.ts';
import type { ConfigMap, Pod, Secret } from '../../runtime/kubernetes/objects.ts';
import {
  CONFIG_MAPS,
  NAMESPACES,
  PODS,
  SECRETS,
  SERVICE_ACCOUNTS,
} from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { createTestCa, type TestCa } from '../../tunnel/test-ca.ts';
import { MODE, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { endPod, openEchoes, startPod } from '../support/traffic.ts';
import type { Attempt, Outcome } from '../support/tunnel-client/main.ts';

const GUARDED = 'guarded';
const OUTSIDE = 'outside';
const PEER = { namespace: OUTSIDE, name: 'peer' };
const SYSTEM = 'ambit-system';
const AGENT = 'ambit-node-agent';
const STRANGER = 'spiffe://cluster.local/ns/outside/sa/default';

sandboxSuite('who is believed', (sandbox) => {
  let server: Pod;
  before(async () => {
    await openEchoes(sandbox(), GUARDED, { [MODE]: 'ambient' });
    await sandbox().client.create(NAMESPACES, { metadata: { name: OUTSIDE } });
    await startPod(sandbox(), { ...PEER, image: 'echo' });
    [server] = (await redirectionOfAll(sandbox(), GUARDED, 'enabled')) as [Pod];
  });

  describe('a tunnel to an enrolled pod', () => {
    const open = async (from: TestCa | undefined, identity = STRANGER): Promise<Outcome> => {
      const svid = await from?.svid(identity);
      return attempt(sandbox(), {
        host: server.status?.podIP ?? '',
        authority: `${server.status?.podIP}:8080`,
        request: 'GET /proof HTTP/1.0\r\n\r\n',
        ...(svid === undefined ? {} : { certificate: svid }),
      });
    };
    const refused = (outcome: Outcome): void =>
      assert.ok(
        'refused' in outcome && !outcome.refused.startsWith('nothing'),
        JSON.stringify(outcome),
      );

    test('with a certificate of the mesh it is opened, and leads to the application', async () => {
      const outcome = await open(await meshRoot(sandbox()));
      assert.ok('status' in outcome, JSON.stringify(outcome));
      assert.equal(outcome.status, 200);
      assert.match(outcome.answer, /^HTTP\/1\.1 200 /);
      assert.ok(outcome.answer.includes(`"pod":"${server.metadata.name}"`), outcome.answer);
      assert.ok(outcome.serverName.includes(`spiffe://cluster.local/ns/${GUARDED}/sa/default`));
    });

    /** The agent of the pod says why, once for each. */
    const logged = async (why: RegExp): Promise<string> => {
      const { metadata } = await agentOn(sandbox(), server.spec.nodeName!);
      const agent = { namespace: SYSTEM, name: metadata.name! };
      return sandbox().logLine(agent, (line) =>
        line.includes('"direction":"inbound"') && why.test(line) ? line : undefined,
      );
    };

    test('without a certificate it is refused', async () => {
      refused(await open(undefined));
      await logged(/peer did not return a certificate/);
    });

    test('with a certificate of another CA it is refused', async () => {
      refused(await open(await createTestCa()));
      await logged(/Cannot accept a tunnel: UNABLE_TO_|Cannot accept a tunnel: CERT_/);
    });

    test('with a certificate of another trust domain it is refused, though our root signed it', async () => {
      refused(await open(await meshRoot(sandbox()), 'spiffe://elsewhere/ns/outside/sa/default'));
      await logged(/names spiffe:\/\/elsewhere\/\S+, expected .* trust domain cluster\.local/);
    });

    test('for an address that is not the pod it is answered with 400', async () => {
      const certificate = await (await meshRoot(sandbox())).svid(STRANGER);
      const outcome = await attempt(sandbox(), {
        host: server.status?.podIP ?? '',
        authority: '10.9.9.9:8080',
        request: '',
        certificate,
      });
      assert.ok('status' in outcome, JSON.stringify(outcome));
      assert.equal(outcome.status, 400);
    });
  });

  describe('a certificate', () => {
    const identity = parseIdentity(`spiffe://cluster.local/ns/${GUARDED}/sa/apart`);
    let [here, there] = ['', ''];
    let desk: Desk;
    before(async () => {
      [here = '', there = ''] = await sandbox().nodes();
      await sandbox().client.create(SERVICE_ACCOUNTS, {
        metadata: { name: 'apart', namespace: GUARDED },
      });
      await startPod(sandbox(), {
        namespace: GUARDED,
        name: 'apart',
        image: 'echo',
        node: there,
        account: 'apart',
      });
      desk = await openDesk(sandbox());
    });
    after(() => desk?.close());

    const tokenOf = async (node: string, audience = 'ambit-ca'): Promise<string> => {
      const { metadata } = await agentOn(sandbox(), node);
      return tokenFor(sandbox(), { namespace: SYSTEM, account: AGENT, audience, pod: metadata });
    };

    test('is issued to the agent of the node on which a pod of that identity runs', async () => {
      const { chain } = await desk.ask(await tokenOf(there), identity);
      assert.ok(chain.length >= 2);
    });

    test('is refused to the agent of another node', async () => {
      await assert.rejects(
        desk.ask(await tokenOf(here), identity),
        new RegExp(
          `UNAUTHENTICATED: .*/sa/apart to ${SYSTEM}/${AGENT}: no running pod .* is on node ${here}`,
        ),
      );
    });

    test('of somebody else is refused to whoever is no node agent', async () => {
      const token = await tokenFor(sandbox(), { namespace: GUARDED, account: 'default' });
      await assert.rejects(
        desk.ask(token, identity),
        /UNAUTHENTICATED: .* to guarded\/default: it is not a trusted node account/,
      );
    });

    test('is refused for a token of another audience', async () => {
      await assert.rejects(
        desk.ask(await tokenOf(there, 'somebody-else'), identity),
        /UNAUTHENTICATED: Cannot tell who asks for a certificate: .*audience/,
      );
    });

    test('is refused for a token that ended with its pod', async () => {
      const { metadata } = await startPod(sandbox(), {
        namespace: GUARDED,
        name: 'passing',
        image: 'echo',
      });
      const bound = { namespace: GUARDED, account: 'default', pod: metadata };
      const token = await tokenFor(sandbox(), bound);
      // another one: an API server may believe for some seconds more what it has just believed
      await desk.ask(await tokenFor(sandbox(), bound));
      await endPod(sandbox(), GUARDED, 'passing');
      await assert.rejects(
        desk.ask(token),
        /UNAUTHENTICATED: Cannot tell who asks for a certificate: .*(deleted|invalid|expired)/,
      );
    });

    test('is refused for something that is no token', async () => {
      await assert.rejects(
        desk.ask('not.a.token', identity),
        /UNAUTHENTICATED: Cannot tell who asks for a certificate: /,
      );
    });
  });
});

async function attempt(sandbox: Sandbox, what: Attempt): Promise<Outcome> {
  const program = [process.execPath, entryPath('test/support/tunnel-client/main')];
  const { stdout, stderr } = await sandbox.exec(PEER, program, JSON.stringify(what));
  if (stdout === '') throw new Error(`The peer said nothing: ${stderr}`);
  return JSON.parse(stdout) as Outcome;
}

/** The mesh's own root and its key, as only the CA should ever have them. */
async function meshRoot({ client }: Sandbox): Promise<TestCa> {
  const secret = await client.get<Secret>(SECRETS, 'ambit-ca-root', SYSTEM);
  const part = (name: string): string =>
    Buffer.from(secret?.data?.[name] ?? '', 'base64').toString('utf8');
  return createTestCa({ certificatePem: part('tls.crt'), keyPem: part('tls.key') });
}

async function agentOn({ client }: Sandbox, node: string): Promise<Pod> {
  const labelSelector = `app.kubernetes.io/name=${AGENT}`;
  const { items } = await client.list<Pod>(PODS, { namespace: SYSTEM, labelSelector });
  return items.find(({ spec }) => spec.nodeName === node)!;
}

async function tokenFor(
  { client }: Sandbox,
  whose: {
    readonly namespace: string;
    readonly account: string;
    readonly audience?: string;
    readonly pod?: { readonly name?: string; readonly uid?: string };
  },
): Promise<string> {
  const { namespace, account, audience = 'ambit-ca', pod } = whose;
  const bound =
    pod === undefined
      ? {}
      : { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod.name, uid: pod.uid } };
  const spec = { audiences: [audience], ...bound };
  const made = await client.subcreate<{ status: { token: string } }>(
    SERVICE_ACCOUNTS,
    account,
    namespace,
    'token',
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
  );
  return made.status.token;
}

/** The CA's door, reached by port-forward, with the client that agents use. */
type Desk = {
  ask(token: string, identity?: Identity): Promise<{ readonly chain: readonly string[] }>;
  close(): Promise<void>;
};

async function openDesk(sandbox: Sandbox): Promise<Desk> {
  const labelSelector = 'app.kubernetes.io/name=ambit-ca';
  const { items } = await sandbox.client.list<Pod>(PODS, { namespace: SYSTEM, labelSelector });
  const [ca] = items;
  const door = await forwarded(sandbox, ca!.metadata.name!, 15012);
  const files = mkdtempSync(join(tmpdir(), 'ambit-desk-'));
  const root = await sandbox.client.get<ConfigMap>(CONFIG_MAPS, 'ambit-ca-root-cert', SYSTEM);
  const tokenFile = join(files, 'token');
  const rootCertFile = join(files, 'root.pem');
  writeFileSync(rootCertFile, root?.data?.['root-cert.pem'] ?? '');
  const issuance: IssuanceClient = createIssuanceClient(
    { log: silentLog },
    {
      address: `127.0.0.1:${(door.address() as AddressInfo).port}`,
      rootCertFile,
      tokenFile,
      serverIdentity: parseIdentity(`spiffe://cluster.local/ns/${SYSTEM}/sa/ambit-ca`),
      clusterId: 'Kubernetes',
    },
  );
  return {
    async ask(token, identity) {
      writeFileSync(tokenFile, token);
      const { csrPem } = await makeCsr(identity ?? parseIdentity(STRANGER));
      const order = { csrPem, ttlSeconds: 0 };
      return issuance.issue(identity === undefined ? order : { ...order, identity });
    },
    async close() {
      issuance.close();
      await new Promise((resolve) => door.close(resolve));
      rmSync(files, { recursive: true, force: true });
    },
  };
}

/** A port of this machine that leads to a port of a pod of ours. */
function forwarded({ client }: Sandbox, pod: string, port: number): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    client.portForward(SYSTEM, pod, port).then(
      (stream) => {
        const ended = (): void => {
          // either end may break it off: the caller sees the socket close
          socket.destroy();
        };
        pipeline(socket, stream, ended);
        pipeline(stream, socket, ended);
      },
      () => socket.destroy(),
    );
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
