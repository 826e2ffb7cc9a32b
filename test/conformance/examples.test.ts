// The examples of examples/ do what their pages say: each is applied as it is, looked at, and deleted again, on one cluster.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { before, test } from 'node:test';
import { projectPath } from '../../runtime/entry.ts';
import type { Condition, KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import { findResource, PODS, type Resource } from '../../runtime/kubernetes/resources.ts';
import type { ResultLine } from '../../sandbox/apps/http-client/result.ts';
import { installManifests, readManifests } from '../../sandbox/install.ts';
import type { PodName } from '../support/pod-api.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { waitFor } from '../support/wait-for.ts';
import { expectGateway } from './gateway-status.ts';
import { askAll, type Clients, expectRows, expectShares } from './requests.ts';
import { ALL_IS_WELL } from './route-status.ts';
import { expectStatus } from './routes.ts';

const NAMESPACE = 'examples';
const V1 = { url: 'http://web/', backend: 'web-v1' };
const V2 = { url: 'http://web/', backend: 'web-v2' };

type Policy = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

sandboxSuite('examples', (sandbox) => {
  let clients: Clients;
  before(async () => {
    await installManifests(sandbox().client, [projectPath('examples/base')]);
    await sandbox().rolledOut(NAMESPACE);
    await expectGateway(sandbox(), NAMESPACE, 'waypoint');
    const client = await podOf(sandbox(), 'app=client');
    clients = { sandbox: sandbox(), pods: { client }, usual: 'client', namespace: NAMESPACE };
    await expectRows(clients, [{ url: 'http://web/', backend: 'web-' }]);
  });

  test('canary: nine of ten requests go to v1, one to v2', async () => {
    await using _ = await applied(sandbox(), 'canary');
    await expectShares(clients, { url: 'http://web/' }, { 'web-v1': 0.9, 'web-v2': 0.1 });
  });

  test('ab-test: a header decides', async () => {
    await using _ = await applied(sandbox(), 'ab-test');
    await expectRows(clients, [
      V1,
      { ...V1, headers: { 'x-group': 'a' } },
      { ...V2, headers: { 'X-Group': 'b' } },
    ]);
  });

  test('blue-green: all at once, and back', async () => {
    await using _ = await applied(sandbox(), 'blue-green/blue');
    await expectRows(clients, [V1]);
    await applied(sandbox(), 'blue-green/green');
    await expectRows(clients, [V2]);
    await applied(sandbox(), 'blue-green/blue');
    await expectRows(clients, [V1]);
  });

  test('mirror: v1 answers, v2 hears of it', async () => {
    await using _ = await applied(sandbox(), 'mirror');
    await expectRows(clients, [V1]);
    const path = `/${randomUUID()}`;
    await expectRows(clients, [{ url: `http://web${path}`, backend: 'web-v1' }]);
    const v2 = await podOf(sandbox(), 'version=v2');
    await sandbox().logLine(v2, (line) => (line.includes(path) ? true : undefined));
  });

  test('fault: who asks for trouble gets it, others are late at most', async () => {
    await using _ = await applied(sandbox(), 'fault');
    await expectRows(clients, [
      { url: 'http://web/', backend: 'web-' },
      { url: 'http://web/', headers: { 'x-chaos': 'yes' }, status: 503 },
      { url: 'http://web/', headers: { 'x-chaos': 'no' }, backend: 'web-' },
    ]);
  });

  test('retry: a first try that fails is not noticed', async () => {
    const url = (): string =>
      `http://web/retry?uuid=${randomUUID()}&succeedAfter=1&responseCode=503`;
    const [first] = await ask([url()]);
    assert.deepEqual(statusesOf(first), [503]);
    await using _ = await applied(sandbox(), 'retry');
    await eventually(async () => statusesOf((await ask([url()]))[0])[0] === 200);
    const all = await ask(Array.from({ length: 5 }, url));
    assert.deepEqual(all.flatMap(statusesOf), [200, 200, 200, 200, 200]);
  });

  test('circuit-breaker: two at a time, the others are refused at once', async () => {
    await using _ = await applied(sandbox(), 'circuit-breaker');
    await eventually(async () => {
      const [results = []] = await askAll(clients, 'client', [
        ['http://web/?delay=500ms', '--count=10'],
      ]);
      const statuses = statusesOf(results);
      const served = statuses.filter((status) => status === 200).length;
      return served >= 2 && statuses.filter((status) => status === 503).length === 10 - served;
    });
    await expectRows(clients, [{ url: 'http://web/status/200', backend: 'web-' }]);
  });

  test('rate-limit: ten a minute for each user', async () => {
    await using _ = await applied(sandbox(), 'rate-limit');
    await eventually(async () => {
      const user = randomUUID();
      const [results = []] = await askAll(clients, 'client', [
        ['http://web/', '-H', `x-user: ${user}`, '--count=15'],
      ]);
      const served = statusesOf(results).filter((status) => status === 200).length;
      // one more is let in each six seconds
      return (
        (served === 10 || served === 11) &&
        statusesOf(results).every((status) => status === 200 || status === 429)
      );
    });
    await expectRows(clients, [
      { url: 'http://web/', headers: { 'x-user': 'bob' }, backend: 'web-' },
    ]);
  });

  test('jwt: nobody without a token, nobody with a bad one', async () => {
    await using _ = await applied(sandbox(), 'jwt');
    const token = (await readFile(projectPath('examples/jwt/token.txt'), 'utf8')).trim();
    const [header = '', payload = '', signature = ''] = token.split('.');
    const forged = `${header}.${payload}.${[...signature].toReversed().join('')}`;
    await expectRows(clients, [
      { url: 'http://web/', status: 403 },
      { url: 'http://web/', headers: { Authorization: `Bearer ${forged}` }, status: 401 },
      { url: 'http://web/', headers: { Authorization: `Bearer ${token}` }, backend: 'web-' },
    ]);
  });

  /** One request each. */
  function ask(urls: readonly string[]): Promise<ResultLine[][]> {
    return askAll(
      clients,
      'client',
      urls.map((url) => [url]),
    );
  }
});

/** Applies it and waits until its status says that it holds; disposing deletes it. */
async function applied(sandbox: Sandbox, example: string): Promise<AsyncDisposable> {
  const path = projectPath(`examples/${example}`);
  await installManifests(sandbox.client, [path]);
  const objects = (await readManifests(path)).map(({ object }) => object);
  for (const { apiVersion = '', kind = '', metadata } of objects) {
    const resource = findResource(apiVersion, kind);
    assert.ok(resource !== undefined, `${apiVersion} ${kind}`);
    const name = metadata.name ?? '';
    if (kind === 'HTTPRoute') {
      await expectStatus(sandbox, { resource, namespace: NAMESPACE, name }, ALL_IS_WELL);
    } else await accepted(sandbox, resource, name);
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const { apiVersion = '', kind = '', metadata } of objects) {
        const resource = findResource(apiVersion, kind);
        if (resource !== undefined) {
          await sandbox.client.delete(resource, metadata.name ?? '', NAMESPACE);
        }
      }
    },
  };
}

/** A policy of ours says so in its conditions. */
async function accepted({ client }: Sandbox, resource: Resource, name: string): Promise<void> {
  await waitFor<Policy>(client, resource, { namespace: NAMESPACE }, (all) =>
    all.some(
      ({ metadata, status }) =>
        metadata.name === name &&
        (status?.conditions ?? []).some(
          (one) =>
            one.type === 'Accepted' &&
            one.status === 'True' &&
            one.observedGeneration === metadata.generation,
        ),
    ),
  );
}

/** Looks again until it holds: what a status says is a moment ahead of what waypoints do. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('It was not so within 30 s');
  }
}

function statusesOf(results: readonly ResultLine[] = []): number[] {
  return results.map((result) => (result.ok ? result.status : -1));
}

async function podOf({ client }: Sandbox, labelSelector: string): Promise<PodName> {
  const { items } = await client.list<Pod>(PODS, { namespace: NAMESPACE, labelSelector });
  const [pod] = items;
  if (pod === undefined) throw new Error(`No pod in ${NAMESPACE} has the labels ${labelSelector}`);
  return { namespace: NAMESPACE, name: pod.metadata.name ?? '' };
}
