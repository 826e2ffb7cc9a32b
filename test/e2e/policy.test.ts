// Policies as their authors see them: refused with a reason, told in the status whether they are in force, and then in
// force: for new connections, for open ones, after a change of labels.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Condition, KubeObject, Pod } from '../../runtime/kubernetes/objects.ts';
import {
  AUTHORIZATION_POLICIES,
  NAMESPACES,
  PEER_AUTHENTICATIONS,
  PODS,
  type Resource,
} from '../../runtime/kubernetes/resources.ts';
import { labelNamespace, redirectionOfAll } from '../support/enrolled.ts';
import { type Sandbox, sandboxSuite } from '../support/sandbox.ts';
import { call, openEchoes, startPod } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const NAMESPACE = 'guarded';
const ECHO = `http://echo.${NAMESPACE}:8080/`;
const FRIEND = { namespace: NAMESPACE, name: 'friend' };
const STRANGER = { namespace: 'outside', name: 'stranger' };
// from the API to the agent and back: a second is what the agent may take, the rest is the way there
const CUT_MS = 5000;

const PLAIN_PASSES = 'in loopback mode nothing stands between a pod and a caller outside the mesh';

type Policy = KubeObject & {
  readonly spec: object;
  readonly status?: { readonly conditions?: readonly Condition[] };
};

/** Opens a connection to the echo, says so, and says when it was ended by somebody else. */
const HOLD = `
const socket = require('node:net').connect(9090, 'echo.${NAMESPACE}');
socket.on('data', () => console.log('OPEN'));
socket.on('error', () => {});
socket.on('close', () => { console.log('CUT', Date.now()); setInterval(() => {}, 1000); });
socket.write('hello\\n');
`;

sandboxSuite('policy', (sandbox) => {
  test('the mesh is there: a friend in it, a stranger outside', async () => {
    await openEchoes(sandbox(), NAMESPACE);
    await labelNamespace(sandbox(), NAMESPACE, 'ambient');
    await startPod(sandbox(), { ...FRIEND, image: 'host', command: ['sleep', '1d'] });
    await sandbox().client.create(NAMESPACES, { metadata: { name: STRANGER.namespace } });
    await startPod(sandbox(), { ...STRANGER, image: 'host', command: ['sleep', '1d'] });
    await redirectionOfAll(sandbox(), NAMESPACE, 'enabled');
    assert.equal((await call(sandbox(), FRIEND, ECHO)).ok, true);
    assert.equal((await call(sandbox(), STRANGER, ECHO)).ok, true);
  });

  test('a policy that makes no sense is refused with the field and the reason', async () => {
    const both = {
      action: 'DENY',
      rules: [{ from: [{ source: { serviceAccounts: ['a'], namespaces: ['b'] } }] }],
    };
    await assert.rejects(apply(sandbox(), AUTHORIZATION_POLICIES, 'senseless', both), (error) => {
      assert.match(
        (error as Error).message,
        /spec\.rules\[0\]\.from\[0\]\.source: .*serviceAccounts cannot be combined/,
      );
      return true;
    });
  });

  test('a DENY cuts the open connection it is about, refuses new ones, and says on how many workloads', async () => {
    const holder = { namespace: NAMESPACE, name: 'holder' };
    await startPod(sandbox(), {
      ...holder,
      image: 'host',
      command: [process.execPath, '-e', HOLD],
    });
    await redirectionOfAll(sandbox(), NAMESPACE, 'enabled');
    await sandbox().logLine(holder, (line) => (line === 'OPEN' ? true : undefined));
    const cut = cutOf(sandbox(), holder);
    const before = Date.now();
    await apply(sandbox(), AUTHORIZATION_POLICIES, 'nobody', { action: 'DENY', rules: [{}] });
    const took = (await cut) - before;
    assert.ok(took < CUT_MS, `${took} ms`);
    assert.equal((await call(sandbox(), FRIEND, ECHO)).ok, false);
    const [accepted, enforced] = await conditionsOf(sandbox(), AUTHORIZATION_POLICIES, 'nobody');
    assert.deepEqual([accepted?.status, accepted?.reason], ['True', 'Accepted']);
    assert.deepEqual(
      [enforced?.status, enforced?.reason, enforced?.message],
      ['True', 'Enforced', 'Enforced on 4 workloads'],
    );
    await remove(sandbox(), AUTHORIZATION_POLICIES, 'nobody');
    await until(
      () => call(sandbox(), FRIEND, ECHO),
      ({ ok }) => ok,
    );
  });

  test('a label that attaches a policy cuts the open connection too', async () => {
    const holder = { namespace: NAMESPACE, name: 'labelled-holder' };
    const selector = { matchLabels: { locked: 'yes' } };
    await apply(sandbox(), AUTHORIZATION_POLICIES, 'locked', {
      selector,
      action: 'DENY',
      rules: [{ to: [{ operation: { ports: ['9090'] } }] }],
    });
    const [, unattached] = await conditionsOf(sandbox(), AUTHORIZATION_POLICIES, 'locked');
    assert.deepEqual([unattached?.status, unattached?.reason], ['False', 'NoWorkloads']);
    await startPod(sandbox(), {
      ...holder,
      image: 'host',
      command: [process.execPath, '-e', HOLD],
    });
    await redirectionOfAll(sandbox(), NAMESPACE, 'enabled');
    await sandbox().logLine(holder, (line) => (line === 'OPEN' ? true : undefined));
    const cut = cutOf(sandbox(), holder);
    const before = Date.now();
    const { items } = await sandbox().client.list<Pod>(PODS, {
      namespace: NAMESPACE,
      labelSelector: 'app=echo',
    });
    for (const { metadata } of items) {
      await sandbox().client.patch(PODS, metadata.name ?? '', NAMESPACE, {
        metadata: { labels: { locked: 'yes' } },
      });
    }
    const took = (await cut) - before;
    assert.ok(took < CUT_MS, `${took} ms`);
    assert.equal((await call(sandbox(), FRIEND, ECHO)).ok, true, 'another port stays open');
    await remove(sandbox(), AUTHORIZATION_POLICIES, 'locked');
  });

  test('an ALLOW with a part for waypoints allows nothing, and says so', async () => {
    await apply(sandbox(), AUTHORIZATION_POLICIES, 'getters', {
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    });
    await until(
      () => call(sandbox(), FRIEND, ECHO),
      ({ ok }) => !ok,
    );
    const [accepted, enforced] = await conditionsOf(sandbox(), AUTHORIZATION_POLICIES, 'getters');
    assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'UnsupportedValue']);
    assert.match(accepted?.message ?? '', /spec\.rules\[0\]\.to\[0\]\.operation\.methods/);
    assert.equal(enforced?.reason, 'PartiallyEnforced');
    const listed = await sandbox().kubectl(['get', 'ap', 'getters', '-n', NAMESPACE]);
    assert.match(listed, /getters\s+ALLOW\s+True\s+PartiallyEnforced/);
    await remove(sandbox(), AUTHORIZATION_POLICIES, 'getters');
    await until(
      () => call(sandbox(), FRIEND, ECHO),
      ({ ok }) => ok,
    );
  });

  test('an ALLOW for one account lets it in, and nobody else', async (context) => {
    if (sandbox().mode === 'loopback') {
      context.skip(PLAIN_PASSES);
      return;
    }
    const principals = [`cluster.local/ns/${NAMESPACE}/sa/default`];
    await apply(sandbox(), AUTHORIZATION_POLICIES, 'friends', {
      rules: [{ from: [{ source: { principals } }] }],
    });
    await until(
      () => call(sandbox(), STRANGER, ECHO),
      ({ ok }) => !ok,
    );
    assert.equal((await call(sandbox(), FRIEND, ECHO)).ok, true);
    await remove(sandbox(), AUTHORIZATION_POLICIES, 'friends');
    await until(
      () => call(sandbox(), STRANGER, ECHO),
      ({ ok }) => ok,
    );
  });

  test('STRICT keeps plain text out, but for a port that says otherwise', async (context) => {
    if (sandbox().mode === 'loopback') {
      context.skip(PLAIN_PASSES);
      return;
    }
    await apply(sandbox(), PEER_AUTHENTICATIONS, 'default', { mtls: { mode: 'STRICT' } });
    await until(
      () => call(sandbox(), STRANGER, ECHO),
      ({ ok }) => !ok,
    );
    assert.equal((await call(sandbox(), FRIEND, ECHO)).ok, true);
    const [, enforced] = await conditionsOf(sandbox(), PEER_AUTHENTICATIONS, 'default');
    assert.match(enforced?.message ?? '', /^Mode STRICT holds for \d workloads$/);
    await apply(sandbox(), PEER_AUTHENTICATIONS, 'port', {
      selector: { matchLabels: { app: 'echo' } },
      portLevelMtls: { 8080: { mode: 'PERMISSIVE' } },
    });
    await until(
      () => call(sandbox(), STRANGER, ECHO),
      ({ ok }) => ok,
    );
    const line = `tcp://echo.${NAMESPACE}:9090/`;
    assert.equal((await call(sandbox(), STRANGER, line)).ok, false);
  });
});

function apply({ client }: Sandbox, resource: Resource, name: string, spec: object) {
  return client.create<Policy>(resource, { metadata: { name, namespace: NAMESPACE }, spec });
}

function remove({ client }: Sandbox, resource: Resource, name: string): Promise<void> {
  return client.delete(resource, name, NAMESPACE);
}

/** Accepted and Enforced, once they are of the object as it is. */
async function conditionsOf(
  { client }: Sandbox,
  resource: Resource,
  name: string,
): Promise<readonly Condition[]> {
  const isTold = ({ metadata, status }: Policy): boolean =>
    metadata.name === name &&
    (status?.conditions ?? []).length === 2 &&
    (status?.conditions ?? []).every((one) => one.observedGeneration === metadata.generation);
  const found = await waitFor<Policy>(client, resource, { namespace: NAMESPACE }, (all) =>
    all.some(isTold),
  );
  return found.find(isTold)?.status?.conditions ?? [];
}

/** When the holder's connection was ended, by the clock of this machine. */
function cutOf(sandbox: Sandbox, holder: { namespace: string; name: string }): Promise<number> {
  return sandbox.logLine(holder, (line) => {
    const at = /^CUT (\d+)$/.exec(line)?.[1];
    return at === undefined ? undefined : Number(at);
  });
}

/** Looks again until it holds: policy is a moment on its way, and nothing but a connection shows that it arrived. */
async function until<T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return;
    if (performance.now() > end) throw new Error(`It stayed: ${JSON.stringify(seen)}`);
  }
}
