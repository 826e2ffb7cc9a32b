import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ipToBytes, isIpv6, parseIp } from './address.ts';
import { cidrFromBytes, inCidr, parseCidr } from './cidr.ts';

const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIp);

describe('inCidr()', () => {
  test('agrees with Node about addresses that share bits', () => {
    const near = ip.chain((base) =>
      fc.record({
        range: fc.constant(base),
        prefixLength: fc.nat(isIpv6(base) ? 128 : 32),
        // the base with one bit turned over: in or out depending on where
        ip: fc.nat(isIpv6(base) ? 127 : 31).map((bit) => {
          const bytes = ipToBytes(base);
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
          return cidrFromBytes(bytes, 0).ip;
        }),
      }),
    );
    fc.assert(
      fc.property(near, ({ range, prefixLength, ip }) => {
        fc.pre(isIpv6(range) === isIpv6(ip));
        const family = isIpv6(range) ? 'ipv6' : 'ipv4';
        const list = new BlockList();
        list.addSubnet(range, prefixLength, family);
        assert.equal(inCidr(ip, { ip: range, prefixLength }), list.check(ip, family));
      }),
      { numRuns: 1000 },
    );
  });

  test('the two families never match, however short the prefix', () => {
    assert.equal(inCidr(parseIp('10.0.0.1'), { ip: parseIp('::'), prefixLength: 0 }), false);
    assert.equal(inCidr(parseIp('::1'), { ip: parseIp('0.0.0.0'), prefixLength: 0 }), false);
  });
});

describe('cidrFromBytes()', () => {
  test('a v4-mapped range becomes the IPv4 range it means', () => {
    const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0);
    assert.deepEqual(cidrFromBytes(mapped, 104), { ip: '10.0.0.0', prefixLength: 8 });
    assert.throws(() => cidrFromBytes(mapped, 95), RangeError);
  });

  test('no address and no prefix of it is refused', () => {
    assert.throws(() => cidrFromBytes(new Uint8Array(5), 1), RangeError);
    assert.throws(() => cidrFromBytes(new Uint8Array(4), 33), RangeError);
    assert.throws(() => cidrFromBytes(new Uint8Array(16), 129), RangeError);
    assert.throws(() => cidrFromBytes(new Uint8Array(4), -1), RangeError);
    assert.deepEqual(cidrFromBytes(new Uint8Array(4), 32), { ip: '0.0.0.0', prefixLength: 32 });
  });
});

describe('parseCidr()', () => {
  test('reads what it is written as, and an address alone as itself only', () => {
    fc.assert(
      fc.property(
        ip.chain((address) => fc.tuple(fc.constant(address), fc.nat(isIpv6(address) ? 128 : 32))),
        ([address, prefixLength]) => {
          assert.deepEqual(parseCidr(`${address}/${prefixLength}`), { ip: address, prefixLength });
          assert.equal(parseCidr(address).prefixLength, isIpv6(address) ? 128 : 32);
        },
      ),
    );
  });

  for (const text of [
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/8/8',
    '::/129',
    '10.0.0.0/-1',
    'x',
  ]) {
    test(`"${text}" is refused`, () => assert.throws(() => parseCidr(text), SyntaxError));
  }

  test('gives a range or a SyntaxError, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseCidr(text);
        } catch (error) {
          assert.ok(error instanceof SyntaxError);
        }
      }),
    );
  });
});
