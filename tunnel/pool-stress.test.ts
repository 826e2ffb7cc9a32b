// The pool over real tunnels with many callers at once: nobody's bytes travel under another's identity, few tunnels carry
// many connections, and a peer that is replaced meanwhile costs nobody a connection.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '../mesh/address.ts';
import { formatIdentity, type Identity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import { TunnelAcceptor } from './accept.ts';
import { connectTunnel } from './connect.ts';
import { type TunnelKey, TunnelPool } from './pool.ts';
import { createTestCa } from './test-ca.ts';
import { dialLoopback, HEAD, readAll, SERVER } from './test-peers.ts';

const SOURCES = 4;
const CONNECTIONS = 600;
const STREAMS_A_TUNNEL = 100;
/** More than the sockets hold for all streams of a tunnel together: both ends write while the other one does. */
const MOST_BYTES = 200_000;

describe('a pool under many callers', () => {
  test('of many identities mixes nobody up, also while its peer is replaced', async () => {
    const ca = await createTestCa();
    const credentials = await ca.credentials(SERVER);
    /** Answers with who it was called by, then all that it is sent. */
    const acceptor = (): TunnelAcceptor =>
      new TunnelAcceptor({
        clock: systemClock,
        credentials,
        onRequest: (request) => {
          const { bytes } = request.accept({});
          bytes.write(`${formatIdentity(request.peer)} `);
          bytes.pipe(bytes);
        },
        onDenied: ({ error }) => assert.fail(error),
      });
    let present = acceptor();
    let taken = 0;
    const server = createServer((socket) => {
      taken++;
      present.take(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;

    const sources = Array.from({ length: SOURCES }, (_, index): Identity => {
      return { ...SERVER, serviceAccount: `caller-${index}` };
    });
    const own = new Map(
      await Promise.all(
        sources.map(async (source) => [source, await ca.credentials(source)] as const),
      ),
    );
    const pool = new TunnelPool({
      clock: systemClock,
      isCurrent: () => true,
      dial: async ({ source, expected }) => {
        const name = `127.0.0.1:${port}`;
        const parts = { clock: systemClock, credentials: own.get(source)! };
        return connectTunnel(parts, await dialLoopback(port), { name, expected });
      },
    });
    const keyOf = (source: Identity): TunnelKey => ({
      owner: source.serviceAccount,
      source,
      sourceIp: parseIp('127.0.0.1'),
      expected: [SERVER],
      destination: { ip: parseIp('127.0.0.1'), port },
      workload: undefined,
    });

    /** One connection: what it sends comes back to it, under its own name, whole, after it has ended its side. */
    const call = async (index: number, size: number): Promise<void> => {
      const source = sources[index % SOURCES]!;
      const { bytes } = await pool.open(keyOf(source), HEAD);
      const sent = Buffer.alloc(size, index);
      bytes.end(sent);
      const got = await readAll(bytes);
      const who = Buffer.from(`${formatIdentity(source)} `);
      assert.ok(got.equals(Buffer.concat([who, sent])), `connection ${index}`);
    };
    const sizes = fc.sample(fc.nat({ max: MOST_BYTES }), { numRuns: CONNECTIONS, seed: 7 });
    let done = 0;
    let replaced: Promise<void> | undefined;
    const old = present;
    await Promise.all(
      sizes.map(async (size, index) => {
        // half at once, half as places come free
        if (index % 2 === 1) await new Promise((resolve) => setImmediate(resolve));
        await call(index, size);
        if (++done === CONNECTIONS / 2) {
          present = acceptor();
          replaced = old.drain();
        }
      }),
    );
    await replaced;
    assert.equal(old.tunnels, 0);
    const late = sources.map((_, index) => call(index, 1000));
    await Promise.all(late);
    const most = Math.ceil(CONNECTIONS / SOURCES / STREAMS_A_TUNNEL) * SOURCES;
    assert.ok(taken <= 2 * most + SOURCES, `${taken} tunnels for ${CONNECTIONS} connections`);
    await pool.close();
    await Promise.all([old.close(), present.close()]);
    assert.equal(pool.tunnels, 0);
    server.close();
    await once(server, 'close');
  });
});
