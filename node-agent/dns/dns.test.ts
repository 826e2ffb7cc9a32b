// Captured DNS over loopback: the doors, what the mesh answers, and what a hostile client can make of it. The kernel's part
// (redirection) is in test/netns.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { describe, test } from 'node:test';
import { decode } from 'dns-packet';
import fc from 'fast-check';
import { ManualClock } from '../../runtime/manual-clock.ts';
import {
  answering,
  askTcp,
  askUdp,
  brief,
  framed,
  onMessages,
  question,
  responseTo,
} from '../test-support/name-server.ts';
import { HandmadeDiscovery } from '../test-support/world.ts';
import { MAX_TCP_CONNECTIONS_POD } from './dns.ts';
import { MAX_IN_FLIGHT_POD } from './forwarder.ts';
import { CLIENT_WAIT_MS, KnownClients, MAX_WAITING } from './known-client.ts';
import { MAX_PIPELINED, TCP_IDLE_MS } from './tcp-door.ts';
import { closed, KNOWN, POD, rigging, sample } from './test-rig.ts';
import { UPSTREAM_UDP_TIMEOUT_MS } from './upstream.ts';

describe('DNS of a pod', () => {
  const { upstream, rig, tcp } = rigging();

  test('a name of the mesh is answered without any name server', async () => {
    const { client, udpDoor } = await rig([]);
    const answer = await askUdp(client, udpDoor, question('cart'));
    const packet = decode(answer);
    assert.equal(brief(answer), 'A 10.96.0.7');
    assert.deepEqual(
      [packet.id, packet.flag_aa, packet.answers?.[0]?.type === 'A' && packet.answers[0].ttl],
      [4711, true, 30],
    );
  });

  test('the other family is no error and no data, with the zone that says so', async () => {
    const { client, udpDoor } = await rig([]);
    const packet = decode(await askUdp(client, udpDoor, question('cart', 'AAAA')));
    assert.deepEqual([packet.flags && packet.flags & 0xf, packet.answers], [0, []]);
    assert.deepEqual(
      packet.authorities?.map(({ name, type }) => [name, type]),
      [['cluster.local', 'SOA']],
    );
  });

  test('a search domain behind a name of the mesh leads to it', async () => {
    const { client, udpDoor } = await rig([]);
    const answer = await askUdp(client, udpDoor, question('cart.shop.shop.svc.cluster.local'));
    assert.equal(brief(answer), 'CNAME cart.shop.svc.cluster.local, A 10.96.0.7');
  });

  test('an answer that does not fit a datagram is truncated, and whole by TCP', async () => {
    const { client, udpDoor, tcpDoor } = await rig([]);
    const small = decode(await askUdp(client, udpDoor, question('many')));
    assert.equal(small.flag_tc, true);
    assert.ok((small.answers?.length ?? 0) > 20);
    const whole = decode(await askTcp(await tcp(tcpDoor), question('many')));
    assert.deepEqual([whole.flag_tc, whole.answers?.length], [false, 100]);
  });

  test('a client that says it takes more gets more in one datagram', async () => {
    const { client, udpDoor } = await rig([]);
    const opt = { type: 'OPT', name: '.', udpPayloadSize: 4096, flags: 0, options: [] };
    const asked = question('many', 'A', { additionals: [opt] as never });
    const packet = decode(await askUdp(client, udpDoor, asked));
    assert.deepEqual(
      [packet.flag_tc, packet.answers?.length, packet.additionals?.length],
      [false, 100, 1],
    );
  });

  test('a pod that is just being made has its first answer as soon as the mesh knows it', async () => {
    const discovery = new HandmadeDiscovery();
    const { client, udpDoor } = await rig([], { discovery, clock: new ManualClock() });
    const answer = askUdp(client, udpDoor, question('cart'));
    await discovery.watched(1);
    discovery.push(...KNOWN);
    assert.equal(brief(await answer), 'A 10.96.0.7');
  });

  test('a pod the mesh does not get to know has a failure, not a wrong answer', async () => {
    const clock = new ManualClock();
    const discovery = new HandmadeDiscovery();
    const { client, udpDoor } = await rig([], { discovery, clock });
    const answer = askUdp(client, udpDoor, question('cart'));
    await discovery.watched(1);
    await clock.advance(CLIENT_WAIT_MS);
    assert.equal(brief(await answer), 'code 2');
  });

  test('only so many questions of an unknown pod wait, on one timer', async () => {
    const clock = new ManualClock();
    const discovery = new HandmadeDiscovery();
    const clients = new KnownClients({ clock, discovery });
    const waiting = Array.from({ length: MAX_WAITING }, () => clients.find('nobody'));
    assert.equal(await clients.find('nobody'), undefined);
    assert.equal(clock.pending(), 1);
    await clock.advance(CLIENT_WAIT_MS);
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set([undefined]));
    assert.equal(clock.pending(), 0);
  });

  test('a pod may have only so many questions under way; the rest fail at once', async () => {
    const clock = new ManualClock();
    const silent = await upstream(() => []);
    const { client, udpDoor, metrics, open } = await rig([silent.at], { clock });
    const answers: Promise<Buffer>[] = [];
    for (let index = 0; index < MAX_IN_FLIGHT_POD; index++)
      client.send(question(`n${index}.example`), udpDoor.port, udpDoor.ip);
    await silent.heard(MAX_IN_FLIGHT_POD);
    assert.equal(open(), MAX_IN_FLIGHT_POD);
    answers.push(askUdp(client, udpDoor, question('over.example')));
    assert.equal(brief((await answers[0])!), 'code 2');
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /limit"\} 1/);
    assert.match(
      await sample(metrics, 'ambit_dns_upstream_in_flight'),
      new RegExp(`${MAX_IN_FLIGHT_POD}`),
    );
    // and they all end in time
    await clock.advance(UPSTREAM_UDP_TIMEOUT_MS);
    await silent.heard(2 * MAX_IN_FLIGHT_POD);
    await clock.advance(UPSTREAM_UDP_TIMEOUT_MS);
  });

  test("the pod's own search domains count, and the usual ones then do not", async () => {
    const server = await upstream(({ packet }) => [responseTo(packet, { flags: 0x8183 })]);
    const own = { servers: [], order: 'after', search: ['corp.test'] } as const;
    const { client, udpDoor } = await rig([server.at], { own });
    const ask = async (name: string): Promise<string> =>
      brief(await askUdp(client, udpDoor, question(name)));
    assert.equal(
      await ask('cart.shop.corp.test'),
      'CNAME cart.shop.svc.cluster.local, A 10.96.0.7',
    );
    assert.equal(await ask('cart.shop.shop.svc.cluster.local'), 'code 3');
  });

  test('malformed messages are answered as such or not at all, and the door goes on', async () => {
    const { client, udpDoor, metrics } = await rig([]);
    const header = question('x').subarray(0, 12);
    const looping = Buffer.concat([header, Buffer.of(0xc0, 12, 0, 1, 0, 1)]);
    for (const [message, expected] of [
      [header, 'code 1'],
      [looping, 'code 1'],
      [question('x').subarray(0, 14), 'code 1'],
      [Buffer.concat([question('x'), Buffer.alloc(5000)]), 'code 1'],
    ] as const) {
      assert.equal(brief(await askUdp(client, udpDoor, message)), expected);
    }
    const silent = [Buffer.alloc(0), Buffer.of(1), framed(question('x')).fill(0x80, 2, 6)];
    for (const message of silent) client.send(message, udpDoor.port, udpDoor.ip);
    assert.equal(brief(await askUdp(client, udpDoor, question('cart'))), 'A 10.96.0.7');
    assert.match(await sample(metrics, 'ambit_dns_malformed_total'), /malformed"\} 4/);
  });

  test('whatever the bytes, the door goes on and answers with no more than a header', async () => {
    const { client, udpDoor } = await rig([]);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 12, maxLength: 64 }), async (bytes) => {
        const message = Uint8Array.from(bytes);
        // a query with no question: never forwarded, always refused
        message.set([0, 0, 0, 0], 2);
        const answer = await askUdp(client, udpDoor, message);
        assert.ok(answer.length <= message.length);
      }),
      { numRuns: 200 },
    );
    assert.equal(brief(await askUdp(client, udpDoor, question('cart'))), 'A 10.96.0.7');
  });

  test('a response sent as a question is not answered', async () => {
    const { client, udpDoor, metrics } = await rig([]);
    const response = question('cart');
    response.writeUInt16BE(0x8180, 2);
    client.send(response, udpDoor.port, udpDoor.ip);
    assert.equal(brief(await askUdp(client, udpDoor, question('cart'))), 'A 10.96.0.7');
    assert.match(await sample(metrics, 'ambit_dns_malformed_total'), /response"\} 1/);
  });

  test('several questions on one connection are each answered, in the order they are done', async () => {
    const server = await upstream(answering({ type: 'A', name: 'www.example', data: '192.0.2.1' }));
    const { tcpDoor } = await rig([server.at]);
    const socket = await tcp(tcpDoor);
    const answers: string[] = [];
    const all = new Promise<void>((resolve) => {
      onMessages(socket, (message) => {
        answers.push(brief(message));
        if (answers.length === 2) resolve();
      });
    });
    socket.write(Buffer.concat([framed(question('www.example')), framed(question('cart'))]));
    await all;
    assert.deepEqual(answers, ['A 10.96.0.7', 'A 192.0.2.1']);
  });

  test('a question that comes byte by byte is one question', async () => {
    const { tcpDoor } = await rig([]);
    const socket = await tcp(tcpDoor);
    socket.setNoDelay(true);
    const answer = new Promise<Buffer>((resolve) => onMessages(socket, resolve));
    for (const byte of framed(question('cart'))) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(brief(await answer), 'A 10.96.0.7');
  });

  test('a client that has said its last still gets its answer, then the end', async () => {
    const { tcpDoor } = await rig([]);
    const socket = await tcp(tcpDoor);
    const answer = askTcp(socket, question('cart'));
    socket.end();
    assert.equal(brief(await answer), 'A 10.96.0.7');
    await once(socket, 'end');
  });

  test('a message longer than any query ends the connection', async () => {
    const { tcpDoor, metrics } = await rig([]);
    const socket = await tcp(tcpDoor);
    socket.write(Buffer.of(0xff, 0xff));
    socket.resume();
    await closed(socket);
    assert.match(await sample(metrics, 'ambit_dns_malformed_total'), /oversized"\} 1/);
  });

  test('a client that never finishes its question is cut when the time is up', async () => {
    const clock = new ManualClock();
    const { tcpDoor, metrics } = await rig([], { clock });
    const socket = await tcp(tcpDoor);
    // an answered one first, so that the connection is known to be served
    assert.equal(brief(await askTcp(socket, question('cart'))), 'A 10.96.0.7');
    socket.write(framed(question('cart')).subarray(0, 9));
    socket.resume();
    const cut = closed(socket);
    await clock.advance(TCP_IDLE_MS);
    await cut;
    assert.match(await sample(metrics, 'ambit_dns_malformed_total'), /idle"\} 1/);
  });

  test('a flood of questions on one connection is read only as fast as it is answered', async () => {
    const clock = new ManualClock();
    const silent = await upstream(() => []);
    const { tcpDoor, open } = await rig([silent.at], { clock });
    const socket = await tcp(tcpDoor);
    const flood = Array.from({ length: 500 }, (_, index) => framed(question(`n${index}.example`)));
    socket.write(Buffer.concat(flood));
    await silent.heard(MAX_PIPELINED);
    assert.equal(silent.asked.length, MAX_PIPELINED);
    assert.equal(open(), MAX_PIPELINED);
    socket.destroy();
    await closed(socket);
  });

  test('a pod may have only so many connections', async () => {
    const { tcpDoor, metrics, dns } = await rig([]);
    const sockets = await Promise.all(
      Array.from({ length: MAX_TCP_CONNECTIONS_POD }, () => tcp(tcpDoor)),
    );
    // answered, so the door has counted each of them
    for (const socket of sockets) await askTcp(socket, question('cart'));
    // it may be reset before it knows that it was connected
    const over = createConnection(tcpDoor.port, tcpDoor.ip);
    over.on('error', () => {});
    over.resume();
    await closed(over);
    assert.match(await sample(metrics, 'ambit_dns_malformed_total'), /connections"\} 1/);
    dns.release(POD.uid);
    for (const socket of sockets) await closed(socket);
    assert.equal(brief(await askTcp(await tcp(tcpDoor), question('cart'))), 'A 10.96.0.7');
  });

  test('queries are counted by type, protocol and who asks', async () => {
    const server = await upstream(answering());
    const { client, udpDoor, metrics } = await rig([server.at]);
    await askUdp(client, udpDoor, question('cart'));
    await askUdp(client, udpDoor, question('www.example', 'TXT'));
    const of = 'source_canonical_service="web",source_canonical_revision="latest"';
    assert.equal(
      await sample(metrics, 'istio_dns_requests_total{'),
      `istio_dns_requests_total{request_query_type="A",request_protocol="udp",${of}} 1\n` +
        `istio_dns_requests_total{request_query_type="TXT",request_protocol="udp",${of}} 1`,
    );
    assert.equal(
      await sample(metrics, 'istio_dns_upstream_requests_total{'),
      `istio_dns_upstream_requests_total{request_query_type="TXT",request_protocol="udp",${of}} 1`,
    );
    assert.match(await sample(metrics, 'istio_dns_upstream_request_duration_seconds_count'), / 1$/);
  });
});
