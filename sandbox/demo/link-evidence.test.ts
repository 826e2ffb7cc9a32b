import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { isAllEncrypted, linkEvidence, type SeenPacket } from './link-evidence.ts';

const PODS = new Set(['10.0.0.1', '10.0.1.1']);

function packet(
  sourcePort: number,
  destinationPort: number,
  payload: string | Buffer,
  to = '10.0.1.1',
): SeenPacket {
  return {
    source: { ip: parseIp('10.0.0.1'), port: sourcePort },
    destination: { ip: parseIp(to), port: destinationPort },
    protocol: 'tcp',
    payload: Buffer.from(payload),
  };
}

describe('linkEvidence()', () => {
  test('a readable request on the link is found and quoted', () => {
    const evidence = linkEvidence(
      [packet(5000, 8080, 'GET /catalog HTTP/1.1\r\nhost: catalog\r\n\r\n')],
      PODS,
    );
    assert.match(evidence.clearText?.excerpt ?? '', /^GET \/catalog HTTP\/1.1\r\nhost: catalog/);
    assert.equal(isAllEncrypted(evidence), false);
  });

  test('one segment outside the tunnel port is enough to say the link is not encrypted', () => {
    const evidence = linkEvidence([packet(5000, 15008, 'x'), packet(5000, 9090, 'opaque')], PODS);
    assert.equal(isAllEncrypted(evidence), false);
  });

  test('readable text on the tunnel port is not taken for encryption', () => {
    const evidence = linkEvidence([packet(5000, 15008, 'HTTP/1.1 200 OK\r\n')], PODS);
    assert.equal(isAllEncrypted(evidence), false);
  });

  test('a silent link proves nothing', () => {
    assert.equal(isAllEncrypted(linkEvidence([packet(5000, 15008, '')], PODS)), false);
  });

  test('traffic of others, and bare acknowledgements, do not count', () => {
    const evidence = linkEvidence(
      [
        packet(1, 80, 'GET / HTTP/1.1', '10.9.9.9'),
        packet(5000, 15008, ''),
        packet(5000, 15008, '\x17\x03\x03'),
      ],
      PODS,
    );
    assert.equal(evidence.segments, 1);
    assert.equal(isAllEncrypted(evidence), true);
  });
});
