// Routes in force: which backend gets a request, what filters make of it, and what is answered when there is none.

import assert from 'node:assert/strict';
import { createServer as createTcp } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { ANY_REQUEST } from '../mesh/match-route.ts';
import { backendTo, httpRoute, prefix, Rig } from './test-rig.ts';

describe('routes in a waypoint', () => {
  let rig: Rig;
  before(async () => {
    rig = await Rig.open();
  });
  after(() => rig.close());

  /** A service whose one endpoint answers with its name, its path and what headers it got. */
  async function named(name: string) {
    const service = rig.service(name);
    await rig.http(service, `${name}-1`, (request, response) => {
      response.setHeader('x-path', request.url ?? '');
      response.setHeader('x-host', request.headers.host ?? '');
      response.setHeader('x-got', JSON.stringify(request.rawHeaders));
      response.end(name);
    });
    return service;
  }

  test('send a request where its rule says, and answer 404 when no rule matches', async () => {
    const [front, a, b] = await Promise.all([named('front'), named('a'), named('b')]);
    rig.discovery.push(
      httpRoute(front, 'split', [
        { matches: [prefix('/a')], to: a },
        { matches: [prefix('/b')], to: b },
      ]),
    );
    assert.equal((await rig.ask(front, { path: '/a/x' })).body, 'a');
    assert.equal((await rig.ask(front, { path: '/b' })).body, 'b');
    assert.equal((await rig.ask(front, { path: '/c' })).status, 404);
    // pod addresses and other services do not know the route
    assert.equal((await rig.ask(a, { path: '/c' })).body, 'a');
  });

  test('that go away leave default forwarding behind', async () => {
    const [front, other] = await Promise.all([named('gone'), named('other')]);
    rig.discovery.push(httpRoute(front, 'gone', [{ to: other }]));
    assert.equal((await rig.ask(front)).body, 'other');
    rig.discovery.push({ kind: 'route-removed', name: 'http/shop/gone' });
    assert.equal((await rig.ask(front)).body, 'gone');
  });

  test('rewrite paths and hosts, and edit headers in both directions', async () => {
    const [front, to] = await Promise.all([named('edits'), named('edited')]);
    rig.discovery.push(
      httpRoute(front, 'edits', [
        {
          matches: [prefix('/old')],
          to,
          filters: [
            { kind: 'rewrite', hostname: 'new.example', path: { type: 'prefix', value: '/new' } },
            {
              kind: 'request-headers',
              set: [['x-set', '1']],
              add: [['x-add', '2']],
              remove: ['x-gone'],
            },
            { kind: 'response-headers', set: [['x-set', 'answer']], add: [], remove: ['x-host'] },
          ],
        },
      ]),
    );
    const answer = await rig.ask(front, {
      path: '/old/a?b=c',
      headers: { 'x-add': '1', 'x-gone': '1' },
    });
    assert.equal(answer.headers['x-path'], '/new/a?b=c');
    assert.equal(answer.headers['x-set'], 'answer');
    assert.equal(answer.headers['x-host'], undefined);
    const got = String(answer.headers['x-got']);
    assert.match(got, /"host","new.example"/);
    assert.match(got, /"x-set","1"/);
    assert.match(got, /"x-add","1".*"x-add","2"/);
    assert.doesNotMatch(got, /x-gone/);
  });

  test('redirect without asking anybody', async () => {
    const front = rig.service('redirect');
    rig.discovery.push(
      httpRoute(front, 'redirect', [
        {
          filters: [
            {
              kind: 'redirect',
              scheme: 'https',
              hostname: 'example.org',
              path: undefined,
              port: undefined,
              status: 301,
            },
          ],
        },
      ]),
    );
    const answer = await rig.ask(front, { path: '/x?y' });
    assert.equal(answer.status, 301);
    assert.equal(answer.headers.location, 'https://example.org/x?y');
  });

  test('answer 500 for the share of a backend that is not there, and for rules without any', async () => {
    const [front, good] = await Promise.all([named('broken'), named('good')]);
    rig.discovery.push(
      httpRoute(front, 'broken', [
        { matches: [prefix('/none')] },
        {
          matches: [prefix('/half')],
          backends: [
            { target: backendTo(good), weight: 0, filters: [] },
            { target: { kind: 'invalid', why: 'no such service' }, weight: 1, filters: [] },
          ],
        },
        { matches: [prefix('/filter')], to: good, filters: [{ kind: 'broken', why: 'unknown' }] },
      ]),
    );
    for (const path of ['/none', '/half', '/filter']) {
      assert.equal((await rig.ask(front, { path })).status, 500, path);
    }
  });

  test('of TCP lead connections, whatever bytes they carry', async () => {
    const front = rig.service('bytes', 'unknown');
    const to = rig.service('bytes-to', 'tcp');
    const server = createTcp((socket) => {
      socket.on('error', () => {});
      socket.end('routed');
    });
    await rig.endpoint(to, 'bytes-1', server);
    rig.discovery.push(httpRoute(front, 'bytes', [{ to }], { kind: 'tcp' }));
    const socket = await rig.connect(front);
    let got = '';
    for await (const chunk of socket) got += String(chunk);
    assert.equal(got, 'routed');
  });

  test('end a request that takes too long with 504', async () => {
    const front = rig.service('slow');
    const waiting: (() => void)[] = [];
    await rig.http(front, 'slow-1', (_, response) => void waiting.push(() => response.end()));
    rig.discovery.push(httpRoute(front, 'slow', [{ to: front, requestTimeoutMs: 50 }]));
    assert.equal((await rig.ask(front)).status, 504);
    for (const end of waiting) end();
  });

  test('repeat a request as often as the rule says, with its body', async () => {
    const front = rig.service('retry');
    let seen = 0;
    await rig.http(front, 'retry-1', (request, response) => {
      response.statusCode = ++seen < 3 ? 500 : 200;
      request.pipe(response);
    });
    rig.discovery.push(
      httpRoute(front, 'retry', [
        { to: front, retry: { codes: [500], attempts: 2, backoffMs: 1 } },
      ]),
    );
    const answer = await rig.ask(front, { method: 'POST', body: 'again' });
    assert.deepEqual([answer.status, answer.body, seen], [200, 'again', 3]);
  });

  test('tell clients of one namespace from those of another', async () => {
    const [front, ours, theirs] = await Promise.all([
      named('consumed'),
      named('ours'),
      named('theirs'),
    ]);
    const parent = { kind: 'service', service: `shop/${front.hostname}`, port: undefined } as const;
    rig.discovery.push(
      httpRoute(front, 'producer', [{ to: ours }]),
      httpRoute(front, 'consumer', [{ to: theirs }], {
        namespace: 'ops',
        parents: [{ ...parent, clientsOf: 'ops' }],
      }),
    );
    assert.equal((await rig.ask(front)).body, 'ours');
    assert.equal(
      (await rig.ask(front, { as: 'spiffe://cluster.local/ns/ops/sa/x' })).body,
      'theirs',
    );
  });

  test('match by who asks', async () => {
    const [front, a, b] = await Promise.all([
      named('source'),
      named('source-a'),
      named('source-b'),
    ]);
    const source = { namespaces: ['ops'], principals: [] };
    rig.discovery.push(
      httpRoute(front, 'source', [{ matches: [{ ...ANY_REQUEST, source }], to: a }, { to: b }]),
    );
    assert.equal((await rig.ask(front)).body, 'source-b');
    assert.equal(
      (await rig.ask(front, { as: 'spiffe://cluster.local/ns/ops/sa/x' })).body,
      'source-a',
    );
  });

  test('refuse a path that two parsers could read differently', async () => {
    const front = await named('paths');
    for (const path of ['/a/%2e%2e%2fb', '/a/..;/b', '/a%00', '/%ff']) {
      assert.equal((await rig.ask(front, { path })).status, 400, path);
    }
  });
});
