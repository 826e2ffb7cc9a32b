import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatIpPort, ipFromBytes, ipToBytes, isIpv6, isLoopback, parseIp } from './address.ts';

const bytesOf = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // runs of zero groups, where the text forms differ
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xabcd), { minLength: 8, maxLength: 8 })
    .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))),
);

describe('parseIp()', () => {
  test('every text of one address gives one canonical text', () => {
    const texts: Record<string, string> = {
      '10.0.0.1': '10.0.0.1',
      '::': '::',
      '0:0:0:0:0:0:0:0': '::',
      '2001:DB8:0:0:8:800:200C:417A': '2001:db8::8:800:200c:417a',
      '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
      '1:0:0:2:0:0:0:3': '1:0:0:2::3',
      '1:0:0:2:0:0:3:4': '1::2:0:0:3:4',
      'fe80::': 'fe80::',
      '::ffff:1.2.3.4': '1.2.3.4',
      '::FFFF:0102:0304': '1.2.3.4',
      '64:ff9b::1.2.3.4': '64:ff9b::102:304',
    };
    for (const [text, canonical] of Object.entries(texts)) assert.equal(parseIp(text), canonical);
  });

  test('what is no literal is refused', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.256',
      '01.2.3.4',
      '1.2.3.4 ',
      ' 1.2.3.4',
      '0x1.2.3.4',
      '1.2.3.-4',
      '1..2.3',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '12345::',
      'g::',
      '::1%eth0',
      '[::1]',
      '::1.2.3',
      '1.2.3.4::',
      '::1.2.3.4:5',
      ':1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:',
      `${'0:'.repeat(30)}1`,
    ]) {
      assert.throws(() => parseIp(text), SyntaxError, text);
    }
  });

  test('accepts exactly what Node accepts, but for zones', () => {
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV4Extended(),
      fc.stringMatching(/^[0-9a-f:.]{0,40}$/),
      fc
        .array(fc.constantFrom('0', '1', 'ff', ':', '::', '.', '1.2.3.4'), { maxLength: 12 })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(text, (text) => {
        let parsed = 0;
        try {
          parsed = isIpv6(parseIp(text)) ? 6 : 4;
        } catch (error) {
          assert.ok(error instanceof SyntaxError);
        }
        assert.equal(parsed !== 0, isIP(text) !== 0, text);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('address bytes', () => {
  test('bytes, canonical text and bytes again are one address', () => {
    fc.assert(
      fc.property(bytesOf, (bytes) => {
        const ip = ipFromBytes(bytes);
        assert.equal(isIP(ip), isIpv6(ip) ? 6 : 4);
        assert.equal(parseIp(ip), ip);
        assert.equal(ipFromBytes(ipToBytes(ip)), ip);
        if (ipToBytes(ip).length === bytes.length) assert.deepEqual(ipToBytes(ip), bytes);
      }),
    );
  });

  test('IPv6 text is what the URL standard writes, too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const ip = ipFromBytes(bytes);
        if (isIpv6(ip)) assert.equal(new URL(`http://[${ip}]/`).hostname, `[${ip}]`);
      }),
    );
  });

  test('any other number of bytes is refused', () => {
    for (const length of [0, 3, 5, 15, 17])
      assert.throws(() => ipFromBytes(new Uint8Array(length)), RangeError);
  });

  test('a Buffer serves as well as any bytes', () => {
    assert.equal(ipFromBytes(Buffer.from([1, 2, 3, 4])), '1.2.3.4');
  });
});

test('formatIpPort() brackets IPv6 only', () => {
  assert.equal(formatIpPort({ ip: parseIp('10.0.0.1'), port: 80 }), '10.0.0.1:80');
  assert.equal(formatIpPort({ ip: parseIp('::1'), port: 80 }), '[::1]:80');
});

test('isLoopback() knows all of 127.0.0.0/8 and ::1', () => {
  for (const ip of ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1'])
    assert.equal(isLoopback(parseIp(ip)), true, ip);
  for (const ip of ['128.0.0.1', '10.127.0.1', '::', '::2', '1::1'])
    assert.equal(isLoopback(parseIp(ip)), false, ip);
});
