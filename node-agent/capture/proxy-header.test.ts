// takeProxyHeader() on real sockets: split headers, what follows them, and what is none.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { encodeProxyHeader } from '../../wire/proxy-protocol.ts';
import { takeProxyHeader } from './proxy-header.ts';

const ENDS = {
  source: { ip: parseIp('127.1.2.3'), port: 4321 },
  destination: { ip: parseIp('10.96.0.1'), port: 80 },
};

async function withPair(use: (near: Socket, far: Socket) => Promise<void>): Promise<void> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  for (const socket of [near, far]) socket.on('error', () => {});
  try {
    await use(near, far);
  } finally {
    near.destroy();
    far.destroy();
    server.close();
  }
}

describe('takeProxyHeader()', () => {
  test('gives both ends, however the header is split, and leaves the rest unread', async () => {
    const bytes = Buffer.concat([encodeProxyHeader(ENDS), Buffer.from('GET /')]);
    for (const at of [1, 12, 16, 27, bytes.length - 1]) {
      await withPair(async (near, far) => {
        const clock = new ManualClock();
        const taken = takeProxyHeader({ clock }, far);
        near.setNoDelay(true);
        near.write(bytes.subarray(0, at));
        await once(far, 'data');
        near.write(bytes.subarray(at));
        assert.deepEqual(await taken, ENDS);
        assert.equal(far.isPaused(), true);
        let rest = '';
        far.on('data', (chunk: Buffer) => {
          rest += String(chunk);
        });
        far.resume();
        while (rest.length < 5) await once(far, 'data');
        assert.equal(rest, 'GET /');
        assert.equal(clock.pending(), 0);
      });
    }
  });

  test('refuses what is no header', async () => {
    await withPair(async (near, far) => {
      const taken = takeProxyHeader({ clock: new ManualClock() }, far);
      near.write('GET / HTTP/1.1\r\n\r\n');
      await assert.rejects(taken, /no PROXY header/);
    });
  });

  test('refuses a connection that ends before its header does', async () => {
    await withPair(async (near, far) => {
      const taken = takeProxyHeader({ clock: new ManualClock() }, far);
      near.end(encodeProxyHeader(ENDS).subarray(0, 10));
      await assert.rejects(taken, /ended before/);
    });
  });

  test('refuses a connection that says nothing for 5 s', async () => {
    await withPair(async (_, far) => {
      const clock = new ManualClock();
      const taken = takeProxyHeader({ clock }, far);
      taken.catch(() => {});
      await clock.advance(5000);
      await assert.rejects(taken, /no PROXY header came/);
    });
  });
});
