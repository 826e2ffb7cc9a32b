// Ports of a gateway that cannot be opened, or are overrun; and clients that do not say what they want in time.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { GatewayListener } from '../../mesh/gateway-listeners.ts';
import { memoryLog } from '../../node-agent/test-support/world.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { HandshakeGate } from '../../tunnel/handshake-gate.ts';
import { ignoreError } from '../../tunnel/socket.ts';
import { acceptConnection } from './accept-connection.ts';
import { ListenerContexts } from './contexts.ts';
import { IngressPorts } from './ports.ts';
import { closed, listener } from './test-ingress.ts';

const LOCAL = '127.0.0.1';

async function heldPort(): Promise<Server> {
  const holder = createServer().listen(0, LOCAL);
  await once(holder, 'listening');
  return holder;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function told(...listeners: readonly GatewayListener[]) {
  return { gateway: 'shop/edge', listeners };
}

function dial(port: number): Socket {
  return connect({ port, host: LOCAL }).on('error', ignoreError);
}

describe('a port of a gateway', () => {
  test('that somebody else has is tried again, and waits for nobody', async () => {
    const clock = new ManualClock();
    const { log, lines } = memoryLog();
    const holder = await heldPort();
    const port = portOf(holder);
    const ports = new IngressPorts(
      { clock, log, accept: (socket) => socket.destroy() },
      { gateway: 'shop/edge', host: LOCAL },
    );
    ports.apply(told(listener('http', port)));
    await ports.settled();
    assert.equal(ports.openAt(port), undefined);
    assert.match(JSON.stringify(lines), /Cannot open a port of the gateway/);
    holder.close();
    await once(holder, 'close');
    await clock.advance(5000);
    await ports.settled();
    assert.equal(ports.openAt(port), port);
    await ports.drain();
  });

  test('that is no listener’s any more is not tried again', async () => {
    const clock = new ManualClock();
    const holder = await heldPort();
    const ports = new IngressPorts(
      { clock, log: memoryLog().log, accept: (socket) => socket.destroy() },
      { gateway: 'shop/edge', host: LOCAL },
    );
    ports.apply(told(listener('http', portOf(holder))));
    await ports.settled();
    ports.apply(told());
    assert.equal(clock.pending(), 0);
    holder.close();
    await ports.drain();
  });

  test('takes no more connections than there may be, and tells of it once in a while', async () => {
    const clock = new ManualClock();
    const { log, lines } = memoryLog();
    const taken: Socket[] = [];
    const accepted = Promise.withResolvers<void>();
    const ports = new IngressPorts(
      {
        clock,
        log,
        accept(socket) {
          taken.push(socket.on('error', ignoreError));
          if (taken.length === 2) accepted.resolve();
        },
      },
      { gateway: 'shop/edge', host: LOCAL, openedAs: () => 0, connections: 2 },
    );
    ports.apply(told(listener('http', 80)));
    await ports.settled();
    const at = ports.openAt(80) ?? 0;
    const clients = [dial(at), dial(at)];
    await accepted.promise;
    await Promise.all([closed(dial(at)), closed(dial(at))]);
    assert.deepEqual([ports.connections, ports.cut], [2, 2]);
    const said = lines.filter(({ message }) => String(message).startsWith('Cut connections'));
    assert.equal(said.length, 1);
    const drained = ports.drain();
    ports.close();
    await drained;
    for (const client of clients) client.destroy();
  });
});

describe('a client of a TLS port', () => {
  test('that has not ended its handshake after ten seconds is cut', async () => {
    const clock = new ManualClock();
    const { log } = memoryLog();
    const nobody = { take: () => assert.fail('there is nothing to take') };
    const refused: string[] = [];
    const steps = {
      clock,
      log,
      contexts: new ListenerContexts(),
      gate: new HandshakeGate(),
      trustedHops: 0,
      connectionTrace: () => assert.fail('there is nothing to trace'),
      http1: nobody,
      http2: nobody,
      opaque: () => assert.fail('there is nothing to carry'),
      refused: (reason: string) => void refused.push(reason),
    };
    const listeners = [listener('tls', 443, { kind: 'passthrough' }, 'a.example')];
    const port = { gateway: 'shop/edge', port: 443, listeners: () => listeners };
    const server = createServer((socket) => {
      void acceptConnection(socket, port, steps as never);
      // a beginning, and no more
      client.write(Buffer.of(22, 3, 1));
    }).listen(0, LOCAL);
    await once(server, 'listening');
    const client = dial(portOf(server));
    const cut = closed(client);
    await once(server, 'connection');
    assert.equal(clock.pending(), 1);
    await clock.advance(9999);
    assert.equal(client.closed, false);
    await clock.advance(1);
    await cut;
    assert.equal(clock.pending(), 0);
    assert.deepEqual(refused, ['handshake']);
    server.close();
  });
});
