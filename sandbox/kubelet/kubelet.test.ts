import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ConfigMap, Event, Secret } from '../../runtime/kubernetes/objects.ts';
import {
  CONFIG_MAPS,
  EVENTS,
  LEASES,
  NODES,
  PODS,
  SECRETS,
} from '../../runtime/kubernetes/resources.ts';
import { inNamespaces } from '../launch/test-support/in-namespaces.ts';
import { findStrays } from './container/processes.ts';
import type { ContainerSpec, Pod, VolumeSpec } from './pod/pod-spec.ts';
import { isReady, openNode, type TestNode } from './test-support/node.ts';

/** Ends at once on SIGTERM; `sleep` alone would too, but says nothing. */
const SLEEPER: ContainerSpec = { name: 'main', image: 'host', command: ['sleep', '1000'] };

function shell(script: string, more: Partial<ContainerSpec> = {}): ContainerSpec {
  return { name: 'main', image: 'host', command: ['sh', '-c', script], ...more };
}

/** Runs a pod of one container to its end and gives what it wrote. */
async function outputOf(
  node: TestNode,
  name: string,
  container: ContainerSpec,
  volumes: readonly VolumeSpec[] = [],
): Promise<string> {
  await node.run(name, { restartPolicy: 'Never', containers: [container], volumes });
  await node.until(name, isEnded);
  return (await node.ask(`/containerLogs/demo/${name}/${container.name}`)).body;
}

function isEnded(pod: Pod | undefined): boolean {
  return pod?.status?.phase === 'Succeeded' || pod?.status?.phase === 'Failed';
}

function waitingReason(pod: Pod | undefined): string | undefined {
  const state = pod?.status?.containerStatuses?.[0]?.state;
  return state !== undefined && 'waiting' in state ? state.waiting.reason : undefined;
}

async function eventReasons(node: TestNode): Promise<string[]> {
  const { items } = await node.kube.list<Event>(EVENTS);
  return items.map(({ reason = '' }) => reason);
}

/** Resolves when an event of that reason is there. */
async function eventOf(node: TestNode, reason: string): Promise<string> {
  const found = await node.kube.untilAny<Event>(EVENTS, (event) => event.reason === reason);
  return found.message ?? '';
}

/** A test with an end: what hangs must not hang the suite. */
function rule(name: string, run: (t: TestContext) => Promise<void>): void {
  void test(name, { timeout: 20_000 }, run);
}

await inNamespaces(import.meta.url, () => {
  rule(
    'a pod becomes ready with an address, and its netns link is its network namespace',
    async (t) => {
      const node = await openNode(t);
      await node.run('web', { containers: [SLEEPER] });
      const { status } = await node.until('web', isReady);
      assert.equal(status?.phase, 'Running');
      assert.equal(status?.observedGeneration, 1);
      assert.equal(status?.hostIP, node.network.addresses[0]);
      assert.equal(status?.podIPs?.[0]?.ip, status?.podIP);
      const link = join(node.nodeDir, 'run/ambit/pods/uid-web/netns');
      const [{ pid }] = JSON.parse((await node.ask('/pods')).body).items.map(() => ({ pid: 0 }));
      assert.equal(pid, 0);
      assert.notEqual(readlinkSync(readlinkSync(link)), readlinkSync('/proc/self/ns/net'));
    },
  );

  rule('a node registers itself and keeps a lease', async (t) => {
    const node = await openNode(t, { labels: { 'topology.kubernetes.io/zone': 'z1' } });
    const registered = await node.kube.get(NODES, 'node-1');
    assert.equal(registered?.metadata.labels?.['topology.kubernetes.io/zone'], 'z1');
    assert.equal(registered?.metadata.labels?.['kubernetes.io/hostname'], 'node-1');
    await node.kube.until(LEASES, 'node-1', 'kube-node-lease', (lease) => lease !== undefined);
  });

  rule('of a deleted pod nothing is left: object, processes, network link and files', async (t) => {
    const node = await openNode(t);
    // the child leaves the process group, as a daemon does
    await node.run('web', { containers: [shell('setsid sleep 1000 & exec sleep 1000')] });
    await node.until('web', isReady);
    const directory = join(node.nodeDir, 'pods/uid-web');
    await node.kube.delete(PODS, 'web', 'demo');
    await node.until('web', (pod) => pod === undefined);
    assert.deepEqual(findStrays(directory), []);
    assert.equal(existsSync(join(node.nodeDir, 'run/ambit/pods/uid-web')), false);
    assert.equal(existsSync(directory), false);
    assert.ok((await eventReasons(node)).includes('Killing'));
  });

  rule('a closed kubelet leaves no process behind', async (t) => {
    const node = await openNode(t);
    await node.run('a', { containers: [shell('trap "" TERM; sleep 1000 & wait')] });
    await node.run('b', { hostNetwork: true, containers: [SLEEPER] });
    await Promise.all([node.until('a', isReady), node.until('b', isReady)]);
    assert.notDeepEqual(findStrays(node.nodeDir), []);
    await node.close();
    assert.deepEqual(findStrays(node.nodeDir), []);
  });

  rule('a container that ignores SIGTERM is killed when the grace period is over', async (t) => {
    const node = await openNode(t);
    await node.run('deaf', {
      terminationGracePeriodSeconds: 1,
      containers: [
        shell('trap "" TERM; echo > /run/deaf; while :; do sleep 1; done', {
          readinessProbe: { exec: { command: ['test', '-e', '/run/deaf'] }, periodSeconds: 1 },
        }),
      ],
    });
    await node.until('deaf', isReady);
    await node.kube.delete(PODS, 'deaf', 'demo');
    const last = await node.kube.lastBefore<Pod>(PODS, 'deaf', 'demo');
    const state = last.status?.containerStatuses?.[0]?.state;
    assert.ok(state !== undefined && 'terminated' in state);
    assert.equal(state.terminated.exitCode, 137);
  });

  rule('preStop runs before SIGTERM', async (t) => {
    const node = await openNode(t);
    await node.run('polite', {
      containers: [
        shell(
          'trap "echo term >> /out/log; exit 0" TERM; echo > /run/up; while :; do sleep 0.1; done',
          {
            readinessProbe: { exec: { command: ['test', '-e', '/run/up'] }, periodSeconds: 1 },
            lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo pre >> /out/log'] } } },
            volumeMounts: [{ name: 'out', mountPath: '/out' }],
          },
        ),
        shell('tail -F /out/log', {
          name: 'reader',
          volumeMounts: [{ name: 'out', mountPath: '/out' }],
        }),
      ],
      volumes: [{ name: 'out', hostPath: { path: '/run/ambit/out' } }],
    });
    await node.until('polite', isReady);
    await node.kube.delete(PODS, 'polite', 'demo');
    await node.until('polite', (pod) => pod === undefined);
    const log = readFileSync(join(node.nodeDir, 'run/ambit/out/log'), 'utf8');
    assert.equal(log, 'pre\nterm\n');
  });

  rule('a container sees its own resolv.conf, hosts, host name, /run and variables', async (t) => {
    const node = await openNode(t);
    const output = await outputOf(
      node,
      'look',
      shell('cat /etc/resolv.conf; grep look /etc/hosts; hostname; ls /run; echo $IP $WHO', {
        env: [
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'WHO', value: '$(IP)/$(NOBODY)' },
        ],
      }),
    );
    const pod = await node.until('look', () => true);
    const ip = pod.status?.podIP;
    assert.match(output, /search demo\.svc\.cluster\.local/);
    assert.match(output, new RegExp(`${ip}\tlook\n`));
    assert.match(output, new RegExp(`\nlook\n${ip} ${ip}/\\$\\(NOBODY\\)\n$`));
  });

  for (const path of ['/data', '/etc/deep/er', '/var/run/secrets/x', '/tmp/new', '/run/y/z']) {
    rule(`a volume can be mounted at ${path}, and the machine does not see it`, async (t) => {
      const node = await openNode(t);
      const output = await outputOf(
        node,
        'mount',
        shell(`echo hello > ${path}/file; cat ${path}/file; echo x > ${path}/../outside || true`, {
          volumeMounts: [{ name: 'v', mountPath: path }],
        }),
        [{ name: 'v', emptyDir: {} }],
      );
      assert.match(output, /^hello\n/);
      assert.equal(existsSync(`${path}/file`), false);
    });
  }

  rule('a read-only mount refuses writes, a subPath shows one file', async (t) => {
    const node = await openNode(t);
    await node.kube.create<ConfigMap>(CONFIG_MAPS, {
      metadata: { name: 'settings', namespace: 'demo' },
      data: { 'a.txt': 'A', 'b.txt': 'B' },
    });
    const output = await outputOf(
      node,
      'ro',
      shell('cat /conf/a.txt /one/b.txt; (echo x > /conf/a.txt) 2>/dev/null || echo refused', {
        volumeMounts: [
          { name: 'v', mountPath: '/conf', readOnly: true },
          { name: 'v', mountPath: '/one/b.txt', subPath: 'b.txt' },
        ],
      }),
      [{ name: 'v', configMap: { name: 'settings' } }],
    );
    assert.equal(output, 'ABrefused\n');
  });

  rule(
    'a missing ConfigMap keeps the pod waiting with FailedMount until it is there',
    async (t) => {
      const node = await openNode(t);
      await node.run('late', {
        containers: [{ ...SLEEPER, volumeMounts: [{ name: 'v', mountPath: '/conf' }] }],
        volumes: [{ name: 'v', configMap: { name: 'later' } }],
      });
      assert.match(await eventOf(node, 'FailedMount'), /volume "v" : configmap "later" not found/);
      assert.equal(waitingReason(await node.until('late', () => true)), 'ContainerCreating');
      const map = { metadata: { name: 'later', namespace: 'demo' }, data: {} };
      await node.kube.create<ConfigMap>(CONFIG_MAPS, map);
      await node.until('late', isReady);
    },
  );

  rule(
    'a missing Secret of a variable is CreateContainerConfigError until it is there',
    async (t) => {
      const node = await openNode(t);
      const ref = { name: 'later', key: 'k' };
      await node.run('late', {
        containers: [{ ...SLEEPER, env: [{ name: 'K', valueFrom: { secretKeyRef: ref } }] }],
      });
      await node.until('late', (pod) => waitingReason(pod) === 'CreateContainerConfigError');
      const data = { k: Buffer.from('v').toString('base64') };
      await node.kube.create<Secret>(SECRETS, {
        metadata: { name: 'later', namespace: 'demo' },
        data,
      });
      await node.until('late', isReady);
    },
  );

  rule('a projected token has its audience and is replaced before its end', async (t) => {
    const node = await openNode(t);
    node.kube.tokenSeconds = 1;
    await node.run('agent', {
      serviceAccountName: 'robot',
      containers: [
        shell(
          'f=/var/run/secrets/tokens/t; first=$(cat $f); while [ "$(cat $f)" = "$first" ]; do sleep 0.05; done; echo "$first"; echo "$(cat $f)"; exec sleep 1000',
          { volumeMounts: [{ name: 'v', mountPath: '/var/run/secrets/tokens' }] },
        ),
      ],
      volumes: [
        {
          name: 'v',
          projected: {
            sources: [
              {
                serviceAccountToken: { audience: 'ambit-ca', expirationSeconds: 600, path: 't' },
              },
            ],
          },
        },
      ],
    });
    await node.until('agent', isReady);
    const token = 'serviceaccounts/demo/robot for ambit-ca bound to agent';
    const wanted = `${token} #1\n${token} #2\n`;
    const path = '/containerLogs/demo/agent/main?follow=true';
    assert.equal((await node.ask(`${path}&limitBytes=${wanted.length}`)).body, wanted);
  });

  rule('an unknown image waits with the names of the known ones', async (t) => {
    const node = await openNode(t);
    await node.run('typo', { containers: [{ name: 'main', image: 'nginx:1.27' }] });
    const pod = await node.until('typo', (seen) => waitingReason(seen) === 'ErrImagePull');
    assert.match(JSON.stringify(pod.status), /ambit-mesh\/echo/);
    await node.until('typo', (seen) => waitingReason(seen) === 'ImagePullBackOff');
  });

  rule('a program that is not there is a StartError with the reason', async (t) => {
    const node = await openNode(t);
    await node.run('none', {
      restartPolicy: 'Never',
      containers: [{ name: 'main', image: 'host', command: ['/no/such/program'] }],
    });
    const pod = await node.until('none', isEnded);
    const [state] = pod.status?.containerStatuses?.map((status) => status.state) ?? [];
    assert.ok(state !== undefined && 'terminated' in state);
    assert.equal(state.terminated.reason, 'StartError');
    assert.match(state.terminated.message ?? '', /executable file not found/);
  });

  rule(
    'a crashing container restarts with growing pauses, and its previous log is kept',
    async (t) => {
      const node = await openNode(t);
      await node.run('crash', { containers: [shell('echo run; exit 7')] });
      const pod = await node.until('crash', (seen) => {
        const [status] = seen?.status?.containerStatuses ?? [];
        return waitingReason(seen) === 'CrashLoopBackOff' && (status?.restartCount ?? 0) >= 2;
      });
      const last = pod.status?.containerStatuses?.[0]?.lastState ?? {};
      assert.ok('terminated' in last && last.terminated.exitCode === 7);
      assert.equal((await node.ask('/containerLogs/demo/crash/main?previous=true')).body, 'run\n');
      assert.ok((await eventReasons(node)).includes('BackOff'));
    },
  );

  rule('init containers run in order before the main ones; a sidecar runs on', async (t) => {
    const node = await openNode(t);
    const mount = { volumeMounts: [{ name: 'v', mountPath: '/v' }] };
    await node.run('init', {
      restartPolicy: 'Never',
      initContainers: [
        shell('echo one >> /v/log', { name: 'one', ...mount }),
        shell('echo side >> /v/log; exec sleep 1000', {
          name: 'side',
          restartPolicy: 'Always',
          startupProbe: { exec: { command: ['test', '-s', '/v/log'] }, periodSeconds: 1 },
          ...mount,
        }),
        shell('echo two >> /v/log', { name: 'two', ...mount }),
      ],
      containers: [shell('cat /v/log', mount)],
      volumes: [{ name: 'v', emptyDir: {} }],
    });
    const pod = await node.until('init', isEnded);
    assert.equal(pod.status?.phase, 'Succeeded');
    assert.equal((await node.ask('/containerLogs/demo/init/main')).body, 'one\nside\ntwo\n');
  });

  rule('a failed init container fails a pod that is never restarted', async (t) => {
    const node = await openNode(t);
    await node.run('init', {
      restartPolicy: 'Never',
      initContainers: [shell('exit 1', { name: 'one' })],
      containers: [SLEEPER],
    });
    const pod = await node.until('init', isEnded);
    assert.equal(pod.status?.phase, 'Failed');
    assert.equal(waitingReason(pod), 'PodInitializing');
  });
});
