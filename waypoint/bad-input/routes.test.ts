// Routes that lead nowhere, back to themselves, or through more than anybody should look at: each request ends once, with
// the status of the Gateway API, in bounded time.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ANY_REQUEST } from '../../mesh/match-route.ts';
import type { RouteFilter } from '../../mesh/route.ts';
import { backendTo, httpRoute, prefix, Rig } from '../test-rig.ts';
import { accessLine, type Door, Witness } from './test-door.ts';

const MANY = 10_000;
/** A hundred times what it takes. */
const SOON_MS = 5000;

function rewriteTo(path: string): RouteFilter {
  return { kind: 'rewrite', hostname: undefined, path: { type: 'full', value: path } };
}

describe('a route', () => {
  let rig: Rig;
  before(async () => {
    rig = await Rig.open();
  });
  after(() => rig.close());

  async function expectFailure(door: Door, status: number, flag: string): Promise<void> {
    const seen = rig.lines.length;
    const answer = await rig.ask(door);
    const line = await accessLine(rig, seen);
    assert.deepEqual([answer.status, line['response_flags']], [status, flag]);
  }

  test('without a backend ends with 500', async () => {
    const door = rig.service('nobody');
    rig.discovery.push(httpRoute(door, 'nobody', [{}]));
    await expectFailure(door, 500, 'NC');
  });

  test('to what is not there ends with 500', async () => {
    const door = rig.service('ghost');
    const target = { kind: 'service', service: 'shop/gone', port: 80, subset: undefined } as const;
    const backends = [{ target, weight: 1, filters: [] }];
    rig.discovery.push(httpRoute(door, 'ghost', [{ backends }]));
    await expectFailure(door, 500, 'NC');
  });

  test('to what could not be resolved ends with 500', async () => {
    const door = rig.service('invalid');
    const backends = [{ target: { kind: 'invalid', why: 'x' } as const, weight: 1, filters: [] }];
    rig.discovery.push(httpRoute(door, 'invalid', [{ backends }]));
    await expectFailure(door, 500, 'NC');
  });

  test('whose weights are all 0 ends with 500', async () => {
    const door = rig.service('weightless');
    const backends = [{ target: backendTo(door), weight: 0, filters: [] }];
    rig.discovery.push(httpRoute(door, 'weightless', [{ backends }]));
    await expectFailure(door, 500, 'NC');
  });

  test('with a filter that cannot be applied ends with 500', async () => {
    const door = rig.service('broken');
    const filters: RouteFilter[] = [{ kind: 'broken', why: 'x' }];
    rig.discovery.push(httpRoute(door, 'broken', [{ to: door, filters }]));
    await expectFailure(door, 500, 'NFCF');
  });

  test('that matches nothing ends with 404', async () => {
    const door = rig.service('narrow');
    rig.discovery.push(httpRoute(door, 'narrow', [{ to: door, matches: [prefix('/only')] }]));
    await expectFailure(door, 404, 'NR');
  });

  test('whose rewrites lead to each other applies one of them, once', async () => {
    const web = await Witness.open(rig, 'circle');
    const { service } = web;
    rig.discovery.push(
      httpRoute(service, 'circle', [
        { to: service, matches: [prefix('/a')], filters: [rewriteTo('/b')] },
        { to: service, matches: [prefix('/b')], filters: [rewriteTo('/a')] },
      ]),
    );
    assert.equal((await rig.ask(service, { path: '/a' })).status, 200);
    assert.equal((await rig.ask(service, { path: '/b' })).status, 200);
    assert.deepEqual(
      web.seen.map(({ target }) => target),
      ['/b', '/a'],
    );
  });

  test('of two services that lead to each other is taken once', async () => {
    const one = await Witness.open(rig, 'one');
    const two = await Witness.open(rig, 'two');
    rig.discovery.push(httpRoute(one.service, 'one', [{ to: two.service }]));
    rig.discovery.push(httpRoute(two.service, 'two', [{ to: one.service }]));
    assert.equal((await rig.ask(one.service)).status, 200);
    assert.deepEqual([one.seen.length, two.seen.length], [0, 1]);
  });

  test('by an expression made to explode takes no longer than others', async () => {
    const web = await Witness.open(rig, 'regex');
    const { service } = web;
    const path = { type: 'regex', value: '(?:/(a|a|aa)+)+$' } as const;
    const header = { name: 'x-a', type: 'regex', value: '(x+x+)+y' } as const;
    rig.discovery.push(
      httpRoute(service, 'regex', [
        { to: service, matches: [{ ...ANY_REQUEST, path, headers: [header] }] },
      ]),
    );
    const began = performance.now();
    const asked = { path: `/${'a'.repeat(5000)}!`, headers: { 'x-a': 'x'.repeat(5000) } };
    assert.equal((await rig.ask(service, asked)).status, 404);
    assert.ok(performance.now() - began < SOON_MS);
  });

  test('is found among ten thousand of one service', async () => {
    const web = await Witness.open(rig, 'many');
    const { service } = web;
    const routes = Array.from({ length: MANY }, (_, at) =>
      httpRoute(service, `many-${at}`, [{ to: service, matches: [prefix(`/${at}`)] }]),
    );
    rig.discovery.push(...routes);
    const ask = async (path: string) => (await rig.ask(service, { path })).status;
    // the table is made for the first of them
    assert.equal(await ask('/0'), 200);
    const began = performance.now();
    assert.equal(await ask(`/${MANY - 1}`), 200);
    assert.equal(await ask('/none'), 404);
    assert.ok(performance.now() - began < SOON_MS);
  });
});
