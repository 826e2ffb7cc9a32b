import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readFrame } from './packet.ts';

const ETHERNET_V4 = '02000000000102000000000208' + '00';
const ETHERNET_V6 = '02000000000102000000000286' + 'dd';

function frame(...hex: string[]): Buffer {
  return Buffer.from(hex.join('').replaceAll(' ', ''), 'hex');
}

test('TCP over IPv4 gives both ends and what is carried, without the padding of a short frame', () => {
  const ip = '4500 002a 0000 4000 4006 0000 0af40102 0af40203';
  const tcp = '1f90 c350 00000001 00000002 5018 ffff 0000 0000';
  const packet = readFrame(frame(ETHERNET_V4, ip, tcp, '6869', '00000000'), 7);
  assert.deepEqual(
    { ...packet, raw: undefined, payload: packet?.payload.toString() },
    {
      at: 7,
      source: { ip: '10.244.1.2', port: 8080 },
      destination: { ip: '10.244.2.3', port: 50000 },
      protocol: 'tcp',
      payload: 'hi',
      raw: undefined,
    },
  );
});

test('UDP over IPv6 is found behind extension headers', () => {
  const address = (last: string): string => `fd616d62697400000000000000000${last}`.padEnd(32, '0');
  const ip = `60000000 0012 00 40 ${address('001')} ${address('002')}`;
  const options = '11 00 0104 00000000';
  const packet = readFrame(frame(ETHERNET_V6, ip, options, '0035 1388 000a 0000 6869'), 0);
  assert.equal(packet?.protocol, 'udp');
  assert.equal(packet?.source.port, 53);
  assert.equal(packet?.payload.toString(), 'hi');
});

test('a segment larger than 64 KiB, whose length field is zero, is read to its end', () => {
  const ip = '4500 0000 0000 4000 4006 0000 0af40102 0af40203';
  const tcp = '1f90 c350 00000001 00000002 5018 ffff 0000 0000';
  const packet = readFrame(Buffer.concat([frame(ETHERNET_V4, ip, tcp), Buffer.alloc(70_000)]), 0);
  assert.equal(packet?.payload.length, 70_000);
});

test('what is not IP is no packet, and no frame however cut or garbled raises an error', () => {
  assert.equal(readFrame(frame('ffffffffffff 020000000001 0806 0001'), 0), undefined);
  const header = fc.constantFrom(frame(ETHERNET_V4), frame(ETHERNET_V6));
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 120 }), (start, rest) => {
      readFrame(Buffer.concat([start, rest]), 0);
    }),
  );
});
