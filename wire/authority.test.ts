import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../mesh/address.ts';
import { formatAuthority, readAuthority } from './authority.ts';

const address = (ip: string, port: number) => ({ kind: 'address', ip: parseIp(ip), port }) as const;

describe('readAuthority()', () => {
  test('an IPv4 or bracketed IPv6 literal is an address', () => {
    assert.deepEqual(readAuthority('10.0.0.7:8080'), address('10.0.0.7', 8080));
    assert.deepEqual(readAuthority('[2001:DB8::1]:65535'), address('2001:db8::1', 65535));
    assert.deepEqual(readAuthority('[::ffff:10.0.0.7]:80'), address('10.0.0.7', 80));
  });

  test('anything else with the shape of a name is a hostname, in lower case', () => {
    const name = { kind: 'hostname', hostname: 'web.shop.svc.cluster.local', port: 80 };
    assert.deepEqual(readAuthority('Web.shop.svc.cluster.local:80'), name);
  });

  test('what is neither is refused', () => {
    const bad = [
      '',
      ':80',
      'web',
      'web:',
      'web:0',
      'web:65536',
      'web:080',
      'web:+80',
      'web:80 ',
      ' web:80',
      '1.2.3:80',
      '1.2.3.4.5:80',
      '1.2.3.256:80',
      '01.2.3.4:80',
      '::1:80',
      '[::1]',
      '[::1]:',
      '[1.2.3.4]:80',
      '[::1%eth0]:80',
      '[web]:80',
      'user@web:80',
      'web/x:80',
      'a..b:80',
      '-a:80',
      'a-:80',
      'we b:80',
      `${'a'.repeat(64)}:80`,
      `${'a.'.repeat(127)}ab:80`,
      'http://web:80',
      'web:80\n',
      'w\u00e9b:80',
    ];
    for (const text of bad) assert.equal(readAuthority(text), undefined, JSON.stringify(text));
  });

  test('what is written is read back the same', () => {
    const port = fc.integer({ min: 1, max: 65535 });
    const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map(parseIp);
    fc.assert(
      fc.property(ip, port, (ip, port) => {
        const authority = { kind: 'address', ip, port } as const;
        assert.deepEqual(readAuthority(formatAuthority(authority)), authority);
      }),
    );
    fc.assert(
      fc.property(fc.domain(), port, (domain, port) => {
        const authority = { kind: 'hostname', hostname: domain.toLowerCase(), port } as const;
        assert.deepEqual(readAuthority(formatAuthority(authority)), authority);
      }),
    );
  });

  test('never throws, and whatever it accepts has one text', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^[[\]0-9a-f:.]{0,30}:\d{1,6}$/));
    fc.assert(
      fc.property(text, (text) => {
        const authority = readAuthority(text);
        if (authority !== undefined)
          assert.deepEqual(readAuthority(formatAuthority(authority)), authority);
      }),
    );
  });
});
