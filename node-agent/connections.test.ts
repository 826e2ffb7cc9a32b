// Connections: limits, re-checks, cuts and waiting for the last one.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MeshError } from '../mesh/failures.ts';
import { Connections, type OpenConnection } from './connections.ts';

function inbound(podUid: string, check?: () => void): OpenConnection {
  return { direction: 'inbound', podUid, description: {}, ...(check && { check }) };
}

const DENIED = new MeshError('POLICY_DENIED', 'denied');

describe('Connections', () => {
  test('cuts on a re-check what would be denied now, and nothing else', () => {
    const connections = new Connections();
    let allowed = true;
    const watched = connections.register(
      inbound('a', () => {
        if (!allowed) throw DENIED;
      }),
    );
    const other = connections.register(inbound('a'));
    assert.deepEqual(connections.recheck(new Set(['a'])), []);
    allowed = false;
    assert.deepEqual(connections.recheck(new Set(['b'])), []);
    assert.equal(watched.signal.aborted, false, 'not asked: it is of another pod');
    const cut = connections.recheck(new Set(['a', 'b']));
    assert.deepEqual([cut[0]?.code, cut.length], ['POLICY_CHANGED', 1]);
    assert.equal(watched.signal.reason, cut[0]);
    assert.equal(cut[0]?.message, 'connection closed due to policy change: denied');
    assert.equal(other.signal.aborted, false);
    assert.deepEqual(connections.recheck(new Set(['a'])), [], 'cut once');
  });

  test('a check that fails of something else than policy cuts with that', () => {
    const connections = new Connections();
    const gone = new MeshError('DESTINATION_UNKNOWN', 'the workload is not known');
    connections.register(
      inbound('a', () => {
        throw gone;
      }),
    );
    connections.register(
      inbound('a', () => {
        throw new Error('bug');
      }),
    );
    const codes = connections.recheck(new Set(['a'])).map(({ code }) => code);
    assert.deepEqual(codes, ['DESTINATION_UNKNOWN', 'INTERNAL']);
  });

  test('cuts the connections of one pod, or all', () => {
    const connections = new Connections();
    const [a, b] = [connections.register(inbound('a')), connections.register(inbound('b'))];
    connections.cutAll(DENIED, 'a');
    assert.deepEqual([a.signal.aborted, b.signal.aborted], [true, false]);
    connections.cutAll(DENIED);
    assert.equal(b.signal.aborted, true);
  });

  test('take no other where their limits say no, and count what was there before', () => {
    const asked: object[] = [];
    const limits = {
      admit(open: { onNode: number; ofPod: number }): void {
        asked.push(open);
        if (open.ofPod === 2) throw new MeshError('POD_CONNECTION_LIMIT', 'full');
      },
    };
    const connections = new Connections(limits);
    for (let i = 0; i < 2; i++) connections.register(inbound('greedy'));
    assert.throws(() => connections.register(inbound('greedy')), { code: 'POD_CONNECTION_LIMIT' });
    connections.register(inbound('modest'));
    assert.equal(connections.count(), 3);
    assert.deepEqual(asked.at(-1), { onNode: 2, ofPod: 0 });
  });

  test('tells when a pod, or the node, has no connection left', async () => {
    const connections = new Connections();
    const [a, b] = [connections.register(inbound('a')), connections.register(inbound('b'))];
    const order: string[] = [];
    const waits = [
      connections.idle('a').then(() => order.push('pod')),
      connections.idle(undefined).then(() => order.push('node')),
    ];
    a[Symbol.dispose]();
    a[Symbol.dispose]();
    await waits[0];
    assert.equal(connections.count('b'), 1);
    b[Symbol.dispose]();
    await Promise.all(waits);
    assert.deepEqual(order, ['pod', 'node']);
    assert.equal(await connections.idle('a'), true);
  });

  test('stops waiting when told to', async () => {
    const connections = new Connections();
    connections.register(inbound('a'));
    const abort = new AbortController();
    const waiting = connections.idle('a', abort.signal);
    abort.abort();
    assert.equal(await waiting, false);
  });
});
