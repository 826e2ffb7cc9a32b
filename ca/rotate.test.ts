// The steps of a rotation. The property is what a rotation promises: at no moment of any history does an agent hold a
// certificate that another agent does not believe.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import fc from 'fast-check';
import { bundleId, fingerprintOf, splitPem } from '../runtime/trust.ts';
import type { MeshTrust } from '../wire/rotation.ts';
import { bundleOf, type Kept, type KeptSigner, newKept, readKept, writeKept } from './kept.ts';
import {
  distributed,
  nextStep,
  type Observed,
  type Step,
  type Wish,
  withWaypoints,
} from './rotate.ts';
import { makeRoot, type SignerPem } from './signer.ts';
import { type Intermediate, intermediateOf } from './test-replicas.ts';

const NOW = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const SETTINGS = { maxTtlMs: 90 * DAY_MS, renewWithinMs: 2000 };
const NO_WISH: Wish = { plugged: undefined, request: undefined };

let own: KeptSigner[];
let plugged: Intermediate[];
before(async () => {
  const make = () => makeRoot({ trustDomain: 'cluster.local', now: NOW, ttlMs: 3650 * DAY_MS });
  own = (await Promise.all([make(), make(), make(), make()])).map((pem) => ({
    ...pem,
    source: 'own' as const,
  }));
  const first = await intermediateOf(undefined, { now: NOW });
  plugged = [
    first,
    await intermediateOf(first, { now: NOW }),
    await intermediateOf(undefined, { now: NOW }),
  ];
});

const prints = (pem: string): string[] => splitPem(pem).map(fingerprintOf);
const rootOfSigner = ({ roots }: SignerPem): string => prints(roots)[0] ?? '';
const word = (pod: string, parts: Partial<MeshTrust> = {}): MeshTrust => ({
  pod,
  node: `node-${pod}`,
  bundle: '',
  retiring: [],
  rootsInUse: [],
  ...parts,
});
const participant = (pod: string, ready = true, leaving = false) => ({
  pod,
  node: `node-${pod}`,
  ready,
  leaving,
});

function step(
  kept: Kept,
  observed: Partial<Observed> = {},
  wish: Partial<Wish> = {},
  now = NOW,
): Step {
  const all = { participants: [], words: [], ...observed };
  return nextStep(kept, { ...NO_WISH, ...wish }, all, now, SETTINGS);
}

function written(taken: Step): Kept {
  assert.ok(taken.kind === 'write', JSON.stringify(taken));
  return taken.kept;
}

const waits = (taken: Step): readonly string[] => {
  assert.ok(taken.kind === 'wait', JSON.stringify(taken));
  return taken.waitingFor;
};
const idOf = (kept: Kept): string => bundleId(splitPem(bundleOf(kept)));

describe('a rotation', () => {
  const steady = () => newKept(own[0]!, NOW);
  const spreading = () => distributed(steady(), own[1]!, 'r1', NOW);

  test('that nobody asked for does not happen', () => {
    assert.deepEqual(waits(step(steady())), []);
  });

  test('begins with a new root, once for each request', () => {
    const request = { id: 'r1', force: false };
    assert.deepEqual(step(steady(), {}, { request }), { kind: 'make-root', request: 'r1' });
    const done = { ...steady(), request: 'r1' };
    assert.deepEqual(waits(step(done, {}, { request })), []);
  });

  test('signs under the old root until every agent and control plane believes the new one', () => {
    const kept = spreading();
    const participants = ['a', 'b'].map((pod) => participant(pod));
    const ready = word('a', { bundle: idOf(kept) });
    assert.deepEqual(waits(step(kept, { participants, words: [ready] })), [
      'node-b (b): no control plane has heard its word',
    ]);
    assert.deepEqual(waits(step(kept, { participants, words: [ready, word('b')] })), [
      'node-b (b): has not taken the new root',
    ]);
    const words = [ready, word('b', { bundle: idOf(kept) })];
    const after = written(step(kept, { participants, words }));
    assert.equal(after.move.phase, 'renewing');
    assert.equal(after.active.chain, own[1]!.chain);
    assert.equal(idOf(after), idOf(kept), 'both stay trusted');
  });

  test('waits for waypoints that run and are heard, and for no pod that merely could be one', () => {
    const kept = spreading();
    const trusts = idOf(kept);
    const heard = { participants: [participant('a')], words: [word('a', { bundle: trusts })] };
    const waypoint = word('shop/waypoint-1', { node: '' });
    const runs = (namespace: string, pod: string) => `${namespace}/${pod}` === 'shop/waypoint-1';
    const seen = withWaypoints({ ...heard, words: [...heard.words, waypoint] }, runs);
    assert.deepEqual(step(kept, seen), {
      kind: 'wait',
      waitingFor: ['shop/waypoint-1: has not taken the new root'],
    });
    const gone = withWaypoints({ ...heard, words: [...heard.words, waypoint] }, () => false);
    assert.equal(step(kept, gone).kind, 'write');
  });

  test('of an agent two replicas speak of, counts the slower word', () => {
    const kept = spreading();
    const words = [word('a', { bundle: idOf(kept) }), word('a')];
    assert.equal(waits(step(kept, { participants: [participant('a')], words })).length, 1);
  });

  test('drops the old root when nobody holds a certificate of it, and not before answers under way are in', () => {
    const renewing = written(step(spreading()));
    const participants = [participant('a')];
    const retiring = prints(own[0]!.roots);
    const known = word('a', { bundle: idOf(renewing), retiring });
    const later = NOW + 60_000;
    const held = { ...known, rootsInUse: retiring };
    const at = (one: MeshTrust, now = later) =>
      step(renewing, { participants, words: [one] }, {}, now);
    assert.deepEqual(waits(at(held)), ['node-a (a): holds certificates of the old root']);
    assert.deepEqual(waits(at({ ...known, retiring: [] })), [
      'node-a (a): has not heard that a root leaves',
    ]);
    assert.match(waits(at(known, NOW + 1000))[0] ?? '', /on their way/);
    const after = written(at(known));
    assert.deepEqual([after.move, bundleOf(after)], [{ phase: 'steady' }, own[1]!.roots]);
  });

  test('goes on without an agent once everything issued before has ended', () => {
    const participants = [participant('a')];
    const later = NOW + SETTINGS.maxTtlMs + 1;
    assert.equal(written(step(spreading(), { participants }, {}, later)).move.phase, 'renewing');
  });

  test('is refused while one is under way, and that is said once', () => {
    const request = { id: 'r2', force: false };
    const refused = written(step(spreading(), {}, { request }));
    assert.match(refused.refused?.message ?? '', /under way already \(distributing\)/);
    assert.equal(refused.move.phase, 'distributing');
    assert.equal(written(step(refused, {}, { request })).move.phase, 'renewing', 'it goes on');
  });

  test('by force does not wait for agents that neither run nor are heard, but for all others', () => {
    const request = { id: 'r2', force: true };
    const kept = written(step(spreading(), {}, { request }));
    assert.ok(kept.force);
    const dead = participant('dead', false);
    assert.equal(written(step(kept, { participants: [dead] })).move.phase, 'renewing');
    assert.equal(waits(step(kept, { participants: [participant('live')] })).length, 1);
    const slow = [word('dead')];
    assert.equal(waits(step(kept, { participants: [dead], words: slow })).length, 1);
  });

  test('does not wait for an agent that drains, unless it still speaks', () => {
    const draining = participant('a', false, true);
    const kept = spreading();
    assert.equal(written(step(kept, { participants: [draining] })).move.phase, 'renewing');
    const speaking = { participants: [draining], words: [word('a')] };
    assert.equal(waits(step(kept, speaking)).length, 1);
  });

  test('of a plugged-in signer is refused: the operator changes the Secret instead', () => {
    const request = { id: 'r1', force: false };
    const taken = step(
      newKept({ ...plugged[0]!, source: 'plugged' }, NOW),
      {},
      { request, plugged: plugged[0] },
    );
    assert.match(written(taken).refused?.message ?? '', /plugged in/);
  });

  test('gives a mesh whose plugged-in Secret was taken away a root of its own', () => {
    const request = { id: 'r1', force: false };
    const kept = newKept({ ...plugged[0]!, source: 'plugged' }, NOW);
    assert.equal(step(kept, {}, { request }).kind, 'make-root');
  });
});

describe('a plugged-in signer', () => {
  test('with another root is trusted before it signs', () => {
    const kept = written(step(newKept(own[0]!, NOW), {}, { plugged: plugged[0] }));
    assert.equal(kept.move.phase, 'distributing');
    assert.equal(kept.active.chain, own[0]!.chain);
  });

  test('with the same root signs at once', () => {
    const first = newKept({ ...plugged[0]!, source: 'plugged' }, NOW);
    const kept = written(step(first, {}, { plugged: plugged[1] }));
    assert.deepEqual([kept.move.phase, kept.active.chain], ['steady', plugged[1]!.chain]);
  });

  test('replaced while its root is distributed, the newer one takes its place', () => {
    const first = written(step(newKept(own[0]!, NOW), {}, { plugged: plugged[0] }));
    const second = written(step(first, {}, { plugged: plugged[2] }));
    assert.ok(second.move.phase === 'distributing');
    assert.equal(second.move.next.chain, plugged[2]!.chain);
  });

  test('that cannot be used changes nothing', () => {
    assert.deepEqual(waits(step(newKept(own[0]!, NOW), {}, { plugged: 'unusable' })), []);
  });
});

type Agent = {
  trusted: Set<string>;
  known: { bundle: string; retiring: readonly string[] };
  leaf: string;
  word: MeshTrust | undefined;
};

/** A mesh of agents that do what agents do, in any order, around the very decision. */
class Model {
  kept: Kept;
  now = NOW;
  agents = new Map<string, Agent>();
  wish: Wish = NO_WISH;
  #requests = 0;
  #made = 1;
  #joined = 0;

  constructor() {
    this.kept = newKept(own[0]!, NOW);
  }

  join(): void {
    const agent: Agent = {
      trusted: new Set(),
      known: { bundle: '', retiring: [] },
      leaf: '',
      word: undefined,
    };
    this.agents.set(String(this.#joined++), agent);
    this.take(agent);
    this.renew(agent);
  }

  leave(index: number): void {
    const name = [...this.agents.keys()][index % Math.max(1, this.agents.size)];
    if (name !== undefined) this.agents.delete(name);
  }

  take(agent: Agent): void {
    const { move } = this.kept;
    const bundle = bundleOf(this.kept);
    agent.trusted = new Set(prints(bundle));
    agent.known = {
      bundle: bundleId(splitPem(bundle)),
      retiring: move.phase === 'renewing' ? prints(move.old) : [],
    };
  }

  renew(agent: Agent): void {
    agent.leaf = rootOfSigner(this.kept.active);
  }

  speak(name: string, agent: Agent): void {
    agent.word = word(name, { ...agent.known, rootsInUse: [agent.leaf] });
  }

  ask(): void {
    this.wish = { ...this.wish, request: { id: `r${++this.#requests}`, force: false } };
  }

  plug(index: number): void {
    const { chain, key, roots } = plugged[index]!;
    this.wish = { ...this.wish, plugged: { chain, key, roots } };
  }

  turn(): Step {
    const observed = {
      participants: [...this.agents.keys()].map((name) => participant(name)),
      words: [...this.agents.values()].flatMap((agent) => agent.word ?? []),
    };
    const taken = nextStep(this.kept, this.wish, observed, this.now, SETTINGS);
    if (taken.kind === 'write') this.kept = taken.kept;
    if (taken.kind === 'make-root') {
      const next = own[this.#made++ % own.length]!;
      this.kept = distributed(this.kept, next, taken.request, this.now);
    }
    // what is written is what the next leader reads
    const data = writeKept(this.kept);
    const read = readKept({ metadata: {}, data });
    assert.deepEqual(read, this.kept);
    return taken;
  }

  check(): void {
    for (const { trusted } of this.agents.values()) {
      for (const { leaf } of this.agents.values()) {
        assert.ok(trusted.has(leaf), 'an agent holds what another does not believe');
      }
    }
  }
}

describe('any history of a mesh', () => {
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'turn' as const, index: 0 }) },
    ...(['take', 'renew', 'speak'] as const).map((kind) => ({
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant(kind), index: fc.nat(5) }),
    })),
    ...(['join', 'leave', 'ask', 'plug', 'wait'] as const).map((kind) => ({
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant(kind), index: fc.nat(5) }),
    })),
  );

  test('never has an agent with a certificate that another one does not believe, and comes to an end', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        const model = new Model();
        model.join();
        model.join();
        for (const { kind, index } of events) {
          const [name, agent] = [...model.agents][index % Math.max(1, model.agents.size)] ?? [];
          if (kind === 'turn') model.turn();
          else if (kind === 'join') model.join();
          else if (kind === 'leave') model.leave(index);
          else if (kind === 'ask') model.ask();
          else if (kind === 'plug') model.plug(index % plugged.length);
          else if (kind === 'wait') model.now += 20_000;
          else if (name === undefined || agent === undefined) continue;
          else if (kind === 'take') model.take(agent);
          else if (kind === 'renew') model.renew(agent);
          else model.speak(name, agent);
          model.check();
        }
        // everybody does his part: whatever was under way ends, with one signer and its roots alone
        for (let i = 0; i < 20; i++) {
          model.now += 20_000;
          for (const [name, agent] of model.agents) {
            model.take(agent);
            model.renew(agent);
            model.check();
            model.speak(name, agent);
          }
          model.turn();
          model.check();
        }
        assert.equal(model.kept.move.phase, 'steady');
        assert.equal(bundleOf(model.kept), model.kept.active.roots);
      }),
      { numRuns: 100 },
    );
  });
});
