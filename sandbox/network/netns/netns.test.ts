import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { inNetns, openNetns } from '../../../node-agent/capture/syscalls.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { createLog } from '../../../runtime/log.ts';
import { inNamespaces } from '../../launch/test-support/in-namespaces.ts';
import type { ClusterNetwork } from '../network.ts';
import type { LinkPacket } from '../packet.ts';
import {
  call,
  driverRules,
  pod,
  rule,
  serve,
  serveName,
  serviceIps,
} from '../test-support/driver-rules.ts';
import { openNetnsNetwork } from './cluster.ts';

const ECHO = `require('node:net').createServer((c) => c.pipe(c)).listen(8080, () => console.log('up'))`;

async function open(t: TestContext): Promise<ClusterNetwork> {
  const log = createLog({ component: 'test', level: 'error' });
  const network = await openNetnsNetwork({ clock: systemClock, log });
  t.after(() => network.close());
  return network;
}

await inNamespaces(import.meta.url, () => {
  driverRules(open);

  test('a dial ends when its signal aborts', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const stop = new AbortController();
    const dial = node.dial('172.30.99.99', 80, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(dial, { message: 'enough' });
  });

  test('replacing the service rules breaks no open connection', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const server = await node.addPod(pod('server'));
    await serve(t, server, ECHO);
    const endpoints = [{ ip: server.addresses[0]!, port: 8080, local: true }];
    const [clusterIp = ''] = serviceIps(network, 9);
    const table = [
      rule({ clusterIps: [clusterIp], ports: [{ port: 80, protocol: 'TCP', endpoints }] }),
    ];
    await node.syncServices(table);
    const socket = await node.dial(clusterIp, 80);
    t.after(() => socket.destroy());
    for (let i = 0; i < 10; i++) {
      await node.syncServices(i % 2 === 0 ? [] : table);
      socket.write(`round ${i}`);
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      assert.equal(bytes.toString(), `round ${i}`);
    }
  });

  test('a pod that is gone leaves no link behind, a node neither', async (t) => {
    const network = await open(t);
    const links = (netnsPath: string): string => {
      const netns = openNetns(netnsPath);
      const text = inNetns(netns, () => readFileSync('/proc/thread-self/net/dev', 'utf8'));
      netns.close();
      return text;
    };
    const node = await network.addNode('one');
    const first = await node.addPod(pod('first'));
    assert.match(links(node.host.netnsPath!), /pod\d/);
    await first.close();
    assert.doesNotMatch(links(node.host.netnsPath!), /pod\d/);
    assert.match(links('/proc/self/ns/net'), /node1/);
    await node.close();
    assert.doesNotMatch(links('/proc/self/ns/net'), /node1/);
  });

  test('the link capture sees handshakes of pods and what goes to the API server', async (t) => {
    const network = await open(t);
    const one = await network.addNode('one');
    const two = await network.addNode('two');
    const server = await one.addPod(pod('server'));
    const client = await two.addPod(pod('client'));
    await serveName(t, server, 'server');
    const packets: LinkPacket[] = [];
    const capture = network.captureLink((packet) => packets.push(packet));
    await call(client, server.addresses[1]!, 8080);
    assert.equal(await call(client, network.apiServer.host, 1), 'ECONNREFUSED');
    capture.close();
    const between = (from?: string, to?: string): number =>
      packets.filter(
        (packet) =>
          packet.source.ip === from && packet.destination.ip === to && packet.protocol === 'tcp',
      ).length;
    assert.ok(between(client.addresses[1], server.addresses[1]) >= 3);
    assert.equal(between(client.addresses[0], network.apiServer.host), 1);
    assert.equal(between(network.apiServer.host, client.addresses[0]), 1);
  });
});
