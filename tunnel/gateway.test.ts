// Tunnels through a gateway of another network, with a gateway that ends the outer tunnel and passes the inner bytes on
// without looking at them, as a foreign one does.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { MeshError } from '../mesh/failures.ts';
import { parseIdentity } from '../mesh/identity.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Credentials } from './contexts.ts';
import { openThroughGateway } from './gateway.ts';
import { splice } from './splice.ts';
import {
  type Acquainted,
  acquaint,
  CLIENT,
  closed,
  dialLoopback,
  type PeerOptions,
  type Peers,
  readAll,
  rejection,
  SERVER,
  withPeers,
} from './test-peers.ts';
import type { Tunnel, TunnelRequest, TunnelStream } from './tunnel.ts';

const GATEWAY = parseIdentity('spiffe://cluster.local/ns/istio-system/sa/gateway');
const HEAD = { authority: 'db.shop.svc.cluster.local:80', fields: { 'x-forwarded-network': 'n1' } };

let known: Acquainted;
let gateway: Credentials;
before(async () => {
  known = await acquaint();
  gateway = await known.ca.credentials(GATEWAY);
});

type Networks = {
  /** The far workload's door. */
  readonly far: Peers;
  readonly outer: Tunnel;
  readonly atGateway: TunnelRequest[];
  through(expected?: (typeof SERVER)[], signal?: AbortSignal): Promise<TunnelStream>;
};

/** A far workload, a gateway before it, and our outer tunnel to the gateway. */
async function withNetworks(
  use: (networks: Networks) => Promise<void>,
  options: PeerOptions & { readonly atGateway?: (stream: TunnelStream) => void } = {},
): Promise<void> {
  const forward = async (request: TunnelRequest, port: number): Promise<void> => {
    const socket = await dialLoopback(port);
    const stream = request.accept({});
    options.atGateway?.(stream);
    const leg = { bytes: socket, broken: false, reset: () => void socket.resetAndDestroy() };
    await splice(stream, leg, { sent: 0, received: 0 });
  };
  await withPeers(
    known,
    async (far) => {
      await withPeers(
        known,
        async (near) => {
          const outer = await near.connect(undefined, [GATEWAY]);
          await use({
            far,
            outer,
            atGateway: near.requests,
            async through(expected = [SERVER], signal) {
              const credentials = known.client;
              const to = { clock: systemClock, credentials, expected, head: HEAD };
              return openThroughGateway(await outer.open(HEAD), to, signal);
            },
          });
        },
        {
          server: gateway,
          onRequest: (request) => void forward(request, far.port),
        },
      );
    },
    options,
  );
}

describe('a connection through a gateway', () => {
  test('carries bytes between workloads that know each other, not the gateway', async () => {
    await withNetworks(async ({ through, far, atGateway }) => {
      const stream = await through();
      assert.deepEqual(stream.peer, SERVER);
      const sent = randomBytes(8 * 1024 * 1024);
      stream.bytes.end(sent);
      assert.ok((await readAll(stream.bytes)).equals(sent));
      assert.equal(atGateway[0]?.authority, HEAD.authority);
      const [inner] = far.requests;
      assert.equal(inner?.authority, HEAD.authority);
      assert.deepEqual(inner?.peer, CLIENT);
      assert.equal(inner?.fields['x-forwarded-network'], 'n1');
    });
  });

  test('keeps half-close both ways', async () => {
    await withNetworks(
      async ({ through }) => {
        const stream = await through();
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

  test('shares the outer tunnel and never the inner one, and leaves nothing behind', async () => {
    await withNetworks(async ({ through, far, outer }) => {
      const streams = await Promise.all([through(), through(), through()]);
      assert.equal(outer.streams, 3);
      assert.equal(far.acceptor.tunnels, 3);
      for (const stream of streams) stream.bytes.end();
      await Promise.all(streams.map((stream) => readAll(stream.bytes)));
      await outer.drain();
      assert.equal(outer.streams, 0);
      await far.acceptor.drain();
      assert.equal(far.acceptor.tunnels, 0);
    });
  });

  test('is not opened to a workload the service does not name', async () => {
    await withNetworks(async ({ through, outer, far }) => {
      assert.equal((await rejection(through([GATEWAY]))).code, 'PEER_IDENTITY_MISMATCH');
      assert.equal((await rejection(through([]))).code, 'PEER_IDENTITY_MISMATCH');
      assert.equal(far.requests.length, 0);
      await outer.drain();
    });
  });

  test('that the far workload refuses says so, and frees its outer stream', async () => {
    await withNetworks(
      async ({ through, outer }) => {
        const error = await rejection(through());
        assert.equal(error.code, 'TUNNEL_REFUSED');
        assert.match(error.message, /status 401/);
        await outer.drain();
        assert.equal(outer.streams, 0);
      },
      { onRequest: (request) => request.refuse(401) },
    );
  });

  test('whose gateway cuts it is broken, not ended', async () => {
    let cut: TunnelStream | undefined;
    await withNetworks(
      async ({ through, outer }) => {
        const stream = await through();
        stream.bytes.resume();
        cut?.reset();
        await closed(stream.bytes);
        assert.equal(stream.broken, true);
        await outer.drain();
      },
      {
        atGateway(stream) {
          cut = stream;
        },
      },
    );
  });

  test('that is given up during its handshake frees its outer stream', async () => {
    const abort = new AbortController();
    const left = new MeshError('UPSTREAM_RESET', 'the application left');
    await withNetworks(
      async ({ through, outer }) => {
        assert.equal((await rejection(through([SERVER], abort.signal))).code, 'UPSTREAM_RESET');
        await outer.drain();
        assert.equal(outer.streams, 0);
      },
      { atGateway: () => abort.abort(left) },
    );
  });
});
