// The kubelet where the kernel allows no namespaces: no mounts, no processes with an address but Node.js.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { ConfigMap } from '../../runtime/kubernetes/objects.ts';
import { CONFIG_MAPS, PODS } from '../../runtime/kubernetes/resources.ts';
import { findStrays } from './container/processes.ts';
import type { Pod, ProbeSpec } from './pod/pod-spec.ts';
import { isReady, openNode, type TestNode } from './test-support/node.ts';

const TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount';

function rule(name: string, run: (t: TestContext) => Promise<void>): void {
  void test(name, { timeout: 20_000 }, run);
}

function open(t: TestContext): Promise<TestNode> {
  return openNode(t, { mode: 'loopback', apiServerUrl: 'https://127.1.2.3:6443' });
}

/** Ready once the container has made that file. */
function ready(file: string): ProbeSpec {
  return { exec: { command: ['test', '-s', file] }, periodSeconds: 1, timeoutSeconds: 5 };
}

function isEnded(pod: Pod | undefined): boolean {
  return pod?.status?.phase === 'Succeeded' || pod?.status?.phase === 'Failed';
}

rule('variables and arguments that begin with a mount path lead to the real files', async (t) => {
  const node = await open(t);
  await node.kube.create<ConfigMap>(CONFIG_MAPS, {
    metadata: { name: 'settings', namespace: 'demo' },
    data: { a: 'A', b: 'B' },
  });
  await node.run('one', {
    restartPolicy: 'Never',
    containers: [
      {
        name: 'main',
        image: 'host',
        command: ['cat', '/etc/settings/a'],
        volumeMounts: [{ name: 'v', mountPath: '/etc/settings' }],
      },
      {
        name: 'other',
        image: 'host',
        command: ['sh', '-c', 'cat $FILE'],
        env: [{ name: 'FILE', value: '/etc/settings/b' }],
        volumeMounts: [{ name: 'v', mountPath: '/etc/settings' }],
      },
    ],
    volumes: [{ name: 'v', configMap: { name: 'settings' } }],
  });
  await node.until('one', isEnded);
  assert.equal((await node.ask('/containerLogs/demo/one/main')).body, 'A\n');
  assert.equal((await node.ask('/containerLogs/demo/one/other')).body, 'B\n');
});

rule('a pod with a token has a kubeconfig of its own', async (t) => {
  const node = await open(t);
  await node.run('client', {
    restartPolicy: 'Never',
    containers: [
      {
        name: 'main',
        image: 'host',
        command: ['sh', '-c', 'cat $AMBIT_KUBECONFIG'],
        volumeMounts: [{ name: 'api', mountPath: TOKEN }],
      },
    ],
    volumes: [
      { name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
    ],
  });
  await node.until('client', isEnded);
  const { body } = await node.ask('/containerLogs/demo/client/main');
  const config = JSON.parse(body) as { users: { user: { tokenFile: string } }[] };
  assert.match(body, /https:\/\/127\.1\.2\.3:6443/);
  assert.match(config.users[0]?.user.tokenFile ?? '', /volumes\/api\/token$/);
});

rule('a Node.js program listens at the pod’s address, and its probe finds it there', async (t) => {
  const node = await open(t);
  const script = `require('node:http').createServer((_, r) => r.end('hi')).listen(8080)`;
  await node.run('web', {
    containers: [
      {
        name: 'main',
        image: 'host',
        command: ['node', '-e', script],
        readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
      },
    ],
  });
  const pod = await node.until('web', isReady);
  assert.match(pod.status?.podIP ?? '', /^127\./);
  const request = `GET / HTTP/1.0\r\n\r\n`;
  assert.match(await node.forward('web', 8080, request), /^HTTP\/1\.1 200 OK/);
});

rule('a command that is not Node.js runs, is told to stop, and its exit is known', async (t) => {
  const node = await open(t);
  await node.run('shell', {
    containers: [
      {
        name: 'main',
        image: 'host',
        command: ['sh', '-c', 'trap "exit 5" TERM; echo > $UP; while :; do sleep 0.05; done'],
        env: [{ name: 'UP', value: '/up/now' }],
        volumeMounts: [{ name: 'up', mountPath: '/up' }],
        readinessProbe: ready('/up/now'),
      },
    ],
    volumes: [{ name: 'up', emptyDir: {} }],
  });
  await node.until('shell', isReady);
  const answer = await node.exec('shell', 'main', { command: ['tr', 'a-z', 'A-Z'], stdin: 'hi' });
  assert.equal(answer.stdout, 'HI');
  await node.kube.delete(PODS, 'shell', 'demo');
  const last = await node.kube.lastBefore<Pod>(PODS, 'shell', 'demo');
  const state = last.status?.containerStatuses?.[0]?.state;
  assert.ok(state !== undefined && 'terminated' in state);
  assert.equal(state.terminated.exitCode, 5);
  assert.deepEqual(findStrays(node.nodeDir), []);
});

rule('a program that is not there ends the container with the reason in its log', async (t) => {
  const node = await open(t);
  await node.run('none', {
    restartPolicy: 'Never',
    containers: [{ name: 'main', image: 'host', command: ['/no/such/program'] }],
  });
  await node.until('none', isEnded);
  const { body } = await node.ask('/containerLogs/demo/none/main');
  assert.match(body, /exec: "\/no\/such\/program": .*ENOENT/);
});

rule('the node’s directory holds one network directory a pod for the agent', async (t) => {
  const node = await open(t);
  await node.run('web', {
    containers: [
      {
        name: 'main',
        image: 'host',
        command: ['sh', '-c', 'echo x > $DIR/probe; exec sleep 1000'],
        env: [{ name: 'DIR', value: '/run/ambit/pods/uid-web' }],
        volumeMounts: [{ name: 'pods', mountPath: '/run/ambit/pods' }],
        readinessProbe: ready('/run/ambit/pods/uid-web/probe'),
      },
    ],
    volumes: [{ name: 'pods', hostPath: { path: '/run/ambit/pods' } }],
  });
  await node.until('web', isReady);
  assert.equal(await readFile(`${node.nodeDir}/run/ambit/pods/uid-web/probe`, 'utf8'), 'x\n');
});
