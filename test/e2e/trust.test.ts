// The root under rotation, as an operator does it on a mesh under load: one command, a CA that dies in the middle of it,
// and a signer of the operator's own. In none of them a connection is lost.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { intermediateOf } from '../../ca/test-replicas.ts';
import { getThroughPod } from '../../cli/cluster/pod-http.ts';
import type { ConfigMap, Pod, Secret } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, PODS, SECRETS } from '../../runtime/kubernetes/resources.ts';
import { splitPem } from '../../runtime/trust.ts';
import {
  ROOT_KEY,
  ROOT_MAP,
  ROTATION_MAP,
  type RotationStatus,
  readRotationStatus,
  STATUS_KEY,
} from '../../wire/rotation.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { nothingLost, startLoad, tallyOf } from '../support/steady-load.ts';
import { waitFor } from '../support/wait-for.ts';

const STEADY = 'steady';
const SYSTEM = 'ambit-system';

sandboxSuite('the root', (sandbox) => {
  before(() => startLoad(sandbox(), STEADY));

  test('is rotated by one command without a lost connection, and the old one is believed no more', async () => {
    const [old = ''] = await roots(sandbox());
    const since = await tallyOf(sandbox(), STEADY);
    const { code, stdout, stderr } = await sandbox().ambit('ca', 'rotate', '-o', 'json');
    assert.equal(code, 0, stderr);
    const end = JSON.parse(stdout) as RotationStatus;
    assert.equal(end.phase, 'steady');
    assert.match(stderr, /1\/2 distributing the new root/);
    assert.match(stderr, /2\/2 renewing certificates/);
    const now = await roots(sandbox());
    assert.equal(now.length, 1);
    assert.notEqual(now[0], old);
    await heldUnder(sandbox(), now[0] ?? '', [old]);
    await nothingLost(sandbox(), STEADY, since);
  });

  test('is rotated to the end though the CA is killed in each phase, and nothing is lost', async () => {
    const [old = ''] = await roots(sandbox());
    const since = await tallyOf(sandbox(), STEADY);
    const { code } = await sandbox().ambit('ca', 'rotate', '--no-wait');
    assert.equal(code, 0);
    for (const phase of ['distributing', 'renewing'] as const) {
      await statusWhen(sandbox(), (status) => status.phase === phase);
      await killCa(sandbox());
    }
    await statusWhen(sandbox(), (status) => status.phase === 'steady');
    const [now = ''] = await roots(sandbox());
    assert.notEqual(now, old);
    await heldUnder(sandbox(), now, [old]);
    await nothingLost(sandbox(), STEADY, since);
  });

  test('gives way to a signer that the operator plugs in, with its intermediate in every chain', async () => {
    const [old = ''] = await roots(sandbox());
    const since = await tallyOf(sandbox(), STEADY);
    const signer = await intermediateOf(undefined, { now: Date.now() });
    const data = {
      'ca-cert.pem': signer.chain,
      'ca-key.pem': signer.key,
      'cert-chain.pem': signer.chain + signer.roots,
      'root-cert.pem': signer.roots,
    };
    await sandbox().client.create<Secret>(SECRETS, {
      metadata: { name: 'cacerts', namespace: SYSTEM },
      data: Object.fromEntries(
        Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
      ),
    });
    const end = await statusWhen(
      sandbox(),
      ({ phase, signer: signs }) => phase === 'steady' && signs.source === 'plugged',
    );
    assert.equal(end.problem, undefined);
    assert.deepEqual(await roots(sandbox()), splitPem(signer.roots));
    await heldUnder(sandbox(), signer.chain, [old]);
    await nothingLost(sandbox(), STEADY, since);
    const refused = await sandbox().ambit('ca', 'rotate');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Cannot rotate the root: what signs is plugged in/);
  });
});

async function roots({ client }: Sandbox): Promise<string[]> {
  const map = await client.get<ConfigMap>(CONFIG_MAPS, ROOT_MAP, SYSTEM);
  return splitPem(map?.data?.[ROOT_KEY] ?? '');
}

function statusIn(maps: readonly ConfigMap[]): RotationStatus | undefined {
  const map = maps.find(({ metadata }) => metadata.name === ROTATION_MAP);
  return readRotationStatus(map?.data?.[STATUS_KEY]);
}

async function statusWhen(
  { client }: Sandbox,
  holds: (status: RotationStatus) => boolean,
): Promise<RotationStatus> {
  const maps = await waitFor<ConfigMap>(client, CONFIG_MAPS, { namespace: SYSTEM }, (all) => {
    const status = statusIn(all);
    return status !== undefined && holds(status);
  });
  return statusIn(maps)!;
}

/** Deleted without grace, as by a node that died; a new one takes its place. */
async function killCa({ client }: Sandbox): Promise<void> {
  const where = { namespace: SYSTEM, labelSelector: 'app.kubernetes.io/name=ambit-ca' };
  const { items } = await client.list<Pod>(PODS, where);
  for (const { metadata } of items) {
    await client.delete(PODS, metadata.name ?? '', SYSTEM, { gracePeriodSeconds: 0 });
  }
}

/** The dump holds each PEM text in base64. */
function textOf({ pem }: { readonly pem: string }): string {
  return Buffer.from(pem, 'base64').toString().trim();
}

type Dump = {
  readonly certificates: readonly {
    readonly certChain: readonly { readonly pem: string }[];
    readonly rootCerts: readonly { readonly pem: string }[];
  }[];
};

const HEARD_TIMEOUT_MS = 30_000;

/** Every agent holds certificates that `issuer` signed, and believes none of `gone`: they hear of it a moment later. */
async function heldUnder(sandbox: Sandbox, issuer: string, gone: readonly string[]): Promise<void> {
  for (const end = performance.now() + HEARD_TIMEOUT_MS; ; ) {
    try {
      await heldNow(sandbox, issuer, gone);
      return;
    } catch (error) {
      if (!(error instanceof assert.AssertionError) || performance.now() > end) throw error;
    }
  }
}

async function heldNow(
  { client }: Sandbox,
  issuer: string,
  gone: readonly string[],
): Promise<void> {
  const where = { namespace: SYSTEM, labelSelector: 'app.kubernetes.io/name=ambit-node-agent' };
  const { items } = await client.list<Pod>(PODS, where);
  const { publicKey } = new X509Certificate(issuer);
  let seen = 0;
  for (const { metadata } of items) {
    const at = { namespace: SYSTEM, pod: metadata.name ?? '', port: 15000, path: '/config_dump' };
    const { certificates } = JSON.parse(await getThroughPod(client, at)) as Dump;
    for (const { certChain, rootCerts } of certificates) {
      const [leaf = ''] = certChain.map(textOf);
      assert.ok(new X509Certificate(leaf).verify(publicKey));
      const believed = rootCerts.map(textOf);
      for (const root of gone) assert.ok(!believed.includes(root.trim()));
      seen++;
    }
  }
  assert.ok(seen > 0, 'no agent holds any certificate');
}
