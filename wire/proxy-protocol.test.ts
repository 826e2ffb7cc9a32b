import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isIpv6, parseIp } from '../mesh/address.ts';
import { encodeProxyHeader, readProxyHeader } from './proxy-protocol.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const SIGNATURE = '0d0a0d0a000d0a515549540a';
const at = (ip: string, port: number) => ({ ip: parseIp(ip), port });

const V4 = {
  bytes: hex(`${SIGNATURE} 21 11 000c 0a000001 0a000002 1f90 0050`),
  header: { source: at('10.0.0.1', 8080), destination: at('10.0.0.2', 80), tlvs: [] },
};
const V6 = {
  bytes: hex(`${SIGNATURE} 21 21 002a
    fd000000000000000000000000000001 fd000000000000000000000000000002 1f90 0050 d0 0003 616263`),
  header: {
    source: at('fd00::1', 8080),
    destination: at('fd00::2', 80),
    tlvs: [{ type: 0xd0, value: Buffer.from('abc') }],
  },
};

const port = fc.integer({ min: 0, max: 65535 });
const plain = { noNullPrototype: true } as const;
const end = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIp), port }, plain);
const tlv = fc.record(
  {
    type: fc.nat(255),
    value: fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)),
  },
  plain,
);
const header = fc.record(
  { source: end, destination: end, tlvs: fc.array(tlv, { maxLength: 4 }) },
  plain,
);

describe('PROXY protocol version 2', () => {
  for (const { bytes, header } of [V4, V6]) {
    const family = isIpv6(header.source.ip) ? 'IPv6 with a TLV' : 'IPv4';
    test(`${family}: the bytes are those of the specification, both ways`, () => {
      assert.deepEqual(encodeProxyHeader(header), bytes);
      assert.deepEqual(readProxyHeader(bytes), { state: 'done', header, consumed: bytes.length });
    });

    test(`${family}: asks for more until the last byte, and leaves what follows`, () => {
      for (let length = 0; length < bytes.length; length++)
        assert.deepEqual(readProxyHeader(bytes.subarray(0, length)), { state: 'more' });
      const longer = Buffer.concat([bytes, Buffer.from('GET /')]);
      assert.deepEqual(readProxyHeader(longer), { state: 'done', header, consumed: bytes.length });
    });
  }

  test('one end of each family travels as IPv6 and is read as it was', () => {
    const header = { source: at('10.0.0.1', 1), destination: at('fd00::2', 2), tlvs: [] };
    const bytes = encodeProxyHeader(header);
    assert.equal(bytes[13], 0x21);
    assert.deepEqual(readProxyHeader(bytes), { state: 'done', header, consumed: bytes.length });
  });

  test('another signature is refused at its first wrong byte', () => {
    assert.equal(readProxyHeader(Buffer.from('G')).state, 'bad');
    assert.equal(readProxyHeader(hex('0d0a0d0a000d0a515549540b')).state, 'bad');
  });

  test('other versions, families and lengths are refused', () => {
    for (const rest of [
      '11 11 000c',
      '20 11 000c',
      '21 12 000c',
      '21 00 0000',
      '21 11 000b',
      '21 21 0023',
      '21 11 0801',
    ])
      assert.equal(readProxyHeader(hex(`${SIGNATURE} ${rest}`)).state, 'bad', rest);
    const overrun = hex(`${SIGNATURE} 21 11 000f 0a000001 0a000002 1f90 0050 d0 0001`);
    assert.equal(readProxyHeader(overrun).state, 'bad');
  });

  test('a header over the limit is not written', () => {
    const tlvs = [{ type: 1, value: new Uint8Array(70_000) }];
    assert.throws(() => encodeProxyHeader({ ...V4.header, tlvs }), RangeError);
  });

  test('what is written is read back the same, with anything behind it', () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 20 }), (header, rest) => {
        const bytes = encodeProxyHeader(header);
        const read = readProxyHeader(Buffer.concat([bytes, rest]));
        assert.deepEqual(read, { state: 'done', header, consumed: bytes.length });
      }),
    );
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void readProxyHeader(bytes)),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 80 }), (rest) => {
        readProxyHeader(Buffer.concat([hex(SIGNATURE), rest]));
      }),
    );
  });
});
