import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import { createLog } from '../../../runtime/log.ts';
import { type ServiceRecord, Zone } from './records.ts';
import { type Forward, startDns } from './server.ts';

const SERVICES: ServiceRecord[] = [
  {
    namespace: 'demo',
    name: 'web',
    clusterIps: ['10.96.1.1', 'fd00::11'],
    ports: [{ name: 'http', protocol: 'TCP', port: 80 }],
    endpoints: [],
  },
  {
    namespace: 'demo',
    name: 'db',
    clusterIps: [],
    ports: [{ name: 'sql', protocol: 'TCP', port: 5432 }],
    endpoints: [
      { ip: '10.244.1.2', hostname: 'db-0', ports: { sql: 15_432 } },
      { ip: '10.244.1.3' },
    ],
  },
  { namespace: 'demo', name: 'empty', clusterIps: [], ports: [], endpoints: [] },
  {
    namespace: 'demo',
    name: 'out',
    clusterIps: [],
    externalName: 'example.org',
    ports: [],
    endpoints: [],
  },
];
const zone = new Zone(SERVICES);

const TABLE: [name: string, type: string, expected: string][] = [
  ['web.demo.svc.cluster.local', 'A', '10.96.1.1'],
  ['WEB.Demo.svc.cluster.local', 'AAAA', 'fd00::11'],
  ['web.demo.svc.cluster.local', 'MX', 'no-data'],
  ['web.demo.svc.cluster.local', 'SRV', 'web.demo.svc.cluster.local:80'],
  ['_http._tcp.web.demo.svc.cluster.local', 'SRV', 'web.demo.svc.cluster.local:80'],
  ['_http._udp.web.demo.svc.cluster.local', 'SRV', 'no-such-name'],
  ['db.demo.svc.cluster.local', 'A', '10.244.1.2 10.244.1.3'],
  ['db.demo.svc.cluster.local', 'AAAA', 'no-data'],
  ['db-0.db.demo.svc.cluster.local', 'A', '10.244.1.2'],
  ['10-244-1-3.db.demo.svc.cluster.local', 'A', '10.244.1.3'],
  ['db-9.db.demo.svc.cluster.local', 'A', 'no-such-name'],
  [
    '_sql._tcp.db.demo.svc.cluster.local',
    'SRV',
    'db-0.db.demo.svc.cluster.local:15432 10-244-1-3.db.demo.svc.cluster.local:5432',
  ],
  ['empty.demo.svc.cluster.local', 'A', 'no-such-name'],
  ['out.demo.svc.cluster.local', 'A', 'example.org'],
  ['nobody.demo.svc.cluster.local', 'A', 'no-such-name'],
  ['demo.svc.cluster.local', 'A', 'no-data'],
  ['nowhere.svc.cluster.local', 'A', 'no-such-name'],
  ['cluster.local', 'A', 'no-data'],
  ['x.cluster.local', 'A', 'no-such-name'],
  ['1.1.96.10.in-addr.arpa', 'PTR', 'web.demo.svc.cluster.local'],
  ['2.1.244.10.in-addr.arpa', 'PTR', 'db-0.db.demo.svc.cluster.local'],
  ['example.org', 'A', 'not-ours'],
  ['notcluster.local', 'A', 'not-ours'],
];

for (const [name, type, expected] of TABLE) {
  test(`${type} ${name} -> ${expected}`, () => {
    const result = zone.resolve(name, type);
    const answers = result.kind === 'found' ? result.answers : [];
    const texts = answers.map((answer) =>
      answer.type === 'SRV' ? `${answer.data.target}:${answer.data.port}` : answer.data,
    );
    assert.equal(result.kind === 'found' ? texts.join(' ') : result.kind, expected);
  });
}

async function serve(
  t: TestContext,
  services: ServiceRecord[],
  forward?: Forward,
): Promise<number> {
  const probe = createSocket('udp4').bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  const log = createLog({ component: 'test', level: 'error' });
  const parts = forward === undefined ? { log } : { log, forward };
  const server = await startDns(parts, { addresses: ['127.0.0.1'], port });
  server.sync(services);
  t.after(() => server.close());
  return port;
}

function query(name: string, more: Partial<Packet> = {}): Buffer {
  return encode({
    type: 'query',
    id: 77,
    flags: 0x0100,
    questions: [{ type: 'A', name }],
    ...more,
  });
}

async function askUdp(port: number, bytes: Buffer): Promise<DecodedPacket> {
  const socket = createSocket('udp4');
  socket.send(bytes, port, '127.0.0.1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return decode(answer);
}

const CODES: Record<number, string> = { 0: 'NOERROR', 2: 'SERVFAIL', 3: 'NXDOMAIN' };
const codeOf = (packet: DecodedPacket): string | undefined => CODES[(packet.flags ?? 0) & 0xf];

test('an answer too long for a datagram is cut and marked, and whole over TCP, two queries in one connection', async (t) => {
  const many = Array.from({ length: 100 }, (_, i) => ({ ip: `10.244.1.${i}` }));
  const port = await serve(t, [
    { namespace: 'demo', name: 'big', clusterIps: [], ports: [], endpoints: many },
  ]);
  const name = 'big.demo.svc.cluster.local';
  const short = await askUdp(port, query(name));
  assert.equal(short.flag_tc, true);
  assert.equal(short.answers?.length, 0);
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const framed = Buffer.concat([Buffer.of(0, query(name).length), query(name)]);
  // in two pieces, the second query's length among the first's bytes
  const both = Buffer.concat([framed, framed]);
  socket.write(both.subarray(0, framed.length + 1));
  let received = Buffer.alloc(0);
  const count = (): number => {
    let answers = 0;
    for (let rest = received; rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0); ) {
      const end = 2 + rest.readUInt16BE(0);
      assert.equal(decode(rest.subarray(2, end)).answers?.length, 100);
      answers += 1;
      rest = rest.subarray(end);
    }
    return answers;
  };
  while (count() < 1)
    received = Buffer.concat([received, (await once(socket, 'data'))[0] as Buffer]);
  socket.write(both.subarray(framed.length + 1));
  while (count() < 2)
    received = Buffer.concat([received, (await once(socket, 'data'))[0] as Buffer]);
});

test('answers of "no such name" and "no such type" say how long they may be believed', async (t) => {
  const port = await serve(t, SERVICES);
  const missing = await askUdp(port, query('nobody.demo.svc.cluster.local'));
  assert.equal(codeOf(missing), 'NXDOMAIN');
  assert.equal(missing.authorities?.[0]?.type, 'SOA');
  const empty = await askUdp(
    port,
    query('', { questions: [{ type: 'MX', name: 'web.demo.svc.cluster.local' }] }),
  );
  assert.equal(codeOf(empty), 'NOERROR');
  assert.equal(empty.answers?.length, 0);
});

test('a name outside the cluster is passed on; without anybody to ask it does not exist', async (t) => {
  const alone = await serve(t, SERVICES);
  assert.equal(codeOf(await askUdp(alone, query('example.org'))), 'NXDOMAIN');
  const forward: Forward = async (bytes) => {
    const { id, questions = [] } = decode(bytes);
    const [question] = questions;
    if (question?.name === 'broken.org') throw new Error('no answer');
    return encode({
      type: 'response',
      id: id ?? 0,
      questions,
      answers: [{ type: 'A', name: question?.name ?? '', data: '192.0.2.1', ttl: 60 }],
    });
  };
  const port = await serve(t, SERVICES, forward);
  const passed = await askUdp(port, query('example.org'));
  assert.deepEqual(
    passed.answers?.map((answer) => 'data' in answer && answer.data),
    ['192.0.2.1'],
  );
  assert.equal(codeOf(await askUdp(port, query('broken.org'))), 'SERVFAIL');
  const alias = await askUdp(port, query('out.demo.svc.cluster.local'));
  assert.deepEqual(
    alias.answers?.map((answer) => [answer.name, answer.type, 'data' in answer && answer.data]),
    [
      ['out.demo.svc.cluster.local', 'CNAME', 'example.org'],
      ['example.org', 'A', '192.0.2.1'],
    ],
  );
});

test('garbage is dropped and the next query answered', async (t) => {
  const port = await serve(t, SERVICES);
  const socket = createSocket('udp4');
  for (const bytes of [Buffer.alloc(1), Buffer.alloc(12, 0xff), Buffer.alloc(600, 0xc0)]) {
    socket.send(bytes, port, '127.0.0.1');
  }
  socket.send(query('web.demo.svc.cluster.local'), port, '127.0.0.1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  assert.equal(decode(answer).id, 77);
});
