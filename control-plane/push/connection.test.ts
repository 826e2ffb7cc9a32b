// Agents that do not answer or do not read: each costs the control plane one response a type, and other agents nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { DiscoveryState } from '../../runtime/discovery-state.ts';
import { silentLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { decodeServerFrame, encodeClientFrame, TYPE_NAMESPACE } from '../../wire/discovery.ts';
import { Store } from '../store.ts';
import { type ProxyConnection, serveProxy } from './connection.ts';

// Together 6 MiB: three responses, more than a socket may hold.
const NAMES = Array.from({ length: 96 }, (_, index) => `${index}-${'n'.repeat(64 * 1024)}`);
const CHANGES = 21;

let http: Server;
let sockets: WebSocketServer;

before(async () => {
  http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  sockets = new WebSocketServer({ server: http, perMessageDeflate: false });
});

after(() => {
  sockets.close();
  http.close();
  http.closeAllConnections();
});

type Agent = {
  readonly served: ProxyConnection;
  /** The control plane's end, and the agent's. */
  readonly near: WebSocket;
  readonly far: WebSocket;
  readonly state: DiscoveryState;
  readonly sent: number[];
};

async function connect(store: Store, clock: ManualClock): Promise<Agent> {
  const { port } = http.address() as AddressInfo;
  const far = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
  const [[near]] = (await Promise.all([once(sockets, 'connection'), once(far, 'open')])) as [
    [WebSocket],
    unknown,
  ];
  const sent: number[] = [];
  const served = serveProxy(
    {
      clock,
      log: silentLog,
      store,
      socket: near,
      onReport() {},
      onTrust() {},
      onProgress() {},
      counters: { sent: (_, resources) => sent.push(resources), acked() {}, nacked() {} },
    },
    { kind: 'agent', node: 'n1', pod: 'agent', userAgent: 'node-agent/1' },
  );
  return { served, near, far, state: new DiscoveryState(), sent };
}

function subscribe({ far, state }: Agent): void {
  for (const request of state.openingRequests({ id: 'x', cluster: 'c' })) {
    far.send(encodeClientFrame({ kind: 'discovery', request }));
  }
}

/** It takes what it is sent and answers, as agents do, until it has had enough; then it does not even read. */
function follow({ far, state }: Agent, isEnough: (typeUrl: string) => boolean): Promise<void> {
  return new Promise((resolve) => {
    far.on('message', (bytes) => {
      if (far.isPaused) return;
      const { response } = decodeServerFrame(bytes as Buffer);
      const { answer } = state.apply(response);
      if (isEnough(response.typeUrl)) {
        far.pause();
        resolve();
      } else far.send(encodeClientFrame({ kind: 'discovery', request: answer }));
    });
  });
}

function publish(store: Store, change: number): void {
  const mode = change % 2 === 0 ? 'ambient' : 'none';
  store.publish({
    workloads: [],
    services: [],
    policies: [],
    httpPolicies: [],
    requestAuthentications: [],
    routes: [],
    trafficPolicies: [],
    enrolments: [],
    trust: [],
    namespaces: NAMES.map((name) => ({ name, mode })),
  });
}

describe('serveProxy()', () => {
  test('an agent that neither reads nor answers costs one response, whatever changes; another has the newest', async () => {
    const [store, clock] = [new Store(), new ManualClock()];
    publish(store, 0);
    const [mute, quick] = [await connect(store, clock), await connect(store, clock)];
    const muted = follow(mute, (typeUrl) => typeUrl === TYPE_NAMESPACE);
    subscribe(mute);
    await muted;
    const responses = mute.sent.length;
    const known = follow(quick, () =>
      NAMES.every((name) => quick.state.snapshot.namespace(name)?.mode === 'ambient'),
    );
    for (let change = 1; change < CHANGES; change++) publish(store, change);
    subscribe(quick);
    await known;
    assert.equal(mute.sent.length, responses, 'nothing more is made for it');
    assert.ok(mute.near.bufferedAmount <= 4 * 1024 * 1024, `${mute.near.bufferedAmount} bytes`);
    assert.equal(mute.near.readyState, mute.near.OPEN);
    for (const agent of [mute, quick]) {
      agent.far.terminate();
      await agent.served.closed;
    }
    assert.equal(clock.pending(), 0);
  });

  test('an agent that answers no PING is cut after the second, one that does is not', async () => {
    const [store, clock] = [new Store(), new ManualClock()];
    publish(store, 0);
    const [mute, quick] = [await connect(store, clock), await connect(store, clock)];
    mute.far.pause();
    const answered = once(quick.near, 'pong');
    await clock.advance(15_000);
    await answered;
    await clock.advance(15_000);
    await mute.served.closed;
    assert.equal(quick.near.readyState, quick.near.OPEN);
    for (const agent of [mute, quick]) agent.far.terminate();
    await quick.served.closed;
    assert.equal(clock.pending(), 0);
  });
});
