// What is forwarded over loopback, and what a name server that is away, slow or lying can make of it.

import assert from 'node:assert/strict';
import { type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { decode } from 'dns-packet';
import { ManualClock } from '../../runtime/manual-clock.ts';
import {
  answering,
  askTcp,
  askUdp,
  brief,
  framed,
  question,
  responseTo,
  startNameServer,
} from '../test-support/name-server.ts';
import { rigging, sample } from './test-rig.ts';
import { UPSTREAM_TCP_TIMEOUT_MS, UPSTREAM_UDP_TIMEOUT_MS } from './upstream.ts';

describe('DNS the mesh does not know', () => {
  const { upstream, rig, rawServer, tcp } = rigging();

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

  test('a name of the mesh exists for every type of record, whatever the name servers know of it', async () => {
    const server = await upstream(({ packet }) => [responseTo(packet, { flags: 0x8183 })]);
    const { client, udpDoor } = await rig([server.at]);
    assert.equal(brief(await askUdp(client, udpDoor, question('cart.shop', 'TXT'))), 'nothing');
    assert.equal(brief(await askUdp(client, udpDoor, question('nobody.shop', 'TXT'))), 'code 3');
    assert.equal(server.asked.length, 2);
  });

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

  for (const [what, reason, behave] of [
    ['hangs up', 'unreachable', (socket: Socket) => socket.end()],
    ['resets', 'unreachable', (socket: Socket) => socket.resetAndDestroy()],
    ['answers nonsense', 'implausible', (socket: Socket) => socket.end(framed(Buffer.alloc(30)))],
    ['ends in the middle', 'unreachable', (socket: Socket) => socket.end(Buffer.of(0, 40, 1, 2))],
  ] as const) {
    test(`a name server that ${what} over TCP is a failure`, async () => {
      const server = await rawServer((socket) => socket.once('data', () => behave(socket)));
      const { tcpDoor, metrics } = await rig([server], { clock: new ManualClock() });
      assert.equal(brief(await askTcp(await tcp(tcpDoor), question('www.example'))), 'code 2');
      const failures = await sample(metrics, 'ambit_dns_upstream_failures_total');
      assert.match(failures, new RegExp(`${reason}"\\} 1`));
    });
  }

  test('a name server that says half of its answer and no more over TCP costs its time only', async () => {
    const clock = new ManualClock();
    const asked = Promise.withResolvers<void>();
    const again = Promise.withResolvers<void>();
    let count = 0;
    const server = await rawServer((socket) =>
      socket.once('data', () => {
        socket.write(Buffer.of(0, 40, 1, 2));
        if (++count === 1) asked.resolve();
        else again.resolve();
      }),
    );
    const { tcpDoor, metrics, open } = await rig([server], { clock });
    const answer = askTcp(await tcp(tcpDoor), question('www.example'));
    await asked.promise;
    await clock.advance(UPSTREAM_TCP_TIMEOUT_MS);
    await again.promise;
    await clock.advance(UPSTREAM_TCP_TIMEOUT_MS);
    assert.equal(brief(await answer), 'code 2');
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /timeout"\} 1/);
    assert.equal(open(), 0);
  });

  test('a client that resets its connection takes its questions with it', async () => {
    const clock = new ManualClock();
    const silent = await upstream(() => []);
    const { tcpDoor, open, metrics } = await rig([silent.at], { clock });
    const socket = await tcp(tcpDoor);
    socket.write(framed(question('www.example')));
    await silent.heard(1);
    assert.equal(open(), 1);
    const gone = silent.left();
    socket.resetAndDestroy();
    await gone;
    assert.match(await sample(metrics, 'ambit_dns_upstream_in_flight'), / 0$/m);
  });

  test('an agent without any name server says so', async () => {
    const { client, udpDoor, metrics } = await rig([]);
    assert.equal(brief(await askUdp(client, udpDoor, question('www.example'))), 'code 2');
    assert.match(await sample(metrics, 'ambit_dns_upstream_failures_total'), /no-server"\} 1/);
  });
});
