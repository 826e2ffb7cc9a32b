import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, test } from 'node:test';
import { connect } from 'node:tls';
import fc from 'fast-check';
import { readClientHello } from './client-hello.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

// client hello, version 0303, random, no session, suite 1302, no compression, then the three extensions
const BODY = `0303 ${'bb'.repeat(32)} 00 0002 1302 01 00 002a
  0000 000a 0008 00 0005 572e63 6f6d
  0010 0009 0007 02 6832 03 666f6f
  002b 0005 04 0304 0303
  002d 0002 01 01`;
const MESSAGE = Buffer.concat([hex(`01 0000${hex(BODY).length.toString(16)}`), hex(BODY)]);

function inRecords(message: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.of(22, 3, 1, part.length >> 8, part.length & 0xff), part);
  }
  return Buffer.concat(records);
}
const HELLO = inRecords(MESSAGE, 16_384);
const EXPECTED = { serverName: 'w.com', alpn: ['h2', 'foo'], versions: [0x0304, 0x0303] };

describe('readClientHello()', () => {
  test('reads server name, protocols and versions of a hello written by hand', () => {
    assert.deepEqual(readClientHello(HELLO), { state: 'done', hello: EXPECTED });
  });

  test('asks for more until the last byte has come', () => {
    for (let end = 0; end < HELLO.length; end++)
      assert.deepEqual(readClientHello(HELLO.subarray(0, end)), { state: 'more' }, `${end} bytes`);
  });

  test('a hello may come in several records', () => {
    const pieces = inRecords(MESSAGE, 20);
    assert.deepEqual(readClientHello(pieces), { state: 'done', hello: EXPECTED });
    assert.equal(readClientHello(pieces.subarray(0, -1)).state, 'more');
  });

  test('a hello in too many records is refused', () => {
    assert.equal(readClientHello(inRecords(MESSAGE, 1)).state, 'bad');
  });

  test('bytes that are no handshake are refused at the first that differs', () => {
    assert.equal(readClientHello(Buffer.from('G')).state, 'bad');
    assert.equal(readClientHello(hex('16 02')).state, 'bad');
    assert.equal(readClientHello(hex('16 0301 0004 02')).state, 'bad');
    assert.equal(readClientHello(hex('16 0301 0000')).state, 'bad');
    assert.equal(readClientHello(hex('16 0301 ffff')).state, 'bad');
    assert.equal(readClientHello(hex('16 0301 0004 01 00ffff')).state, 'bad');
  });

  test('reads what Node itself sends', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = connect({
      port,
      host: '127.0.0.1',
      servername: 'web.shop.svc',
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
    }).on('error', () => {});
    const [socket] = await once(server, 'connection');
    let bytes = Buffer.alloc(0);
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk]);
      if (readClientHello(bytes).state !== 'more') break;
    }
    client.destroy();
    server.close();
    assert.deepEqual(readClientHello(bytes), {
      state: 'done',
      hello: { serverName: 'web.shop.svc', alpn: ['h2'], versions: [0x0304] },
    });
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readClientHello(bytes)),
    );
    fc.assert(
      fc.property(fc.nat(HELLO.length - 1), fc.nat(255), fc.nat(HELLO.length), (at, value, end) => {
        const bytes = Buffer.from(HELLO);
        bytes[at] = value;
        readClientHello(bytes.subarray(0, end));
      }),
      { numRuns: 2000 },
    );
  });
});
