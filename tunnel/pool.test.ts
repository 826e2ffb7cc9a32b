// TunnelPool against tunnels made by hand: sharing, limits, single flight, release.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { parseIp } from '../mesh/address.ts';
import { MeshError } from '../mesh/failures.ts';
import { parseIdentity } from '../mesh/identity.ts';
import { ManualClock } from '../runtime/manual-clock.ts';
import { type TunnelKey, TunnelPool } from './pool.ts';
import { type Tunnel, type TunnelStream, UnprocessedError } from './tunnel.ts';

const KEY: TunnelKey = {
  owner: 'pod-1',
  source: parseIdentity('spiffe://cluster.local/ns/a/sa/client'),
  sourceIp: parseIp('10.0.0.1'),
  expected: [parseIdentity('spiffe://cluster.local/ns/a/sa/server')],
  destination: { ip: parseIp('10.0.0.2'), port: 15008 },
  workload: 'cluster//Pod/a/server',
};
const HEAD = { authority: '10.0.0.2:80', fields: {} };

class HandmadeTunnel implements Tunnel {
  readonly peer = parseIdentity('spiffe://cluster.local/ns/a/sa/server');
  readonly ended: Promise<MeshError | undefined>;
  readonly end: (error?: MeshError) => void;
  readonly #idle: (() => void)[] = [];
  readonly #limit: number;
  /** Streams to refuse as unprocessed, as after a GOAWAY that raced. */
  refusals = 0;
  streams = 0;
  #open = true;

  constructor(limit = 100) {
    this.#limit = limit;
    const ended = Promise.withResolvers<MeshError | undefined>();
    this.ended = ended.promise;
    this.end = (error) => {
      this.#open = false;
      ended.resolve(error);
    };
  }

  get available(): boolean {
    return this.#open && this.streams < this.#limit;
  }

  async open(): Promise<TunnelStream> {
    if (this.refusals > 0) {
      this.refusals--;
      this.#open = false;
      throw new UnprocessedError('TUNNEL_LOST', 'refused');
    }
    assert.ok(this.available, 'opened a stream on a tunnel that has none free');
    this.streams++;
    const bytes = new PassThrough();
    return {
      bytes,
      fields: {},
      broken: false,
      lost: undefined,
      peer: this.peer,
      reset: () => {
        this.streams--;
        if (this.streams === 0) for (const listener of this.#idle) listener();
      },
    };
  }

  onIdle(listener: () => void): void {
    this.#idle.push(listener);
  }

  async drain(): Promise<void> {
    this.#open = false;
    if (this.streams === 0) this.end();
    await this.ended;
  }

  async close(): Promise<void> {
    this.end();
  }

  recheck(): boolean {
    return false;
  }
}

function poolOf(make: () => HandmadeTunnel | Promise<HandmadeTunnel>): {
  pool: TunnelPool;
  dialled: HandmadeTunnel[];
  clock: ManualClock;
  /** Workloads that have left their address. */
  gone: Set<string | undefined>;
} {
  const dialled: HandmadeTunnel[] = [];
  const clock = new ManualClock();
  const gone = new Set<string | undefined>();
  const dial = async (): Promise<Tunnel> => {
    const tunnel = await make();
    dialled.push(tunnel);
    return tunnel;
  };
  const isCurrent = ({ workload }: TunnelKey): boolean => !gone.has(workload);
  return { pool: new TunnelPool({ clock, dial, isCurrent }), dialled, clock, gone };
}

describe('TunnelPool', () => {
  test('dials once for connections that come together, and reuses the tunnel afterwards', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel());
    await Promise.all(Array.from({ length: 50 }, () => pool.open(KEY, HEAD)));
    await pool.open(KEY, HEAD);
    assert.equal(dialled.length, 1);
    assert.equal(dialled[0]?.streams, 51);
  });

  test('carries 10,000 connections opened at once over 100 tunnels', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel());
    await Promise.all(Array.from({ length: 10_000 }, () => pool.open(KEY, HEAD)));
    assert.equal(dialled.length, 100);
  });

  test('dials another tunnel when all streams are taken, however many come together', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel());
    await Promise.all(Array.from({ length: 1000 }, () => pool.open(KEY, HEAD)));
    assert.equal(dialled.length, 10);
  });

  for (const [what, other] of [
    ['another pod', { owner: 'pod-2' }],
    ['another source identity', { source: parseIdentity('spiffe://cluster.local/ns/a/sa/other') }],
    ['another source address', { sourceIp: parseIp('10.0.0.9') }],
    ['other expected identities', { expected: [KEY.source] }],
    ['another workload at the same address', { workload: 'cluster//Pod/a/successor' }],
    ['another destination', { destination: { ip: parseIp('10.0.0.3'), port: 15008 } }],
  ] as const) {
    test(`does not share a tunnel with ${what}`, async () => {
      const { pool, dialled } = poolOf(() => new HandmadeTunnel());
      await pool.open(KEY, HEAD);
      await pool.open({ ...KEY, ...other }, HEAD);
      assert.equal(dialled.length, 2);
    });
  }

  test('gives a failed dial to everybody who waited for it, and tries anew for the next', async () => {
    let fail = true;
    const { pool } = poolOf(() => {
      if (fail) throw new MeshError('UPSTREAM_CONNECT', 'refused');
      return new HandmadeTunnel();
    });
    const outcomes = await Promise.allSettled([pool.open(KEY, HEAD), pool.open(KEY, HEAD)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(pool.tunnels, 0);
    fail = false;
    await pool.open(KEY, HEAD);
    assert.equal(pool.tunnels, 1);
  });

  test('opens a stream anew on another tunnel when the first surely did nothing with it', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel());
    const first = await pool.open(KEY, HEAD);
    dialled[0]!.refusals = 1;
    await pool.open(KEY, HEAD);
    assert.equal(dialled.length, 2);
    first.reset();
  });

  test('gives up after three such tunnels', async () => {
    const { pool, dialled } = poolOf(() => {
      const tunnel = new HandmadeTunnel();
      tunnel.refusals = 1;
      return tunnel;
    });
    await assert.rejects(pool.open(KEY, HEAD), UnprocessedError);
    assert.equal(dialled.length, 3);
  });

  test('refuses with TUNNEL_PEER_LIMIT after three tunnels to a peer that takes no streams', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel(0));
    await assert.rejects(pool.open(KEY, HEAD), { code: 'TUNNEL_PEER_LIMIT' });
    assert.equal(dialled.length, 3);
    await Promise.all(dialled.map((tunnel) => tunnel.ended));
    assert.equal(pool.tunnels, 0);
  });

  test('refuses with TUNNEL_QUEUE_LIMIT when 12,800 connections wait for one dial', async () => {
    const gate = Promise.withResolvers<HandmadeTunnel>();
    const { pool } = poolOf(() => gate.promise);
    const waiting = Array.from({ length: 12_800 }, () => pool.open(KEY, HEAD));
    await assert.rejects(pool.open(KEY, HEAD), { code: 'TUNNEL_QUEUE_LIMIT' });
    gate.resolve(new HandmadeTunnel(20_000));
    await Promise.all(waiting);
  });

  test('refuses with TUNNEL_PEER_LIMIT when 128 tunnels to one peer are full', async () => {
    const { pool, dialled } = poolOf(() => new HandmadeTunnel(1));
    for (let i = 0; i < 128; i++) await pool.open(KEY, HEAD);
    await assert.rejects(pool.open(KEY, HEAD), { code: 'TUNNEL_PEER_LIMIT' });
    assert.equal(dialled.length, 128);
    await pool.open({ ...KEY, owner: 'pod-2' }, HEAD);
  });

  test('drains a tunnel that had no stream for 300 s, counted from the last one', async () => {
    const { pool, clock, dialled } = poolOf(() => new HandmadeTunnel());
    const stream = await pool.open(KEY, HEAD);
    await clock.advance(400_000);
    assert.equal(pool.tunnels, 1);
    stream.reset();
    await clock.advance(299_000);
    assert.equal(pool.tunnels, 1);
    await clock.advance(1000);
    assert.equal(pool.tunnels, 0);
    assert.equal(dialled[0]?.available, false);
  });

  test('leaves a dial alone when one of those who wait for it gives up', async () => {
    const gate = Promise.withResolvers<HandmadeTunnel>();
    const { pool } = poolOf(() => gate.promise);
    const abort = new AbortController();
    const first = pool.open(KEY, HEAD, abort.signal);
    const second = pool.open(KEY, HEAD);
    abort.abort(new MeshError('UPSTREAM_RESET', 'gone'));
    await assert.rejects(first, { code: 'UPSTREAM_RESET' });
    gate.resolve(new HandmadeTunnel());
    await second;
    assert.equal(pool.tunnels, 1);
  });

  test('drains and releases the tunnels of one pod only', async () => {
    const { pool } = poolOf(() => new HandmadeTunnel());
    await pool.open(KEY, HEAD);
    await pool.open({ ...KEY, owner: 'pod-2' }, HEAD);
    await pool.release('pod-1');
    assert.equal(pool.tunnels, 1);
    await pool.close();
    assert.equal(pool.tunnels, 0);
  });

  test('opens no new stream to an address that has passed on, and lets the present ones end', async () => {
    const { pool, dialled, gone } = poolOf(() => new HandmadeTunnel());
    const stream = await pool.open(KEY, HEAD);
    const other = { ...KEY, workload: 'cluster//Pod/a/other' };
    await pool.open(other, HEAD);
    gone.add(KEY.workload);
    // even before anybody has called evict()
    await assert.rejects(pool.open(KEY, HEAD), { code: 'DESTINATION_PASSED' });
    assert.equal(pool.evict(), 1);
    assert.equal(pool.evict(), 0);
    assert.equal(dialled[0]?.available, false);
    assert.equal(dialled[0].streams, 1);
    assert.equal(pool.tunnels, 2);
    stream.reset();
    dialled[0].end();
    await pool.open(other, HEAD);
    assert.equal(dialled.length, 2);
    assert.equal(pool.tunnels, 1);
  });

  test('gives up a dial to an address that passes on meanwhile, for everybody who waits', async () => {
    const gate = Promise.withResolvers<HandmadeTunnel>();
    const { pool, gone } = poolOf(() => gate.promise);
    const waiting = [pool.open(KEY, HEAD), pool.open(KEY, HEAD)];
    gone.add(KEY.workload);
    assert.equal(pool.evict(), 1);
    // this dial does not listen to its signal, so the tunnel comes all the same
    const late = new HandmadeTunnel();
    gate.resolve(late);
    for (const one of waiting) await assert.rejects(one, { code: 'DESTINATION_PASSED' });
    assert.equal(late.streams, 0);
    assert.equal(late.available, false);
    assert.equal(pool.tunnels, 0);
  });

  test('serves a workload that has come back to its address', async () => {
    const { pool, dialled, gone } = poolOf(() => new HandmadeTunnel());
    await pool.open(KEY, HEAD);
    gone.add(KEY.workload);
    pool.evict();
    gone.clear();
    await pool.open(KEY, HEAD);
    assert.equal(dialled.length, 2);
  });

  test('closes what it has evicted, too', async () => {
    const { pool, dialled, gone } = poolOf(() => new HandmadeTunnel());
    await pool.open(KEY, HEAD);
    gone.add(KEY.workload);
    pool.evict();
    await pool.close();
    assert.equal(await dialled[0]?.ended, undefined);
    assert.equal(pool.tunnels, 0);
  });
});
