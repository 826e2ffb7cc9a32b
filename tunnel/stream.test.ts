// The contract of a stream, end to end over loopback: what every codec under tunnel.ts must keep.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { MeshError } from '../mesh/failures.ts';
import {
  type Acquainted,
  acquaint,
  CLIENT,
  closed,
  echo,
  HEAD,
  readAll,
  rejection,
  SERVER,
  withPeers,
} from './test-peers.ts';
import type { TunnelStream } from './tunnel.ts';

let known: Acquainted;
before(async () => {
  known = await acquaint();
});

describe('a stream', () => {
  test('carries bytes both ways and shows each side who the other is', async () => {
    await withPeers(known, async ({ connect, requests }) => {
      const tunnel = await connect();
      assert.deepEqual(tunnel.peer, SERVER);
      const stream = await tunnel.open(HEAD);
      stream.bytes.end('hello');
      assert.equal(String(await readAll(stream.bytes)), 'hello');
      const [request] = requests;
      assert.equal(request?.method, 'CONNECT');
      assert.equal(request?.authority, HEAD.authority);
      assert.equal(request?.fields['baggage'], HEAD.fields.baggage);
      assert.deepEqual(request?.peer, CLIENT);
      assert.equal(request?.remote.ip, '127.0.0.1');
    });
  });

  test('keeps receiving after its own end (half-close by the asking side)', async () => {
    await withPeers(
      known,
      async ({ connect }) => {
        const stream = await (await connect()).open(HEAD);
        stream.bytes.end('question');
        assert.equal(String(await readAll(stream.bytes)), 'answer to question');
      },
      {
        onRequest: (request) => {
          const { bytes } = request.accept({});
          void readAll(bytes).then((got) => bytes.end(`answer to ${String(got)}`));
        },
      },
    );
  });

  test('keeps sending after the other end (half-close by the answering side)', async () => {
    const received = Promise.withResolvers<string>();
    await withPeers(
      known,
      async ({ connect }) => {
        const stream = await (await connect()).open(HEAD);
        assert.equal(String(await readAll(stream.bytes)), 'done talking');
        stream.bytes.end('still talking');
        assert.equal(await received.promise, 'still talking');
      },
      {
        onRequest: (request) => {
          const { bytes } = request.accept({});
          bytes.end('done talking');
          void readAll(bytes).then((got) => received.resolve(String(got)));
        },
      },
    );
  });

  for (const side of ['asking', 'answering'] as const) {
    test(`that the ${side} side resets is broken for the other, not cleanly ended`, async () => {
      const answering = Promise.withResolvers<TunnelStream>();
      await withPeers(
        known,
        async ({ connect }) => {
          const near = await (await connect()).open(HEAD);
          near.bytes.write('some');
          const far = await answering.promise;
          const [from, to] = side === 'asking' ? [near, far] : [far, near];
          let cleanEnd = false;
          to.bytes.on('end', () => {
            cleanEnd = !to.broken;
          });
          far.bytes.once('data', () => {
            from.bytes.write('part');
            from.reset();
          });
          near.bytes.resume();
          await closed(to.bytes);
          assert.equal(to.broken, true);
          assert.equal(cleanEnd, false);
        },
        { onRequest: (request) => answering.resolve(request.accept({})) },
      );
    });
  }

  test('moves 64 MiB both ways at once unchanged', async () => {
    await withPeers(known, async ({ connect }) => {
      const stream = await (await connect()).open(HEAD);
      const block = randomBytes(1024 * 1024);
      const sent = createHash('sha256');
      const got = createHash('sha256');
      let bytes = 0;
      stream.bytes.on('data', (chunk: Buffer) => {
        got.update(chunk);
        bytes += chunk.length;
      });
      const end = once(stream.bytes, 'end');
      for (let i = 0; i < 64; i++) {
        sent.update(block);
        if (!stream.bytes.write(block)) await once(stream.bytes, 'drain');
      }
      stream.bytes.end();
      await end;
      assert.equal(bytes, 64 * block.length);
      assert.equal(got.digest('hex'), sent.digest('hex'));
    });
  });

  test('whose reader pauses stops its writer within one window, and other streams go on', async () => {
    await withPeers(
      known,
      async ({ connect }) => {
        const tunnel = await connect();
        const stalled = await tunnel.open(HEAD);
        const block = Buffer.alloc(256 * 1024);
        let written = 0;
        // fills our buffer and the peer's window; the drain that lets us go on must stop coming
        const pump = (): void => {
          while (stalled.bytes.write(block)) written += block.length;
          written += block.length;
        };
        stalled.bytes.on('drain', pump);
        pump();
        const other = await tunnel.open({ ...HEAD, authority: 'echo:1' });
        for (let i = 0; i < 50; i++) {
          other.bytes.write('ping');
          await once(other.bytes, 'data');
        }
        assert.ok(written <= 6 * 1024 * 1024, `wrote ${written} bytes into a paused stream`);
        assert.ok(written >= 3 * 1024 * 1024, `the window is smaller than announced: ${written}`);
        stalled.reset();
        other.bytes.end();
      },
      {
        onRequest: (request) => {
          if (request.authority === 'echo:1') echo(request);
          else request.accept({});
        },
      },
    );
  });

  test('that is refused tells the status and leaves the tunnel usable', async () => {
    await withPeers(
      known,
      async ({ connect }) => {
        const tunnel = await connect();
        const error = await rejection(tunnel.open(HEAD));
        assert.equal(error.code, 'TUNNEL_REFUSED');
        assert.match(error.message, /10\.0\.0\.7:8080: status 401/);
        const stream = await tunnel.open({ ...HEAD, authority: 'echo:1' });
        stream.bytes.end('x');
        assert.equal(String(await readAll(stream.bytes)), 'x');
      },
      {
        onRequest: (request) => {
          if (request.authority === 'echo:1') echo(request);
          else request.refuse(401);
        },
      },
    );
  });

  test('whose opening is aborted tells the answering side', async () => {
    const gaveUp = Promise.withResolvers<void>();
    await withPeers(
      known,
      async ({ connect }) => {
        const tunnel = await connect();
        const abort = new AbortController();
        const opening = tunnel.open(HEAD, abort.signal);
        setImmediate(() => abort.abort(new MeshError('UPSTREAM_RESET', 'the application left')));
        assert.equal((await rejection(opening)).code, 'UPSTREAM_RESET');
        await gaveUp.promise;
      },
      {
        onRequest: (request) => {
          if (request.signal.aborted) gaveUp.resolve();
          else request.signal.addEventListener('abort', () => gaveUp.resolve());
        },
      },
    );
  });

  test('gets the fields of the answer', async () => {
    await withPeers(
      known,
      async ({ connect }) => {
        const stream = await (await connect()).open(HEAD);
        assert.equal(stream.fields['baggage'], 'k8s.pod.name=x');
        stream.bytes.end();
      },
      {
        onRequest: (request) => {
          request.accept({ baggage: 'k8s.pod.name=x' }).bytes.end();
        },
      },
    );
  });
});
