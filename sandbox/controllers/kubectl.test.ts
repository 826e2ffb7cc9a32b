// The controllers as people meet them: the sandbox's API server, every controller, and the machine's kubectl.
// Pods are played by fake kubelets, so that this is about objects only.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../runtime/clock.ts';
import { connectKubernetes, type KubeClient } from '../../runtime/kubernetes/client.ts';
import {
  DAEMON_SETS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  NAMESPACES,
  PODS,
  REPLICA_SETS,
} from '../../runtime/kubernetes/resources.ts';
import { silentLog } from '../../runtime/log.ts';
import { startFakeKubelets } from '../../test/support/fake-kubelets.ts';
import { type Kubectl, kubectlFor, kubectlMissing } from '../../test/support/kubectl.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { startApiServer } from '../apiserver/start.ts';
import type { EndpointSlice } from './objects.ts';
import { startControllers } from './start.ts';

const missing = kubectlMissing();
if (missing !== undefined) process.stderr.write(`SKIPPED ${import.meta.filename}: ${missing}\n`);

describe('controllers under kubectl', { skip: missing ?? false }, () => {
  const open: { close(): Promise<void> }[] = [];
  let kubectl: Kubectl;
  let client: KubeClient;
  let stateDir: string;

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'ambit-controllers-'));
    const parts = { clock: systemClock, log: silentLog };
    const address = { host: '127.0.0.1', port: 0 };
    const api = await startApiServer(parts, {
      listen: [address],
      advertise: [address],
      serviceCidrs: ['10.96.0.0/16'],
      stateDir,
    });
    open.push(api);
    client = await connectKubernetes({ kubeconfig: api.kubeconfigPath });
    open.push(startControllers({ ...parts, client }, { caPem: api.caPem }));
    open.push(await startFakeKubelets(client, ['node-1', 'node-2']));
    kubectl = kubectlFor(api.kubeconfigPath);
  });

  after(async () => {
    for (const part of open.reverse()) await part.close();
    await rm(stateDir, { recursive: true, force: true });
  });

  async function namespace(name: string): Promise<void> {
    await kubectl(['apply', '-f', '-'], JSON.stringify(namespaceOf(name)));
  }

  test('rolls out, waits, restarts, undoes and tells its history', async () => {
    await namespace('rolls');
    const web = ['-n', 'rolls', 'deployment/web'];
    await kubectl(['apply', '-f', '-'], JSON.stringify(deploymentOf('rolls', 'web:1')));
    const done = /deployment "web" successfully rolled out/;
    assert.match(await kubectl(['rollout', 'status', ...web]), done);
    await kubectl(['wait', '--for=condition=Available', '--timeout=30s', ...web]);
    await kubectl(['set', 'image', ...web, 'web=web:2']);
    assert.match(await kubectl(['rollout', 'status', ...web]), done);
    await kubectl(['rollout', 'restart', ...web]);
    assert.match(await kubectl(['rollout', 'status', ...web]), done);
    const history = await kubectl(['rollout', 'history', ...web]);
    assert.deepEqual(history.match(/^\d+/gm), ['1', '2', '3']);
    await kubectl(['rollout', 'undo', '--to-revision=1', ...web]);
    assert.match(await kubectl(['rollout', 'status', ...web]), done);
    const image = '{.spec.template.spec.containers[0].image}';
    assert.equal(await kubectl(['get', ...web, '-o', `jsonpath=${image}`]), 'web:1');
    const ofPods = 'jsonpath={.items[*].spec.nodeName}';
    const nodes = await kubectl(['get', 'pods', '-n', 'rolls', '-o', ofPods]);
    assert.deepEqual(new Set(nodes.split(' ')), new Set(['node-1', 'node-2']));
  });

  test('a rollout that cannot go on says so, and the old pods stay', async () => {
    await namespace('stuck');
    const web = ['-n', 'stuck', 'deployment/web'];
    await kubectl(['apply', '-f', '-'], JSON.stringify(deploymentOf('stuck', 'web:1')));
    await kubectl(['rollout', 'status', ...web]);
    const broken = deploymentOf('stuck', 'web:broken', { progressDeadlineSeconds: 1 });
    await kubectl(['apply', '-f', '-'], JSON.stringify(broken));
    const { code, stderr } = await kubectl.tried(['rollout', 'status', ...web]);
    assert.equal(code, 1);
    assert.match(stderr, /exceeded its progress deadline/);
    const available = '{.status.availableReplicas}';
    assert.ok(Number(await kubectl(['get', ...web, '-o', `jsonpath=${available}`])) >= 2);
  });

  test('scales, and the slices of its service follow', async () => {
    await namespace('scales');
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'scales' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    };
    for (const object of [deploymentOf('scales', 'web:1'), service]) {
      await kubectl(['apply', '-f', '-'], JSON.stringify(object));
    }
    await kubectl(['scale', '-n', 'scales', 'deployment/web', '--replicas=5']);
    await kubectl(['rollout', 'status', '-n', 'scales', 'deployment/web']);
    const count = (size: number) => (slices: readonly EndpointSlice[]) =>
      slices.flatMap((slice) => (slice.endpoints ?? []).filter((one) => one.conditions.ready))
        .length === size;
    const inScales = { namespace: 'scales' };
    await waitFor<EndpointSlice>(client, ENDPOINT_SLICES, inScales, count(5));
    await kubectl(['scale', '-n', 'scales', 'deployment/web', '--replicas=1']);
    const slices = await waitFor<EndpointSlice>(client, ENDPOINT_SLICES, inScales, count(1));
    assert.equal(slices.length, 1);
  });

  test('deletes with its dependents in background and foreground, or without them', async () => {
    await namespace('cascades');
    const inCascades = { namespace: 'cascades' };
    for (const cascade of ['background', 'foreground', 'orphan']) {
      await kubectl(['apply', '-f', '-'], JSON.stringify(deploymentOf('cascades', 'web:1')));
      await kubectl(['rollout', 'status', '-n', 'cascades', 'deployment/web']);
      await kubectl(['delete', '-n', 'cascades', 'deployment/web', `--cascade=${cascade}`]);
      if (cascade === 'background') {
        await waitFor(client, REPLICA_SETS, inCascades, (sets) => sets.length === 0);
        await waitFor(client, PODS, inCascades, (pods) => pods.length === 0);
      }
      const left = cascade === 'orphan' ? 3 : 0;
      assert.equal((await client.list(PODS, inCascades)).items.length, left);
    }
    // and a new owner takes the orphans over instead of making others
    await kubectl(['apply', '-f', '-'], JSON.stringify(deploymentOf('cascades', 'web:1')));
    await kubectl(['rollout', 'status', '-n', 'cascades', 'deployment/web']);
    assert.equal((await client.list(PODS, inCascades)).items.length, 3);
    assert.equal((await client.list(REPLICA_SETS, inCascades)).items.length, 1);
  });

  test('a DaemonSet rolls, tells its history and undoes', async () => {
    await namespace('daemons');
    const agent = ['-n', 'daemons', 'daemonset/agent'];
    const { spec } = deploymentOf('daemons', 'agent:1');
    const set = {
      apiVersion: 'apps/v1',
      kind: DAEMON_SETS.kind,
      metadata: { name: 'agent', namespace: 'daemons' },
      spec: { selector: spec.selector, template: spec.template },
    };
    await kubectl(['apply', '-f', '-'], JSON.stringify(set));
    const done = /daemon set "agent" successfully rolled out/;
    assert.match(await kubectl(['rollout', 'status', ...agent]), done);
    await kubectl(['set', 'image', ...agent, 'web=agent:2']);
    assert.match(await kubectl(['rollout', 'status', ...agent]), done);
    assert.deepEqual((await kubectl(['rollout', 'history', ...agent])).match(/^\d+/gm), ['1', '2']);
    await kubectl(['rollout', 'undo', ...agent]);
    assert.match(await kubectl(['rollout', 'status', ...agent]), done);
    const image = '{.spec.template.spec.containers[0].image}';
    assert.equal(await kubectl(['get', ...agent, '-o', `jsonpath=${image}`]), 'agent:1');
  });

  test('a namespace is furnished when it comes and empty when it goes', async () => {
    await namespace('leaves');
    await kubectl(['apply', '-f', '-'], JSON.stringify(deploymentOf('leaves', 'web:1')));
    await kubectl(['rollout', 'status', '-n', 'leaves', 'deployment/web']);
    await kubectl(['get', '-n', 'leaves', 'serviceaccount/default', 'configmap/kube-root-ca.crt']);
    await kubectl(['delete', 'namespace', 'leaves', '--timeout=30s']);
    assert.equal(await client.get(NAMESPACES, 'leaves'), undefined);
    for (const resource of [PODS, REPLICA_SETS, DEPLOYMENTS]) {
      assert.equal((await client.list(resource, { namespace: 'leaves' })).items.length, 0);
    }
  });
});

function namespaceOf(name: string) {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

function deploymentOf(namespace: string, image: string, spec = {}) {
  const labels = { app: 'web' };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace, labels },
    spec: {
      replicas: 3,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'web', image }] } },
      ...spec,
    },
  };
}
