// Where connections go, with real capture: through waypoints and sandwiched ones, over the gateway of another network, to
// one endpoint of many, or nowhere for good reasons. Peers without a node agent are hbone-peer.ts.

import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { Service } from '../../mesh/service.ts';
import type { GatewayAddress } from '../../mesh/workload.ts';
import { identityOf, portOf, serviceOf } from '../../node-agent/test-support/world.ts';
import { text } from '../../tunnel/test-sockets.ts';
import { readProxyHeader } from '../../wire/proxy-protocol.ts';
import { gateway, waypoint } from './hbone-peer.ts';
import type { Pod } from './lan.ts';
import { enterNamespaces } from './namespaces.ts';
import { Stage } from './stage.ts';

if (enterNamespaces(import.meta.filename)) {
  describe('where connections go, in network namespaces', () => {
    const names = new Map<string, Pod>();
    let stage: Stage;
    before(async () => {
      stage = await Stage.open({
        async resolveHost(hostname) {
          const pod = names.get(hostname);
          if (pod === undefined) throw new Error('ENOTFOUND');
          return [{ ip: parseIp(pod.v4), ttlSeconds: 30 }];
        },
      });
    });
    after(() => stage.close());

    const by = (pod: Pod): GatewayAddress & { by: 'address' } => ({
      by: 'address',
      network: '',
      ip: parseIp(pod.v4),
      port: 15008,
    });

    describe('a waypoint', () => {
      test('gets what is for a workload behind it, and the workload sees the waypoint', async () => {
        const front = stage.pod('waypoint', 'node-a', { protocol: 'hbone', nativeTunnel: true });
        const server = await stage.enrolled('server', 'node-b', { waypoint: by(front) });
        const client = await stage.enrolled('client', 'node-a');
        await stage.whoami(server);
        const requests = await waypoint(
          { ...stage.peers, pod: front },
          { pod: server, port: 8080 },
        );
        assert.equal(await stage.asked(client, server.v4, 8080), front.v4);
        assert.equal(requests[0]?.authority, `${server.v4}:8080`);
        assert.deepEqual(requests[0]?.peer, identityOf(client));
        const line = await stage.lineOf(server, {
          direction: 'inbound',
          'dst.workload': server.name,
        });
        assert.equal(line['src.identity'], `spiffe://cluster.local/ns/shop/sa/${front.name}`);
      });

      for (const named of ['a service', 'a workload'] as const) {
        test(`gets what is for a service behind it, by the name of ${named}`, async () => {
          const own = stage.service();
          const hostname = named === 'a service' ? own.hostname : 'waypoint.example';
          const byName = { by: 'hostname', namespace: 'shop', hostname, port: 15008 } as const;
          const web = stage.service({ waypoint: byName });
          const front = stage.pod('waypoint', 'node-b', {
            protocol: 'hbone',
            nativeTunnel: true,
            ...(named === 'a service' ? stage.behind(own, portOf(15008, 15008)) : { hostname }),
          });
          const server = await stage.enrolled('server', 'node-b', stage.behind(web));
          const client = await stage.enrolled('client', 'node-a');
          await stage.whoami(server);
          const requests = await waypoint(
            { ...stage.peers, pod: front },
            { pod: server, port: 8080 },
          );
          assert.equal(await stage.asked(client, web.vip, 80), front.v4);
          assert.equal(requests[0]?.authority, `${web.vip}:80`);
        });
      }

      test('that is not there is a reset with its own flag, and the server sees nobody', async () => {
        const web = stage.service({
          waypoint: { ...by(stage.pod('gone', 'node-b')), ip: parseIp('10.9.9.9') },
        });
        const server = await stage.enrolled('server', 'node-b', stage.behind(web));
        const client = await stage.enrolled('client', 'node-a');
        const seen = await stage.whoami(server);
        assert.equal(await stage.ending(client, web.vip, 80), 'ECONNRESET');
        await stage.lineOf(client, { 'src.workload': client.name, flag: 'NO_WAYPOINT' });
        assert.deepEqual(seen, []);
      });
    });

    describe('a waypoint behind a node agent', () => {
      test('gets plain bytes on the port that was asked for, and goes on to the service itself', async () => {
        const front = stage.pod('sandwich', 'node-b');
        const web = stage.service({ waypoint: by(front) });
        await stage.cluster.enrol(front);
        const server = await stage.enrolled('server', 'node-b', stage.behind(web));
        const client = await stage.enrolled('client', 'node-a');
        await stage.whoami(server);
        await stage.lan.serve(front, 80, (socket) => {
          void stage.lan.connect(front, web.vip, 80).then((on) => socket.pipe(on).pipe(socket));
        });
        assert.equal(await stage.asked(client, web.vip, 80), front.v4);
      });

      for (const family of ['v4', 'v6'] as const) {
        test(`${family}: gets a PROXY header that names caller, destination and identity`, async () => {
          const front = stage.pod('sandwich', 'node-b', {
            applicationTunnel: { protocol: 'proxy', port: 15088 },
          });
          await stage.cluster.enrol(front);
          const ip = parseIp(front[family]);
          const vip = family === 'v4' ? '10.96.7.7' : 'fd96::7';
          stage.service({
            waypoint: { ...by(front), ip },
            vips: [{ network: '', ip: parseIp(vip), prefixLength: undefined }],
          });
          const client = await stage.enrolled('client', 'node-a');
          const got = new Promise<{ socket: Socket; bytes: Buffer }>((resolve) => {
            void stage.lan.serve(front, 15088, (socket) => {
              let bytes = Buffer.alloc(0);
              socket.on('data', (chunk) => {
                bytes = Buffer.concat([bytes, chunk]);
                if (bytes.includes('hello')) resolve({ socket, bytes });
              });
            });
          });
          const socket = await stage.lan.connect(client, vip, 80);
          socket.write('hello');
          const { socket: arrived, bytes } = await got;
          const read = readProxyHeader(bytes);
          assert.ok(read.state === 'done');
          assert.equal(read.header.source.ip, client[family]);
          assert.deepEqual(read.header.destination, { ip: vip, port: 80 });
          assert.deepEqual(
            read.header.tlvs.map(({ type, value }) => [type, String(value)]),
            [[0xd0, `spiffe://cluster.local/ns/shop/sa/${client.name}`]],
          );
          assert.equal(String(bytes.subarray(read.consumed)), 'hello');
          assert.match(arrived.remoteAddress ?? '', /127\.0\.0\.1$|^::1$/);
          arrived.end('bye');
          assert.equal(await text(socket), 'bye');
          socket.end();
        });
      }
    });

    describe('another network', () => {
      async function abroad(changes: Partial<Service> = {}) {
        const front = stage.pod('gateway', 'node-b', {
          network: 'east',
          protocol: 'hbone',
          nativeTunnel: true,
        });
        const networkGateway = { ...by(front), network: 'east' };
        const server = stage.lan.addPod('server', 'node-b');
        const { trustDomain, namespace } = identityOf(server);
        const san = `spiffe://${trustDomain}/ns/${namespace}/sa/${server.name}`;
        const web = stage.service({ subjectAltNames: [san], ...changes });
        stage.cluster.announce(server, { network: 'east', networkGateway, ...stage.behind(web) });
        const client = await stage.enrolled('client', 'node-a');
        return { front, server, web, client };
      }

      test('is reached by a tunnel in a tunnel: through its gateway, to the service’s own identity', async () => {
        const { front, server, web, client } = await abroad();
        await stage.cluster.enrol(server);
        await stage.whoami(server);
        const requests = await gateway({ ...stage.peers, pod: front }, server);
        assert.equal(await stage.asked(client, web.vip, 80), front.v4);
        assert.equal(requests[0]?.authority, `${web.hostname}:80`);
        const inbound = await stage.lineOf(server, {
          direction: 'inbound',
          'dst.workload': server.name,
        });
        assert.equal(inbound['src.identity'], `spiffe://cluster.local/ns/shop/sa/${client.name}`);
        assert.equal(inbound['src.workload'], client.name);
        assert.equal(inbound['dst.service'], web.hostname);
        const outbound = await stage.lineOf(client, {
          direction: 'outbound',
          'src.workload': client.name,
        });
        assert.equal(outbound['dst.identity'], `spiffe://cluster.local/ns/shop/sa/${server.name}`);
        assert.equal(outbound['dst.workload'], server.name);
      });

      test('is reached through its waypoint when the service has one', async () => {
        const wpName = {
          by: 'hostname',
          namespace: 'shop',
          hostname: 'far-wp',
          port: 15008,
        } as const;
        const { front, server, web, client } = await abroad({ waypoint: wpName });
        stage.cluster.push({ kind: 'service', service: serviceOf('far-wp', '10.96.9.9', []) });
        const wpService = { ...serviceOf('far-wp', '10.96.9.8', []), hostname: 'far-wp' };
        stage.cluster.push({ kind: 'service', service: wpService });
        const waypointPod = stage.lan.addPod('waypoint', 'node-b');
        stage.cluster.announce(waypointPod, {
          network: 'east',
          networkGateway: { ...by(front), network: 'east' },
          nativeTunnel: true,
          ...stage.behind(wpService, portOf(15008, 15008)),
        });
        const san = `spiffe://cluster.local/ns/shop/sa/${waypointPod.name}`;
        const { vip, ...rest } = web;
        stage.cluster.push({ kind: 'service', service: { ...rest, subjectAltNames: [san] } });
        await stage.cluster.enrol(server);
        await stage.whoami(server);
        await gateway({ ...stage.peers, pod: front }, waypointPod);
        const requests = await waypoint(
          { ...stage.peers, pod: waypointPod },
          { pod: server, port: 8080 },
        );
        assert.equal(await stage.asked(client, vip, 80), waypointPod.v4);
        assert.equal(requests[0]?.authority, `${web.hostname}:80`);
        assert.deepEqual(requests[0]?.peer, identityOf(client));
      });

      test('is refused when somebody else answers inside', async () => {
        const { front, server, web, client } = await abroad({
          subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/somebody-else'],
        });
        await stage.cluster.enrol(server);
        const seen = await stage.whoami(server);
        await gateway({ ...stage.peers, pod: front }, server);
        assert.equal(await stage.ending(client, web.vip, 80), 'ECONNRESET');
        await stage.lineOf(client, { 'src.workload': client.name, flag: 'TLS_FAILURE' });
        assert.deepEqual(seen, []);
      });
    });

    describe('an endpoint', () => {
      test('stays the client’s own for a service with session affinity', async () => {
        const web = stage.service({ sessionAffinitySeconds: 60 });
        const pods = await Promise.all(
          (['node-a', 'node-b', 'node-b'] as const).map((node) =>
            stage.enrolled('server', node, stage.behind(web)),
          ),
        );
        const seen = await Promise.all(pods.map((pod) => stage.whoami(pod)));
        for (const client of [
          await stage.enrolled('client', 'node-a'),
          await stage.enrolled('client', 'node-a'),
        ]) {
          const before = seen.map((calls) => calls.length);
          for (let i = 0; i < 12; i++)
            assert.equal(await stage.asked(client, web.vip, 80), client.v4);
          const grew = seen.filter((calls, at) => calls.length > (before[at] ?? 0));
          assert.equal(grew.length, 1);
        }
      });

      test('with a DNS name only is looked up and dialled in plain TCP', async () => {
        const web = stage.service();
        const outside = stage.lan.addPod('outside', 'node-b');
        names.set('db.example.com', outside);
        stage.cluster.announce(outside, {
          protocol: 'tcp',
          addresses: [],
          hostname: 'db.example.com',
          ...stage.behind(web),
        });
        await stage.whoami(outside);
        const client = await stage.enrolled('client', 'node-a');
        assert.equal(await stage.asked(client, web.vip, 80), client.v4);
      });

      test('that nobody can name is a reset with its own flag', async () => {
        const web = stage.service();
        const outside = stage.lan.addPod('outside', 'node-b');
        const hostname = 'gone.example.com';
        stage.cluster.announce(outside, {
          protocol: 'tcp',
          addresses: [],
          hostname,
          ...stage.behind(web),
        });
        const client = await stage.enrolled('client', 'node-a');
        assert.equal(await stage.ending(client, web.vip, 80), 'ECONNRESET');
        await stage.lineOf(client, { 'src.workload': client.name, flag: 'DNS' });
      });

      test('that is not there at all is told at once', async () => {
        const web = stage.service();
        const client = await stage.enrolled('client', 'node-a');
        assert.equal(await stage.ending(client, web.vip, 80), 'ECONNRESET');
        const line = await stage.lineOf(client, { 'src.workload': client.name, flag: 'UH' });
        assert.ok(Number.parseInt(String(line['duration']), 10) < 100, String(line['duration']));
      });
    });

    test('a destination the mesh does not know is refused where only known ones are allowed', async () => {
      const unknown = stage.lan.addPod('unknown', 'node-b');
      await stage.whoami(unknown);
      const web = stage.service();
      const server = await stage.enrolled('server', 'node-b', stage.behind(web));
      await stage.whoami(server);
      const open = await stage.enrolled('client', 'node-a');
      const bound = await stage.enrolled('client', 'node-a', { outboundPolicy: 'registry-only' });
      assert.equal(await stage.asked(open, unknown.v4, 8080), open.v4);
      assert.equal(await stage.ending(bound, unknown.v4, 8080), 'ECONNRESET');
      await stage.lineOf(bound, { 'src.workload': bound.name, flag: 'BLACKHOLE' });
      assert.equal(await stage.asked(bound, web.vip, 80), bound.v4);
      assert.equal(await stage.asked(bound, server.v4, 8080), bound.v4);
    });
  });
}
