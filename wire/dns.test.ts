import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decode, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { type IpAddress, parseIp } from '../mesh/address.ts';
import { readName, writeName } from './dns-name.ts';
import { type DnsQuery, datagramBytes, type QueryReading, readQuery } from './dns-query.ts';
import { readUpstreamHead, writeResponse } from './dns-response.ts';

const OPT = { type: 'OPT', name: '.', udpPayloadSize: 1400, flags: 0, options: [] } as const;
type Additional = NonNullable<Packet['additionals']>[number];

function asked(
  name: string,
  type: 'A' | 'AAAA' | 'SRV' | 'AXFR' = 'A',
  packet: Packet = {},
): Buffer {
  return encode({
    type: 'query',
    id: 4711,
    flags: 0x0100,
    questions: [{ name, type, class: 'IN' }],
    ...packet,
  });
}
function query(message: Uint8Array): DnsQuery {
  const reading = readQuery(message);
  assert.ok(reading.kind === 'query', JSON.stringify(reading));
  return reading.query;
}
/** The outcome of a message that is no query we take: why, and the code it is answered with. */
function outcome(message: Uint8Array): string {
  const reading: QueryReading = readQuery(message);
  if (reading.kind === 'refused') return `${reading.reason} ${reading.rcode}`;
  return reading.kind === 'dropped' ? `dropped ${reading.reason}` : 'query';
}
function edited(
  message: Uint8Array,
  ...changes: readonly (readonly [at: number, byte: number])[]
): Uint8Array {
  const copy = Uint8Array.from(message);
  for (const [at, byte] of changes) copy[at] = byte;
  return copy;
}
function raw(
  name: readonly number[],
  { counts = [1, 0, 0, 0], after = [] as number[] } = {},
): Uint8Array {
  const words = counts.flatMap((count) => [count >> 8, count & 0xff]);
  return Uint8Array.from([0x12, 0x67, 1, 0, ...words, ...name, 0, 1, 0, 1, ...after]);
}

const LABEL = fc
  .array(fc.constantFrom('a', 'b', 'x', 'z', '0', '9', '-', '_'), { minLength: 1, maxLength: 63 })
  .map((letters) => letters.join(''));
const NAME = fc
  .array(LABEL, { minLength: 1, maxLength: 6 })
  .map((labels) => labels.join('.'))
  .filter((name) => name.length <= 253);

describe('a DNS query', () => {
  test('is read as another implementation wrote it', () => {
    fc.assert(
      fc.property(
        NAME,
        fc.constantFrom('A' as const, 'AAAA' as const, 'SRV' as const),
        (name, type) => {
          const message = asked(name, type, { additionals: [OPT as unknown as Additional] });
          const read = query(message);
          assert.equal(read.id, 4711);
          assert.equal(read.question.name, name);
          assert.equal(read.question.type, { A: 1, AAAA: 28, SRV: 33 }[type]);
          assert.equal(read.question.class, 1);
          assert.deepEqual(read.edns, { payloadBytes: 1400 });
        },
      ),
    );
  });

  test('is asked in any case, and is one name', () => {
    assert.equal(query(asked('WwW.ExAmple.COM')).question.name, 'www.example.com');
  });

  test('for the root has no labels', () => {
    assert.equal(query(raw([0])).question.name, '');
  });

  test('bytes that are no plain characters cannot be taken for dots', () => {
    assert.equal(query(raw([3, 0x61, 0x2e, 0x62, 0])).question.name, 'a\\046b');
    assert.equal(query(raw([2, 0xff, 0x5c, 0])).question.name, '\\255\\092');
  });

  const valid = asked('web.shop');
  const rows: readonly (readonly [what: string, message: Uint8Array, expected: string])[] = [
    ['shorter than a header', valid.subarray(0, 11), 'dropped short'],
    ['nothing', new Uint8Array(), 'dropped short'],
    ['a response sent as a query', edited(valid, [2, 0x81]), 'dropped response'],
    ['a zone update', edited(valid, [2, 0x28]), 'opcode 4'],
    ['a status request', edited(valid, [2, 0x10]), 'opcode 4'],
    ['no question', edited(valid, [5, 0]), 'malformed 1'],
    ['two questions', edited(valid, [5, 2]), 'malformed 1'],
    ['65535 questions', edited(valid, [4, 255], [5, 255]), 'malformed 1'],
    ['a header alone', valid.subarray(0, 12), 'malformed 1'],
    ['a name cut off', valid.subarray(0, 16), 'malformed 1'],
    ['a type cut off', valid.subarray(0, valid.length - 3), 'malformed 1'],
    ['a name that points at itself', raw([0xc0, 12]), 'malformed 1'],
    ['a name that points ahead', raw([0xc0, 14, 0]), 'malformed 1'],
    ['a name that points into the header', raw([0xc0, 4]), 'malformed 1'],
    ['half a pointer', Uint8Array.from([...raw([]).subarray(0, 12), 0xc0]), 'malformed 1'],
    ['a label of an unknown type', raw([0x41, 0x61, 0]), 'malformed 1'],
    ['a label longer than the message', raw([63, 0x61, 0]), 'malformed 1'],
    [
      'a name longer than 255 bytes',
      raw([...Array.from({ length: 128 }, () => [1, 0x61]).flat(), 0]),
      'malformed 1',
    ],
    ['more records than there are', edited(valid, [11, 9]), 'malformed 1'],
    [
      'a record longer than the message',
      raw([0], { counts: [1, 0, 0, 1], after: [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 9] }),
      'malformed 1',
    ],
    [
      'two OPT records',
      asked('web', 'A', { additionals: [OPT, OPT] as unknown as Additional[] }),
      'malformed 1',
    ],
    [
      'an OPT record among the answers',
      raw([0], { counts: [1, 1, 0, 0], after: [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0] }),
      'malformed 1',
    ],
    [
      'a later version of EDNS',
      raw([0], { counts: [1, 0, 0, 1], after: [0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0] }),
      'edns-version 16',
    ],
    ['a zone transfer', asked('shop', 'AXFR'), 'transfer 5'],
    ['larger than any query', Buffer.concat([valid, Buffer.alloc(4096)]), 'malformed 1'],
    ['bytes behind the message', Buffer.concat([valid, Buffer.alloc(9)]), 'query'],
  ];
  for (const [what, message, expected] of rows) {
    test(`${what}: ${expected}`, () => assert.equal(outcome(message), expected));
  }

  test('whatever the bytes, reading ends without a throw', () => {
    const mutated = fc
      .tuple(
        fc.constant(asked('a.b.c.example', 'A', { additionals: [OPT as unknown as Additional] })),
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
      )
      .map(([message, changes]) => edited(message, ...changes));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated), (message) => {
        const reading = readQuery(message);
        if (reading.kind === 'query') assert.ok(reading.query.question.end <= message.length);
        readUpstreamHead(message, { id: 1, question: query(valid).question });
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names', () => {
  test('what was written is read again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { maxLength: 8 }),
        (labels) => {
          const bytes = Uint8Array.from([
            ...labels.flatMap((label) => [label.length, ...label]),
            0,
          ]);
          const read = readName(bytes, 0);
          assert.ok(read);
          assert.equal(read.end, bytes.length);
          const again = writeName(read.text);
          assert.ok(again);
          assert.equal(readName(again, 0)?.text, read.text);
        },
      ),
    );
  });

  test('no name is written of what is none', () => {
    for (const text of [
      'a..b',
      '.',
      'a b',
      'ä',
      'x'.repeat(64),
      'a\\9',
      'a\\999',
      `${'a.'.repeat(127)}aa`,
    ])
      assert.equal(writeName(text), undefined, text);
  });

  test('a chain of pointers is followed back, and ends where the first one stood', () => {
    const header = new Array<number>(12).fill(0);
    const bytes = Uint8Array.from([...header, 1, 0x62, 0, 1, 0x61, 0xc0, 12, 0xc0, 15, 9]);
    assert.deepEqual(readName(bytes, 19), { text: 'a.b', end: 21 });
  });
});

describe('a DNS response of ours', () => {
  const message = asked('WEB.shop', 'A', { additionals: [OPT as unknown as Additional] });
  const read = query(message);
  const ips = (count: number): IpAddress[] =>
    Array.from({ length: count }, (_, index) => parseIp(`10.0.${index >> 8}.${index & 255}`));

  test('is read by another implementation, question and EDNS repeated', () => {
    const bytes = writeResponse(
      message,
      read,
      { rcode: 0, authoritative: true, addresses: ips(2), ttlSeconds: 30 },
      512,
    );
    const packet = decode(Buffer.from(bytes));
    assert.deepEqual(
      [packet.id, packet.type, packet.flag_aa, packet.flag_ra, packet.flag_rd, packet.flag_tc],
      [4711, 'response', true, true, true, false],
    );
    assert.deepEqual(packet.questions, [{ name: 'WEB.shop', type: 'A', class: 'IN' }]);
    const common = { name: 'WEB.shop', type: 'A', ttl: 30, class: 'IN', flush: false };
    assert.deepEqual(packet.answers, [
      { ...common, data: '10.0.0.0' },
      { ...common, data: '10.0.0.1' },
    ]);
    assert.equal(packet.additionals?.length, 1);
  });

  test('leads through a CNAME to the addresses, of both families', () => {
    const bytes = writeResponse(
      message,
      read,
      { rcode: 0, canonicalName: 'web.example', addresses: [parseIp('fd00::1')], ttlSeconds: 30 },
      512,
    );
    const answers = decode(Buffer.from(bytes)).answers ?? [];
    assert.deepEqual(
      answers.map((record) => [record.name, record.type, 'data' in record ? record.data : '']),
      [
        ['WEB.shop', 'CNAME', 'web.example'],
        ['web.example', 'AAAA', 'fd00::1'],
      ],
    );
  });

  test('nothing to say comes with the zone and how long that may be believed', () => {
    const bytes = writeResponse(
      message,
      read,
      { rcode: 0, negativeZone: 'cluster.local', ttlSeconds: 30 },
      512,
    );
    const packet = decode(Buffer.from(bytes));
    assert.deepEqual(packet.answers, []);
    const [soa] = packet.authorities ?? [];
    assert.ok(soa?.type === 'SOA');
    assert.deepEqual([soa.name, soa.ttl, soa.data.minimum], ['cluster.local', 30, 30]);
  });

  test('never exceeds its limit, keeps whole records, and says when some are missing', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.integer({ min: 512, max: 4096 }), (count, limit) => {
        const bytes = writeResponse(
          message,
          read,
          { rcode: 0, addresses: ips(count), ttlSeconds: 30 },
          limit,
        );
        assert.ok(bytes.length <= limit);
        const packet = decode(Buffer.from(bytes));
        const kept = packet.answers?.length ?? 0;
        assert.equal(packet.flag_tc, kept < count);
        // no room is wasted
        if (kept < count) assert.ok(bytes.length + 16 > limit);
      }),
    );
  });

  test('an error to what cannot be read repeats no question', () => {
    const bytes = writeResponse(
      message,
      { id: 9, flags: 0x0110, edns: undefined },
      { rcode: 1 },
      512,
    );
    assert.equal(bytes.length, 12);
    const packet = decode(Buffer.from(bytes));
    assert.deepEqual(
      [packet.id, (packet.flags ?? 0) & 0xf, packet.flag_rd, packet.flag_cd],
      [9, 1, true, true],
    );
  });

  test('a code beyond four bits stands half in the OPT record', () => {
    const bytes = writeResponse(message, { id: 9, flags: 0, edns: undefined }, { rcode: 16 }, 512);
    const [opt] = decode(Buffer.from(bytes)).additionals ?? [];
    assert.ok(opt?.type === 'OPT');
    assert.equal(opt.extendedRcode, 1);
  });

  test('a datagram is as large as the client says, within limits', () => {
    const sized = (payloadBytes: number): number => datagramBytes({ edns: { payloadBytes } });
    assert.deepEqual([sized(0), sized(1232), sized(65_535)], [512, 1232, 4096]);
    assert.equal(datagramBytes({ edns: undefined }), 512);
  });
});

describe('a response of an upstream server', () => {
  const message = asked('web.example');
  const { question } = query(message);
  const expected = { id: 4711, question };
  const answer = (packet: Packet): Buffer =>
    encode({
      type: 'response',
      id: 4711,
      flags: 0,
      questions: [{ name: 'web.example', type: 'A', class: 'IN' }],
      ...packet,
    });

  test('is believed for the same question under the same ID, whatever its case', () => {
    const same = answer({ questions: [{ name: 'WEB.Example', type: 'A' }], flags: 0x0203 });
    assert.deepEqual(readUpstreamHead(same, expected), { rcode: 3, truncated: true });
  });

  test('an error without a question is believed, an answer without one is not', () => {
    assert.deepEqual(readUpstreamHead(answer({ questions: [], flags: 1 }), expected), {
      rcode: 1,
      truncated: false,
    });
    assert.equal(readUpstreamHead(answer({ questions: [] }), expected), undefined);
  });

  const forged: readonly (readonly [string, Uint8Array])[] = [
    ['under another ID', answer({ id: 4712 })],
    ['to another name', answer({ questions: [{ name: 'web.evil', type: 'A' }] })],
    ['to another type', answer({ questions: [{ name: 'web.example', type: 'AAAA' }] })],
    ['to another class', answer({ questions: [{ name: 'web.example', type: 'A', class: 'CH' }] })],
    ['that is a query itself', message],
    ['that is cut off', answer({}).subarray(0, 20)],
    ['that is empty', new Uint8Array()],
  ];
  for (const [what, bytes] of forged) {
    test(`a response ${what} is not believed`, () => {
      assert.equal(readUpstreamHead(bytes, expected), undefined);
    });
  }
});
