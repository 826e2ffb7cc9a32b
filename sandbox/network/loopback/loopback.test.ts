import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../runtime/clock.ts';
import { createLog } from '../../../runtime/log.ts';
import { readProxyHeader } from '../../../wire/proxy-protocol.ts';
import type { ClusterNetwork } from '../network.ts';
import {
  call,
  driverRules,
  pod,
  rule,
  run,
  serve,
  serveName,
  serviceIps,
} from '../test-support/driver-rules.ts';
import { openLoopbackNetwork } from './cluster.ts';
import { takeSlice } from './slice.ts';

type Opened = { network: ClusterNetwork; directory: string };

async function openIn(t: TestContext): Promise<Opened> {
  const directory = mkdtempSync(join(tmpdir(), 'ambit-loopback-'));
  const log = createLog({ component: 'test', level: 'error' });
  const network = await openLoopbackNetwork(
    { clock: systemClock, log },
    { directory, podNetnsDirectory: (node) => join(directory, node, 'pods') },
  );
  t.after(async () => {
    await network.close();
    rmSync(directory, { recursive: true });
  });
  return { network, directory };
}

const open = async (t: TestContext): Promise<ClusterNetwork> => (await openIn(t)).network;

driverRules(open);

test('names are looked up as in a pod: by short names, localhost, and through every door of Node.js', async (t) => {
  const network = await open(t);
  const node = await network.addNode('one');
  const server = await node.addPod(pod('server'));
  const client = await node.addPod(pod('client'));
  await serve(
    t,
    server,
    `require('node:http').createServer((q, r) => r.end(q.socket.remoteAddress)).listen(8080, () => console.log('up'))`,
  );
  const [clusterIp = ''] = serviceIps(network, 1);
  const endpoints = [{ ip: server.addresses[0]!, port: 8080, local: true }];
  await node.syncServices([
    rule({ clusterIps: [clusterIp], ports: [{ port: 80, protocol: 'TCP', endpoints }] }),
  ]);
  network.syncNames([
    { namespace: 'demo', name: 'web', clusterIps: [clusterIp], ports: [], endpoints: [] },
  ]);
  const script = `
    const dns = require('node:dns');
    (async () => {
      const { lookup } = await import('node:dns/promises');
      console.log(JSON.stringify([
        await (await fetch('http://web/')).text(),
        await (await fetch('http://web.demo:80/')).text(),
        (await lookup('web.demo.svc')).address,
        (await dns.promises.lookup('localhost')).address,
        await new Promise((done) => dns.lookup('web', { all: true }, (e, found) => done(found))),
        await new Promise((done) => dns.lookup('nobody', (e) => done(e.code))),
      ]));
    })();`;
  assert.deepEqual(JSON.parse(await run(client, script)), [
    client.addresses[0],
    client.addresses[0],
    clusterIp,
    '127.0.0.1',
    [{ address: clusterIp, family: 4 }],
    'ENOTFOUND',
  ]);
});

test('while the pod is captured its connections go to the agent and begin with where they were going', async (t) => {
  const { network, directory } = await openIn(t);
  const node = await network.addNode('one');
  const client = await node.addPod(pod('client'));
  const [clusterIp = ''] = serviceIps(network, 2);
  const heads: unknown[] = [];
  const agent = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes: Buffer) => {
      const read = readProxyHeader(bytes);
      heads.push(read);
      socket.end(read.state === 'done' ? 'by the agent' : 'no header');
    });
  });
  await node.listen(15001, agent);
  t.after(() => agent.close());
  const capture = join(directory, 'one', 'pods', 'uid-client');
  mkdirSync(capture, { recursive: true });
  const redirect = { outbound: { host: node.addresses[0], port: 15001 } };
  writeFileSync(join(capture, 'redirect.json'), JSON.stringify(redirect));
  assert.equal(await call(client, clusterIp, 80), 'by the agent');
  const [head] = heads as [ReturnType<typeof readProxyHeader> & { state: 'done' }];
  assert.deepEqual(head.header, {
    ...head.header,
    destination: { ip: clusterIp, port: 80 },
    source: {
      ip: client.addresses[0],
      port: (head.header as { source: { port: number } }).source.port,
    },
  });
  agent.close();
  await once(agent, 'close');
  assert.equal(await call(client, clusterIp, 80), 'ECONNREFUSED');
  rmSync(join(capture, 'redirect.json'));
  const server = await node.addPod(pod('server'));
  await serveName(t, server, 'server');
  assert.equal(await call(client, server.addresses[0]!, 8080), `${client.addresses[0]} server`);
});

test('a process bound to an address of its own choice keeps it: the agent speaks as the pods of its node', async (t) => {
  const network = await open(t);
  const one = await network.addNode('one');
  const two = await network.addNode('two');
  const server = await two.addPod(pod('server'));
  const local = await one.addPod(pod('local'));
  await serveName(t, server, 'server');
  const script = `
    const [host, localAddress] = process.argv.slice(1);
    require('node:net').connect({ host, port: 8080, localAddress }).on('data', (d) => console.log(String(d)));`;
  assert.equal(
    await run(one.host, script, server.addresses[0]!, local.addresses[0]!),
    `${local.addresses[0]} server`,
  );
});

test('low ports, TLS and half-closed connections work', async (t) => {
  const network = await open(t);
  const one = await network.addNode('one');
  const two = await network.addNode('two');
  const server = await one.addPod(pod('server'));
  const client = await two.addPod(pod('client'));
  await serve(
    t,
    server,
    `require('node:net').createServer({ allowHalfOpen: true }, (c) => {
       let all = '';
       c.on('data', (d) => { all += d; });
       c.on('end', () => c.end(all.length + ' ' + c.localPort));
     }).listen(80, () => console.log('up'))`,
  );
  const script = `
    const c = require('node:net').connect({ host: process.argv[1], port: 80 });
    c.end('x'.repeat(1_000_000));
    c.on('data', (d) => console.log(String(d)));`;
  for (const caller of [client, server]) {
    assert.equal(await run(caller, script, server.addresses[0]!), '1000000 80');
  }
});

test('a command that is not a Node.js program is refused with the reason', async (t) => {
  const network = await open(t);
  const node = await network.addNode('one');
  const own = await node.addPod(pod('own'));
  assert.throws(
    () => own.spawn(['nginx'], { env: {}, stdio: 'ignore' }),
    /Cannot start "nginx" in loopback mode/,
  );
});

test('two sandboxes side by side have addresses of their own', async (t) => {
  const one = await open(t);
  const two = await open(t);
  assert.notEqual(one.apiServer.host, two.apiServer.host);
  assert.notDeepEqual(one.serviceCidrs, two.serviceCidrs);
});

test('when all ranges are taken it is said, and a range that is given back is free', async () => {
  const only = await takeSlice([224]);
  await assert.rejects(takeSlice([224]), /all 1 ranges of 127\.0\.0\.0\/8 are in use/);
  await only.close();
  await (await takeSlice([224])).close();
});

test('the processes of a sandbox that has died end', async (t) => {
  const network = await open(t);
  const node = await network.addNode('one');
  const own = await node.addPod(pod('own'));
  const child = own.spawn(
    [process.execPath, '-e', `setInterval(() => {}, 1000); console.log('up')`],
    {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await once(child.stdout!, 'data');
  const ended = once(child, 'exit');
  await network.close();
  assert.deepEqual(await ended, [null, 'SIGKILL']);
});

test('what does not begin with a PROXY header is reset by the link relay', async (t) => {
  const network = await open(t);
  const node = await network.addNode('one');
  const own = await node.addPod(pod('own'));
  const relay = JSON.parse(
    await run(
      own,
      `console.log(JSON.stringify(JSON.parse(require('node:fs').readFileSync(process.env.AMBIT_LOOPBACK)).relay))`,
    ),
  ) as { host: string; port: number };
  const socket = connect(relay);
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await assert.rejects(once(socket, 'end'), { code: 'ECONNRESET' });
});
