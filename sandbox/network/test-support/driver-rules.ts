// What every network driver has to hold, as tests: one suite, run by the netns driver's tests and by the loopback driver's.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ClusterNetwork, PodNetwork, ServiceRule } from '../network.ts';
import type { LinkPacket } from '../packet.ts';

export type OpenNetwork = (t: TestContext) => Promise<ClusterNetwork>;

/** A server in a pod that answers each connection with the caller's address and its own name. */
const SERVER = `
  const name = process.argv[1];
  const server = require('node:net').createServer((c) => {
    c.on('error', () => {});
    c.end(c.remoteAddress.replace('::ffff:', '') + ' ' + name);
  });
  server.listen(8080, () => console.log('up'));
`;
const CALLER = `
  const [host, port] = process.argv.slice(1);
  const socket = require('node:net').connect({ host, port: Number(port) });
  let text = '';
  socket.on('data', (d) => { text += d; });
  socket.on('end', () => console.log(text));
  socket.on('error', (e) => console.log(e.code));
`;
const UDP_SERVER = `
  const s = require('node:dgram').createSocket('udp4');
  s.on('message', (m, from) => s.send(from.address, from.port, from.address));
  s.bind(5000, () => console.log('up'));
`;
const UDP_CALLER = `
  const s = require('node:dgram').createSocket('udp4');
  s.on('message', (m, from) => { console.log(m + ' ' + from.address); s.close(); });
  s.send('?', 53, process.argv[1]);
`;

/** Runs a script until it says that it is up; ended with the test. */
export async function serve(
  t: TestContext,
  pod: PodNetwork,
  script: string,
  ...args: string[]
): Promise<void> {
  const child = pod.spawn([process.execPath, '-e', script, ...args], {
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(must(child.stdout), 'data');
}

/** Runs a script to its end and gives what it printed. */
export async function run(pod: PodNetwork, script: string, ...args: string[]): Promise<string> {
  const child = pod.spawn([process.execPath, '-e', script, ...args], {
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  must(child.stdout)
    .setEncoding('utf8')
    .on('data', (part: string) => {
      text += part;
    });
  await once(child, 'close');
  return text.trim();
}

/** What a test knows to be there. */
export function must<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new TypeError('The test expected a value');
  return value;
}

export const serveName = (t: TestContext, pod: PodNetwork, name: string): Promise<void> =>
  serve(t, pod, SERVER, name);
export const call = (pod: PodNetwork, host: string, port: number): Promise<string> =>
  run(pod, CALLER, host, String(port));

export async function text(socket: Socket): Promise<string> {
  let all = '';
  for await (const part of socket) all += String(part);
  return all;
}

export function pod(name: string): { uid: string; name: string; namespace: string } {
  return { uid: `uid-${name}`, name, namespace: 'demo' };
}

export function rule(
  parts: Partial<ServiceRule> & Pick<ServiceRule, 'clusterIps' | 'ports'>,
): ServiceRule {
  return { namespace: 'demo', name: 'web', internalLocal: false, ...parts };
}

/** A service address of each family the network has. */
export function serviceIps(network: ClusterNetwork, number: number): string[] {
  return network.serviceCidrs.map((cidr) => {
    const [prefix = ''] = cidr.split('/');
    return prefix.includes(':') ? `${prefix}1${number}` : prefix.replace(/\.0\.0$/, `.1.${number}`);
  });
}

export function driverRules(open: OpenNetwork): void {
  test('a server sees the address of the pod that called it, on one node and across nodes, in each family', async (t) => {
    const network = await open(t);
    const one = await network.addNode('one');
    const two = await network.addNode('two');
    const server = await one.addPod(pod('server'));
    const near = await one.addPod(pod('near'));
    const far = await two.addPod(pod('far'));
    await serveName(t, server, 'server');
    for (const caller of [near, far]) {
      for (const [family, address] of server.addresses.entries()) {
        assert.equal(await call(caller, address, 8080), `${caller.addresses[family]} server`);
      }
    }
  });

  test('two pods of a node use the same port, and localhost is the pod itself', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    for (const name of ['a', 'b']) {
      const own = await node.addPod(pod(name));
      await serveName(t, own, name);
      assert.match(await call(own, 'localhost', 8080), new RegExp(` ${name}$`));
      assert.match(await call(own, '127.0.0.1', 8080), new RegExp(` ${name}$`));
    }
  });

  test('a dial of the node comes from the address of the node, and a dial of the pod reaches its localhost', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const server = await node.addPod(pod('server'));
    await serveName(t, server, 'server');
    for (const [family, address] of server.addresses.entries()) {
      assert.equal(await text(await node.dial(address, 8080)), `${node.addresses[family]} server`);
    }
    assert.match(await text(await server.dial(8080)), / server$/);
    await assert.rejects(server.dial(8081), { code: 'ECONNREFUSED' });
    await assert.rejects(node.dial(must(server.addresses[0]), 8081), { code: 'ECONNREFUSED' });
  });

  test('a node listens on its own address, and pods and nodes reach the API server, with their own addresses', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const server = createServer((c) => c.end(`${c.remoteAddress}`));
    await node.listen(10250, server);
    t.after(() => server.close());
    const api = createServer((c) => c.end(`${c.remoteAddress}`)).listen(network.apiServer);
    await once(api, 'listening');
    t.after(() => api.close());
    const client = await node.addPod(pod('client'));
    assert.equal(await call(client, must(node.addresses[0]), 10250), client.addresses[0]);
    assert.equal(
      await call(client, network.apiServer.host, network.apiServer.port),
      client.addresses[0],
    );
    assert.equal(
      await call(node.host, network.apiServer.host, network.apiServer.port),
      node.addresses[0],
    );
  });

  test('a service address leads to all endpoints, from pods and from the node, and keeps the source address', async (t) => {
    const network = await open(t);
    const one = await network.addNode('one');
    const two = await network.addNode('two');
    const a = await one.addPod(pod('a'));
    const b = await two.addPod(pod('b'));
    const client = await one.addPod(pod('client'));
    await serveName(t, a, 'a');
    await serveName(t, b, 'b');
    const clusterIps = serviceIps(network, 1);
    const endpoints = clusterIps.flatMap((_, family) => [
      { ip: must(a.addresses[family]), port: 8080, local: true },
      { ip: must(b.addresses[family]), port: 8080, local: false },
    ]);
    const table = [
      rule({ clusterIps, ports: [{ port: 80, protocol: 'TCP', nodePort: 30080, endpoints }] }),
    ];
    await one.syncServices(table);
    await two.syncServices(table);
    for (const [family, vip] of clusterIps.entries()) {
      const seen = await bothOf(() => call(client, vip, 80));
      assert.deepEqual(seen, [`${client.addresses[family]} a`, `${client.addresses[family]} b`]);
    }
    assert.match(await call(one.host, must(clusterIps[0]), 80), / [ab]$/);
    // a pod that may reach itself through its service
    const own = await bothOf(async () =>
      must((await call(a, must(clusterIps[0]), 80)).split(' ')[1]),
    );
    assert.deepEqual(own, ['a', 'b']);
    // a port of the node, from another node's pod
    const outside = await two.addPod(pod('outside'));
    assert.match(await call(outside, must(one.addresses[0]), 30080), / [ab]$/);
  });

  test('a service without endpoints, or without that port, refuses at once', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const client = await node.addPod(pod('client'));
    const clusterIps = serviceIps(network, 2);
    await node.syncServices([
      rule({ clusterIps, ports: [{ port: 80, protocol: 'TCP', endpoints: [] }] }),
    ]);
    for (const caller of [client, node.host]) {
      assert.equal(await call(caller, must(clusterIps[0]), 80), 'ECONNREFUSED');
      assert.equal(await call(caller, must(clusterIps[0]), 81), 'ECONNREFUSED');
    }
  });

  test('a service for local traffic only uses the endpoints of the node', async (t) => {
    const network = await open(t);
    const one = await network.addNode('one');
    const two = await network.addNode('two');
    const a = await one.addPod(pod('a'));
    const b = await two.addPod(pod('b'));
    await serveName(t, a, 'a');
    await serveName(t, b, 'b');
    const [clusterIp = ''] = serviceIps(network, 3);
    const endpoints = [
      { ip: must(a.addresses[0]), port: 8080, local: true },
      { ip: must(b.addresses[0]), port: 8080, local: false },
    ];
    await one.syncServices([
      rule({
        clusterIps: [clusterIp],
        internalLocal: true,
        ports: [{ port: 80, protocol: 'TCP', endpoints }],
      }),
    ]);
    for (let i = 0; i < 5; i++) assert.match(await call(a, clusterIp, 80), / a$/);
  });

  test('with session affinity a client keeps its endpoint while the rules are replaced', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const client = await node.addPod(pod('client'));
    const endpoints = [];
    for (const name of ['a', 'b', 'c']) {
      const server = await node.addPod(pod(name));
      await serveName(t, server, name);
      endpoints.push({ ip: must(server.addresses[0]), port: 8080, local: true });
    }
    const [clusterIp = ''] = serviceIps(network, 4);
    const table = [
      rule({
        clusterIps: [clusterIp],
        sessionAffinityClientIp: 10_800,
        ports: [{ port: 80, protocol: 'TCP', endpoints }],
      }),
    ];
    const seen = new Set<string>();
    for (let i = 0; i < 6; i++) {
      await node.syncServices(table);
      seen.add(await call(client, clusterIp, 80));
    }
    assert.equal(seen.size, 1);
  });

  test('the link capture sees what crosses from node to node once, with the addresses of both ends', async (t) => {
    const network = await open(t);
    const one = await network.addNode('one');
    const two = await network.addNode('two');
    const server = await one.addPod(pod('server'));
    const near = await one.addPod(pod('near'));
    const far = await two.addPod(pod('far'));
    await serveName(t, server, 'server');
    const packets: LinkPacket[] = [];
    const capture = network.captureLink((packet) => packets.push(packet));
    await call(near, must(server.addresses[0]), 8080);
    await call(far, must(server.addresses[0]), 8080);
    capture.close();
    const carried = packets.filter(
      (packet) => packet.protocol === 'tcp' && packet.payload.length > 0,
    );
    assert.deepEqual(
      carried.map((packet) => packet.payload.toString()),
      [`${far.addresses[0]} server`],
    );
    assert.deepEqual(must(carried[0]).source, { ip: server.addresses[0], port: 8080 });
    assert.equal(must(carried[0]).destination.ip, far.addresses[0]);
    assert.equal(capture.dropped(), 0);
  });

  test('the cluster DNS answers pods, by full and by short names', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const client = await node.addPod(pod('client'));
    const clusterIps = serviceIps(network, 5);
    network.syncNames([{ namespace: 'demo', name: 'web', clusterIps, ports: [], endpoints: [] }]);
    const server = network.mode === 'netns' ? `dns.setServers(['${network.clusterDns}']);` : '';
    const script = `
      const dns = require('node:dns').promises;
      ${server}
      (async () => {
        const name = 'web.demo.svc.cluster.local';
        console.log(JSON.stringify([await dns.resolve4(name),
          await dns.resolve4('nobody.demo.svc.cluster.local').catch((e) => e.code),
          await dns.resolveMx(name).catch((e) => e.code)]));
      })();`;
    assert.deepEqual(JSON.parse(await run(client, script)), [
      [clusterIps[0]],
      'ENOTFOUND',
      'ENODATA',
    ]);
    assert.equal(client.resolvConf.split('\n')[0], `nameserver ${network.clusterDns}`);
    assert.match(
      client.resolvConf,
      /^search demo\.svc\.cluster\.local svc\.cluster\.local cluster\.local$/m,
    );
  });

  test('UDP reaches a pod through a service address and is answered from that address', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const server = await node.addPod(pod('server'));
    await serve(t, server, UDP_SERVER);
    const [clusterIp = ''] = serviceIps(network, 6);
    const endpoints = [{ ip: must(server.addresses[0]), port: 5000, local: true }];
    await node.syncServices([
      rule({ clusterIps: [clusterIp], ports: [{ port: 53, protocol: 'UDP', endpoints }] }),
    ]);
    const client = await node.addPod(pod('client'));
    assert.equal(await run(client, UDP_CALLER, clusterIp), `${client.addresses[0]} ${clusterIp}`);
  });

  test('a pod that is gone is gone once, and its address is given out again last', async (t) => {
    const network = await open(t);
    const node = await network.addNode('one');
    const first = await node.addPod(pod('first'));
    await first.close();
    await first.close();
    const second = await node.addPod(pod('second'));
    assert.notEqual(second.addresses[0], first.addresses[0]);
  });
}

/** The two different answers that many calls give, sorted. */
async function bothOf(ask: () => Promise<string>): Promise<string[]> {
  const seen = new Set<string>();
  // 2^-60 that one of two endpoints is never picked
  for (let i = 0; i < 60 && seen.size < 2; i++) seen.add(await ask());
  return [...seen].toSorted();
}
