// The life of sandboxes as a person runs them: side by side, taken down, killed, and asked for wrongly.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectKubernetes } from '../../runtime/kubernetes/client.ts';
import type { KubeObject, Node, Pod } from '../../runtime/kubernetes/objects.ts';
import { NAMESPACES, NODES, PODS } from '../../runtime/kubernetes/resources.ts';
import { TEST_NETWORK } from '../support/sandbox.ts';
import {
  filesBelow,
  holderOf,
  type Machine,
  machine,
  mountsOf,
  type Said,
  tracesOf,
  untraced,
} from '../support/sandbox-process.ts';
import { waitFor } from '../support/wait-for.ts';

const BARE = ['--no-mesh', '--nodes', '1', '--network', TEST_NETWORK];

async function up({ run }: Machine, name: string): Promise<Said> {
  const said = await run('up', '--detach', '--name', name, ...BARE);
  assert.equal(said.code, 0, said.stdout + said.stderr);
  return said;
}

/** An echo in the default namespace, running when this resolves. */
async function runPod(kubeconfig: string): Promise<void> {
  const client = await connectKubernetes({ kubeconfig });
  const echo = { name: 'echo', image: 'ambit-mesh/echo' };
  // accounts are made by a controller, which may not have come to it yet
  await client.create<KubeObject & { spec: object }>(PODS, {
    metadata: { name: 'echo', namespace: 'default' },
    spec: { containers: [echo], automountServiceAccountToken: false },
  });
  await waitFor<Pod>(client, PODS, { namespace: 'default' }, (pods) =>
    pods.some(({ status }) => status?.phase === 'Running'),
  );
}

test('sandboxes live side by side, each by its name, and down leaves nothing of one', async (t) => {
  const one = machine(t);
  await Promise.all([up(one, 'first'), up(one, 'second')]);
  const listed = await one.run('list');
  assert.match(listed.stdout, /^first +running .*\nsecond +running .*\n$/);
  const kubeconfig = await one.run('kubeconfig', '--name', 'second');
  const second = await connectKubernetes({ kubeconfig: kubeconfig.stdout.trim() });
  await second.create(NAMESPACES, { metadata: { name: 'only-in-second' } });
  const first = await connectKubernetes({
    kubeconfig: (await one.run('kubeconfig', '--name', 'first')).stdout.trim(),
  });
  assert.equal(await first.get(NAMESPACES, 'only-in-second'), undefined);

  const traces = tracesOf(one);
  const down = await one.run('down', '--name', 'first');
  assert.deepEqual(down, { code: 0, stdout: 'Sandbox "first" is down\n', stderr: '' });
  assert.deepEqual(filesBelow(one.root), ['second']);
  const { items } = await second.list<Node>(NODES);
  assert.deepEqual(
    items.map(({ metadata }) => metadata.name),
    ['node-1'],
  );
  await one.run('down', '--name', 'second');
  await untraced(one, traces);
  assert.deepEqual([filesBelow(one.root), mountsOf(one)], [[], []]);
});

test('a taken name is refused with exit code 1, and the sandbox that has it goes on', async (t) => {
  const one = machine(t);
  await up(one, 'taken');
  for (const words of [['--detach'], []]) {
    const again = await one.run('up', ...words, '--name', 'taken', ...BARE);
    assert.equal(again.code, 1);
    assert.match(
      again.stdout + again.stderr,
      /Sandbox "taken" is already running \(process \d+\); take it down with "ambit sandbox down --name taken"/,
    );
  }
  assert.match((await one.run('list')).stdout, /^taken +running /);
  await one.run('down', '--name', 'taken');
});

test('of a killed sandbox no process, mount or namespace is left, and the next up or down cleans its files', async (t) => {
  const one = machine(t);
  const kill = async (): Promise<void> => {
    const traces = tracesOf(one);
    process.kill(holderOf(one, 'killed'), 'SIGKILL');
    await untraced(one, traces);
    assert.deepEqual(mountsOf(one), []);
    assert.match((await one.run('list')).stdout, /^killed +crashed /);
    assert.equal((await one.run('kubeconfig', '--name', 'killed')).code, 1);
  };
  await up(one, 'killed');
  await runPod((await one.run('kubeconfig', '--name', 'killed')).stdout.trim());
  await kill();
  await up(one, 'killed');
  assert.match((await one.run('list')).stdout, /^killed +running /);
  await kill();
  const down = await one.run('down', '--name', 'killed');
  assert.deepEqual(down, {
    code: 0,
    stdout: 'Sandbox "killed" had crashed; what it left is cleaned up\n',
    stderr: '',
  });
  assert.deepEqual(filesBelow(one.root), []);
});

test('a sandbox that is not there: down and kubeconfig exit with 1 and say so', async (t) => {
  const one = machine(t);
  const down = await one.run('down', '--name', 'nobody');
  assert.equal(down.code, 1);
  assert.match(down.stdout, /There is no sandbox "nobody"/);
  const kubeconfig = await one.run('kubeconfig', '--name', 'nobody');
  assert.equal(kubeconfig.code, 1);
  assert.equal(kubeconfig.stdout, '');
  assert.match(kubeconfig.stderr, /Sandbox "nobody" is not running/);
  assert.deepEqual(await one.run('list'), { code: 0, stdout: '', stderr: '' });
});

test('misuse exits with 2, says what is wrong and how it is used', async (t) => {
  const one = machine(t);
  const wrong: readonly [string[], RegExp][] = [
    [['rise'], /There is no command "rise"/],
    [['up', 'again'], /Unexpected "again"/],
    [['up', '--fast'], /Unknown option '--fast'/],
    [['up', '--nodes', '0'], /--nodes is "0": expected 1 to 16/],
    [['up', '--nodes', '2.5'], /--nodes is "2.5"/],
    [['up', '--network', 'host'], /--network is "host": expected auto, netns or loopback/],
    [['up', '--name', 'My Sandbox'], /--name is "My Sandbox"/],
    [['down', '--kubeconfig', 'x'], /--kubeconfig is for "up" only/],
    [['up', '--controllers', 'all'], /--controllers needs --kubeconfig/],
    [['up', '--kubeconfig', 'x', '--controllers', 'some'], /expected auto, all or none/],
  ];
  for (const [words, message] of wrong) {
    const said = await one.run(...words);
    assert.equal(said.code, 2, words.join(' '));
    assert.match(said.stderr, message);
    assert.match(said.stderr, /Usage: ambit sandbox COMMAND/);
  }
  assert.deepEqual(filesBelow(one.root), []);
});
