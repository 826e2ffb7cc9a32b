// Captured DNS over loopback: the doors, what the mesh answers, what is forwarded, and what a hostile client or name server
// can make of it. The kernel's part (redirection) is in test/netns.

import assert from 'node:assert/strict';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  type AddressInfo,
  createConnection,
  createServer,
  type Server,
  type Socket,
} from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { decode } from 'dns-packet';
import fc from 'fast-check';
import { type IpPort, parseIp } from '../../mesh/address.ts';
import type { PodDns } from '../../mesh/enrolment.ts';
import { emptySnapshot, type Snapshot } from '../../mesh/snapshot.ts';
import type { Clock } from '../../runtime/clock.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { dial } from '../../tunnel/socket.ts';
import {
  answering,
  askTcp,
  askUdp,
  brief,
  framed,
  type NameServer,
  onMessages,
  openTcp,
  question,
  responseTo,
  type Script,
  startNameServer,
} from '../test-support/name-server.ts';
import { enrolmentOf, portOf, serviceOf, workloadOf } from '../test-support/world.ts';
import type { DnsPod } from './answer.ts';
import { Dns, MAX_TCP_CONNECTIONS_POD } from './dns.ts';
import { MAX_IN_FLIGHT_POD } from './forwarder.ts';
import { MAX_PIPELINED, TCP_IDLE_MS } from './tcp-door.ts';
import { UPSTREAM_UDP_TIMEOUT_MS } from './upstream.ts';

const LOOPBACK = parseIp('127.0.0.1');
const POD = { name: 'web', uid: 'pod-web', addresses: ['10.0.0.9'] };
const KNOWN = emptySnapshot.apply([
  { kind: 'workload', workload: workloadOf(POD) },
  { kind: 'service', service: serviceOf('cart', '10.96.0.7', [portOf(80, 8080)]) },
  { kind: 'service', service: { ...serviceOf('many', '10.96.0.8', []), vips: [] } },
  ...Array.from({ length: 100 }, (_, index) => ({
    kind: 'workload' as const,
    workload: workloadOf(
      { name: `many-${index}`, uid: `m${index}`, addresses: [`10.1.0.${index + 1}`] },
      { services: new Map([['shop/many.shop.svc.cluster.local', []]]) },
    ),
  })),
]);

type Rig = {
  readonly udpDoor: IpPort;
  readonly tcpDoor: IpPort;
  readonly client: UdpSocket;
  readonly metrics: Metrics;
  readonly dns: Dns;
  /** Sockets the agent made for upstream questions and has not closed. */
  readonly open: () => number;
};

describe('DNS of a pod', () => {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  async function upstream(script: Script): Promise<NameServer> {
    const server = await startNameServer(script);
    closing.push(() => server.close());
    return server;
  }

  async function rig(
    servers: readonly IpPort[],
    {
      clock = systemClock,
      snapshot = KNOWN,
      own,
    }: { clock?: Clock; snapshot?: Snapshot; own?: PodDns } = {},
  ): Promise<Rig> {
    let open = 0;
    const metrics = new Metrics();
    let nextId = 0;
    const dns = new Dns(
      {
        clock,
        log: silentLog,
        metrics,
        snapshot: () => snapshot,
        random: () => 0,
        randomId: () => {
          nextId = (nextId + 7919) & 0xffff;
          return nextId;
        },
      },
      { clusterDomain: 'cluster.local', upstream: servers },
    );
    const pod: DnsPod = {
      enrolment: { ...enrolmentOf(POD), ...(own === undefined ? {} : { dns: own }) },
      dial: (target, signal) => dial({ clock }, target, signal),
      udp: (family) => {
        const socket = createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
        open++;
        socket.on('close', () => open--);
        return socket;
      },
    };
    const door = createSocket('udp4');
    door.bind(0, LOOPBACK);
    await once(door, 'listening');
    dns.udp(pod, door);
    const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
      dns.tcp(pod, {
        socket,
        source: { ip: LOOPBACK, port: 1 },
        destination: { ip: LOOPBACK, port: 53 },
      });
    });
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    const client = createSocket('udp4');
    client.bind(0, LOOPBACK);
    await once(client, 'listening');
    closing.push(async () => {
      dns.close();
      client.close();
      door.close();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
      assert.equal(open, 0, 'every upstream socket is closed');
    });
    return {
      udpDoor: { ip: LOOPBACK, port: door.address().port },
      tcpDoor: { ip: LOOPBACK, port: (server.address() as AddressInfo).port },
      client,
      metrics,
      dns,
      open: () => open,
    };
  }

  async function tcp(to: IpPort): Promise<Socket> {
    const socket = await openTcp(to);
    closing.push(() => socket.destroy());
    return socket;
  }

  async function sample(metrics: Metrics, wanted: string): Promise<string> {
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith(wanted));
    return lines.join('\n');
  }

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

  test('a name nobody in the mesh knows is asked upstream byte for byte, and answered byte for byte', async () => {
    const records = [
      {
        type: 'SRV' as const,
        name: '_x._tcp.example',
        ttl: 7,
        data: { port: 1, target: 'a.example' },
      },
    ];
    const server = await upstream(({ packet }) => [
      responseTo(packet, {
        answers: records,
        additionals: [{ type: 'A', name: 'a.example', ttl: 7, data: '192.0.2.1' }],
      }),
    ]);
    const { client, udpDoor } = await rig([server.at]);
    const asked = question('_X._tcp.Example', 'SRV');
    const answer = await askUdp(client, udpDoor, asked);
    assert.equal(server.asked[0]?.bytes.subarray(2).equals(asked.subarray(2)), true);
    const packet = decode(answer);
    assert.equal(packet.id, 4711);
    assert.deepEqual(packet.answers?.length, 1);
    assert.deepEqual(packet.additionals?.length, 1, 'additional records are not dropped');
  });

  for (const [code, meaning] of [
    [3, 'no such name'],
    [2, 'server failure'],
    [5, 'refused'],
  ] as const) {
    test(`what upstream says is passed on: ${meaning}`, async () => {
      const server = await upstream(({ packet }) => [responseTo(packet, { flags: 0x0180 | code })]);
      const { client, udpDoor } = await rig([server.at]);
      assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), `code ${code}`);
    });
  }

  test('a truncated answer from upstream is passed on as such, and asked by TCP when the client does', async () => {
    const server = await upstream(({ packet, transport }) => [
      transport === 'udp'
        ? responseTo(packet, { flags: 0x0380 })
        : responseTo(packet, {
            answers: [{ type: 'A', name: 'big.example', ttl: 1, data: '192.0.2.9' }],
          }),
    ]);
    const { client, udpDoor, tcpDoor } = await rig([server.at]);
    assert.equal(brief(await askUdp(client, udpDoor, question('big.example'))), 'truncated');
    assert.equal(brief(await askTcp(await tcp(tcpDoor), question('big.example'))), 'A 192.0.2.9');
    assert.deepEqual(
      server.asked.map(({ transport }) => transport),
      ['udp', 'tcp'],
    );
  });

  test('an upstream answer larger than the client takes becomes a truncated one', async () => {
    const many = Array.from({ length: 60 }, (_, index) => ({
      type: 'A' as const,
      name: 'big.example',
      ttl: 1,
      data: `192.0.2.${index}`,
    }));
    const server = await upstream(answering(...many));
    const { client, udpDoor } = await rig([server.at]);
    const answer = await askUdp(client, udpDoor, question('big.example'));
    assert.ok(answer.length <= 512);
    assert.equal(decode(answer).flag_tc, true);
  });

  test('each question upstream has an ID and a port of its own', async () => {
    const server = await upstream(answering());
    const { client, udpDoor } = await rig([server.at]);
    for (const name of ['a.example', 'b.example', 'c.example'])
      await askUdp(client, udpDoor, question(name));
    const ids = server.asked.map(({ packet }) => packet.id);
    assert.equal(new Set(ids).size, 3);
    assert.equal(ids.includes(4711), false);
  });

  test('forged answers are passed over, and the true one after them is taken', async () => {
    const server = await upstream(({ packet }) => [
      responseTo(packet, {
        id: ((packet.id ?? 0) + 1) & 0xffff,
        answers: [{ type: 'A', name: 'www.example', data: '6.6.6.6' }],
      }),
      responseTo(packet, {
        questions: [{ name: 'evil.example', type: 'A' }],
        answers: [{ type: 'A', name: 'evil.example', data: '6.6.6.6' }],
      }),
      Uint8Array.of(1, 2, 3),
      responseTo(packet, { answers: [{ type: 'A', name: 'www.example', data: '192.0.2.1' }] }),
    ]);
    const { client, udpDoor } = await rig([server.at]);
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'A 192.0.2.1');
  });

  test('a server that only sends nonsense is given up', async () => {
    const server = await upstream(() => Array.from({ length: 20 }, () => Uint8Array.of(0, 1, 2)));
    const { client, udpDoor, metrics } = await rig([server.at]);
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'code 2');
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /implausible"\} 1/);
  });

  test('a name server that is away is known at once, and the next one is asked', async () => {
    const dead = await startNameServer(answering());
    await dead.close();
    const server = await upstream(answering({ type: 'A', name: 'www.example', data: '192.0.2.1' }));
    const { client, udpDoor } = await rig([dead.at, server.at], { clock: new ManualClock() });
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'A 192.0.2.1');
  });

  test('a silent name server costs its time only, then the next one is asked', async () => {
    const clock = new ManualClock();
    const silent = await upstream(() => []);
    const server = await upstream(answering({ type: 'A', name: 'www.example', data: '192.0.2.1' }));
    const { client, udpDoor } = await rig([silent.at, server.at], { clock });
    const answer = askUdp(client, udpDoor, question('www.example'));
    await silent.heard(1);
    await clock.advance(UPSTREAM_UDP_TIMEOUT_MS);
    assert.equal(brief(await answer), 'A 192.0.2.1');
  });

  test('no name server at all is a failure at once, counted, while names of the mesh go on', async () => {
    const dead = await startNameServer(answering());
    await dead.close();
    const { client, udpDoor, tcpDoor, metrics } = await rig([dead.at], {
      clock: new ManualClock(),
    });
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'code 2');
    assert.equal(brief(await askTcp(await tcp(tcpDoor), question('www.example'))), 'code 2');
    assert.equal(brief(await askUdp(client, udpDoor, question('cart'))), 'A 10.96.0.7');
    assert.match(
      await sample(metrics, 'istio_dns_upstream_failures_total{'),
      /request_protocol="udp".* 1\n.*"tcp".* 1/,
    );
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /unreachable"\} 2/);
  });

  test('an agent without any name server says so', async () => {
    const { client, udpDoor, metrics } = await rig([]);
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'code 2');
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /no-server"\} 1/);
  });

  test('a pod the mesh does not know yet gets a failure, not a wrong answer', async () => {
    const { client, udpDoor } = await rig([], { snapshot: emptySnapshot });
    assert.equal(brief(await askUdp(client, udpDoor, question('cart'))), 'code 2');
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
    assert.equal(open(), 0, 'these go by TCP');
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

/** However it ends: a reset is an end too. */
async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (socket.closed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once('close', () => resolve());
  socket.once('end', () => socket.destroy());
  if (socket.readableEnded) socket.destroy();
  await promise;
}
