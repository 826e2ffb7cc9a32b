// What TrafficPolicies do to requests that go through a waypoint: real requests, real endpoints on loopback.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createServer as createHttp2 } from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_TRAFFIC_POLICY } from '../mesh/traffic-defaults.ts';
import type { RequestBalancing } from '../mesh/traffic-policy.ts';
import { backendTo, httpRoute, Rig } from './test-rig.ts';

const { retries, connectionLimits, timeouts } = DEFAULT_TRAFFIC_POLICY;
const EVERYBODY = { headers: [], source: { namespaces: [], principals: [] } };
const BALANCED: RequestBalancing = DEFAULT_TRAFFIC_POLICY.loadBalancing;

describe('a traffic policy at a waypoint', () => {
  let rig: Rig;

  before(async () => {
    rig = await Rig.open();
  });
  after(() => rig.close());

  const service = async (name: string, ...statuses: number[]) => {
    const made = rig.service(name);
    const seen: string[] = [];
    for (const [index, status] of statuses.entries()) {
      await rig.http(made, `${name}-${index}`, (_, response) => {
        seen.push(`${name}-${index}`);
        response.writeHead(status).end(`${name}-${index}`);
      });
    }
    return { made, seen };
  };

  test('repeats what a 503 answered at another endpoint, without being asked, and counts it', async () => {
    const { made, seen } = await service('retry', 503, 200);
    let asked = 0;
    // which of the two is asked first is left to chance
    while (!seen.includes('retry-0')) {
      assert.equal((await rig.ask(made)).status, 200);
      asked++;
    }
    const counted = await rig.metric('ambit_waypoint_events_total', {
      event: 'retry',
      reason: '503',
      service: made.hostname,
    });
    assert.equal(counted, seen.length - asked);
  });

  test('does not repeat what may have been done and is not idempotent', async () => {
    const { made, seen } = await service('post', 503);
    assert.equal((await rig.ask(made, { method: 'POST', body: 'x' })).status, 503);
    assert.equal(seen.length, 1);
  });

  test('tries as often as it says, and no more than the budget gives', async () => {
    const { made, seen } = await service('budget', 500);
    const rule = {
      attempts: 5,
      on: ['5xx'] as const,
      codes: [],
      backoff: { minMs: 0, baseMs: 1, maxMs: 1 },
    };
    rig.policy(made, { retries: { ...retries, ...rule } });
    assert.equal((await rig.ask(made)).status, 500);
    assert.equal(seen.length, 6);
    seen.length = 0;
    const floor = { by: 'concurrency', minConcurrency: 0 } as const;
    rig.policy(made, { retries: { ...retries, ...rule, budget: { percent: 0, floor } } });
    assert.equal((await rig.ask(made)).status, 500);
    assert.equal(seen.length, 1);
    const denied = { event: 'retry_denied', reason: 'budget', service: made.hostname };
    assert.equal(await rig.metric('ambit_waypoint_events_total', denied), 1);
  });

  test('gives a try its time, then another, and the request its own', async () => {
    const made = rig.service('late');
    const held: ServerResponse[] = [];
    let slow = 1;
    await rig.http(made, 'late-1', (_, response) => {
      if (slow-- > 0) held.push(response);
      else response.end('in time');
    });
    rig.policy(made, {
      timeouts: { ...timeouts, perTryMs: 40 },
      retries: { ...retries, on: ['reset'], backoff: { minMs: 0, baseMs: 1, maxMs: 1 } },
    });
    assert.equal((await rig.ask(made)).body, 'in time');
    slow = 1;
    rig.policy(made, { timeouts: { ...timeouts, requestMs: 40 } });
    assert.equal((await rig.ask(made)).status, 504);
    for (const response of held) response.end();
  });

  test('injects faults: a status instead of an answer, for a share or for some', async () => {
    const { made, seen } = await service('fault', 200);
    const abort = { kind: 'abort', status: 418 } as const;
    const match = { ...EVERYBODY, headers: [{ name: 'x-fault', value: 'yes' }] };
    rig.policy(made, { faults: [{ match, percent: 100, action: abort }] });
    assert.equal((await rig.ask(made)).status, 200);
    assert.equal((await rig.ask(made, { headers: { 'x-fault': 'yes' } })).status, 418);
    rig.policy(made, { faults: [{ match: EVERYBODY, percent: 0, action: abort }] });
    assert.equal((await rig.ask(made)).status, 200);
    assert.equal(seen.length, 2);
  });

  test('injects delays', async () => {
    const { made } = await service('delay', 200);
    const delay = { kind: 'delay', delayMs: 30 } as const;
    rig.policy(made, { faults: [{ match: EVERYBODY, percent: 100, action: delay }] });
    const began = performance.now();
    assert.equal((await rig.ask(made)).status, 200);
    assert.ok(performance.now() - began >= 29);
    const counted = { event: 'fault', reason: 'delay', service: made.hostname };
    assert.equal(await rig.metric('ambit_waypoint_events_total', counted), 1);
  });

  test('limits the rate of each caller, and says when to come again', async () => {
    const { made, seen } = await service('rate', 200);
    const limit = { requests: 2, perMs: 3_600_000, burst: 2, key: { by: 'identity' } } as const;
    rig.policy(made, { rateLimits: { local: [limit], global: [] } });
    const as = (account: string) => ({ as: `spiffe://cluster.local/ns/shop/sa/${account}` });
    for (const account of ['a', 'b']) {
      assert.equal((await rig.ask(made, as(account))).status, 200);
      assert.equal((await rig.ask(made, as(account))).status, 200);
      const { status, headers } = await rig.ask(made, as(account));
      assert.equal(status, 429);
      assert.ok(Number(headers['retry-after']) > 0);
    }
    assert.equal(seen.length, 4);
  });

  test('whose Redis does not answer lets in or not, as onFailure says', async () => {
    const { made } = await service('global', 200);
    const limit = {
      redis: { service: 'shop/nobody', port: 6379 },
      requests: 1,
      perMs: 1000,
      key: { by: 'route' },
      timeoutMs: 20,
    } as const;
    rig.policy(made, { rateLimits: { local: [], global: [{ ...limit, onFailure: 'allow' }] } });
    assert.equal((await rig.ask(made)).status, 200);
    rig.policy(made, { rateLimits: { local: [], global: [{ ...limit, onFailure: 'deny' }] } });
    assert.equal((await rig.ask(made)).status, 500);
  });

  test('breaks the circuit: more requests at once than allowed are refused by name', async () => {
    const made = rig.service('circuit');
    const held: ServerResponse[] = [];
    const arrived = Promise.withResolvers<void>();
    await rig.http(made, 'circuit-1', (_, response) => {
      held.push(response);
      arrived.resolve();
    });
    rig.policy(made, { connectionLimits: { ...connectionLimits, maxRequests: 1 } });
    const first = rig.ask(made);
    await arrived.promise;
    const refused = await rig.ask(made);
    assert.deepEqual([refused.status, refused.headers['x-envoy-overloaded']], [503, 'true']);
    for (const response of held) response.end('done');
    assert.equal((await first).body, 'done');
    for (const response of held) response.end();
    const counted = { event: 'limit', reason: 'maxRequests', service: made.hostname };
    assert.equal(await rig.metric('ambit_waypoint_events_total', counted), 1);
  });

  test('keeps a thousand requests to a service that does not answer from those to another', async () => {
    const slow = rig.service('slow', 'http2');
    const { made } = await service('quick', 200);
    const held: { end(): void }[] = [];
    const full = Promise.withResolvers<void>();
    const server = createHttp2((_, response) => {
      held.push(response);
      if (held.length === 50) full.resolve();
    });
    await rig.endpoint(slow, 'slow-1', server);
    rig.policy(slow, { connectionLimits: { ...connectionLimits, maxRequests: 50 } });
    const sessions = await Promise.all(Array.from({ length: 10 }, () => rig.http2(slow)));
    const asking = sessions.flatMap((session) =>
      Array.from({ length: 100 }, async () => {
        const stream = session.request({ ':path': '/', ':authority': 'slow' });
        const [headers] = (await once(stream.resume(), 'response')) as [Record<string, number>];
        return headers[':status'];
      }),
    );
    await full.promise;
    assert.equal((await rig.ask(made)).status, 200);
    const counted = { event: 'limit', reason: 'maxRequests', service: slow.hostname };
    let refused = 0;
    for (const one of asking) {
      void one.then((status) => {
        if (status === 503) refused++;
      });
    }
    while (refused < 950) assert.equal((await rig.ask(made)).status, 200);
    for (const response of held) response.end();
    const statuses = await Promise.all(asking);
    assert.equal(statuses.filter((status) => status === 200).length, 50);
    assert.equal(await rig.metric('ambit_waypoint_events_total', counted), 950);
  });

  test('lets requests wait for one of few connections, and no more of them than may', async () => {
    const made = rig.service('pending');
    const held: ServerResponse[] = [];
    let arrived = Promise.withResolvers<void>();
    const connections = new Set<unknown>();
    const server = createServer((_, response) => {
      held.push(response);
      arrived.resolve();
    });
    server.on('connection', (socket) => connections.add(socket));
    await rig.endpoint(made, 'pending-1', server);
    const limits = { ...connectionLimits, maxConnections: 1, maxPendingRequests: 1 };
    rig.policy(made, { connectionLimits: limits });
    const first = rig.ask(made);
    await arrived.promise;
    arrived = Promise.withResolvers();
    const second = rig.ask(made);
    const third = rig.ask(made);
    // one of the two is refused, and only then the other one's turn can come
    const refused = await Promise.race([second, third]);
    assert.equal(refused.status, 503);
    held.shift()?.end('first');
    assert.equal((await first).body, 'first');
    await arrived.promise;
    held.shift()?.end('second');
    const bodies = [(await second).body, (await third).body];
    assert.ok(bodies.includes('second'));
    assert.equal(connections.size, 2, 'one after the other');
  });

  test('ejects an endpoint that fails, and counts it', async () => {
    const { made, seen } = await service('outlier', 500, 200);
    rig.policy(made, {
      loadBalancing: { ...BALANCED, algorithm: 'round-robin' },
      outlierDetection: {
        consecutive5xx: 2,
        consecutiveGatewayErrors: 0,
        consecutiveLocalFailures: 0,
        successRate: undefined,
        intervalMs: 3_600_000,
        baseEjectionMs: 3_600_000,
        maxEjectionPercent: 100,
        minHealthPercent: 0,
      },
    });
    for (let i = 0; i < 6; i++) await rig.ask(made);
    assert.equal(seen.filter((name) => name === 'outlier-0').length, 2);
    const counted = { event: 'ejection', reason: 'consecutive-5xx', service: made.hostname };
    assert.equal(await rig.metric('ambit_waypoint_events_total', counted), 1);
  });

  test('keeps a client in place by a cookie that it gives', async () => {
    const { made } = await service('hash', 200, 200, 200, 200);
    const hash = { by: 'cookie', name: 'place', ttlMs: 60_000, path: '/' } as const;
    rig.policy(made, { loadBalancing: { ...BALANCED, algorithm: 'ring-hash', hash } });
    const first = await rig.ask(made);
    const [line = ''] = first.headers['set-cookie'] ?? [];
    assert.match(line, /^place=\w+; Max-Age=60; Path=\/; HttpOnly$/);
    const cookie = line.slice(0, line.indexOf(';'));
    for (let i = 0; i < 8; i++) {
      const again = await rig.ask(made, { headers: { cookie } });
      assert.deepEqual([again.body, again.headers['set-cookie']], [first.body, undefined]);
    }
  });

  test('of a route with session persistence keeps the session with its endpoint', async () => {
    const { made } = await service('session', 200, 200, 200, 200);
    const sessionPersistence = {
      type: 'header',
      name: 'X-Session',
      absoluteTimeoutMs: undefined,
      idleTimeoutMs: undefined,
      permanent: false,
    } as const;
    rig.discovery.push(httpRoute(made, 'session', [{ to: made, sessionPersistence }]));
    const first = await rig.ask(made);
    const session = String(first.headers['x-session']);
    for (let i = 0; i < 8; i++) {
      assert.equal((await rig.ask(made, { headers: { 'x-session': session } })).body, first.body);
    }
  });

  test('names subsets that routes send their shares to; one nobody names is no backend', async () => {
    const { made } = await service('subset', 200, 200);
    const workloads = ['Kubernetes//Pod/shop/subset-1'];
    rig.policy(made, { subsets: [{ name: 'second', labels: {}, workloads }] });
    const to = (subset: string) => [
      {
        target: { ...backendTo(made), subset } as ReturnType<typeof backendTo>,
        weight: 1,
        filters: [],
      },
    ];
    rig.discovery.push(httpRoute(made, 'subset', [{ backends: to('second') }]));
    for (let i = 0; i < 6; i++) assert.equal((await rig.ask(made)).body, 'subset-1');
    rig.discovery.push(httpRoute(made, 'subset', [{ backends: to('third') }]));
    assert.equal((await rig.ask(made)).status, 500);
  });

  test('hedges: a second try is sent when the first takes long, and the faster answer counts', async () => {
    const made = rig.service('hedge');
    const held: ServerResponse[] = [];
    const cut = Promise.withResolvers<void>();
    let first = true;
    await rig.http(made, 'hedge-1', (_, response) => {
      if (first) {
        first = false;
        held.push(response);
        response.once('close', () => cut.resolve());
      } else response.end('faster');
    });
    rig.policy(made, { hedging: { after: { by: 'time', ms: 20 }, maxExtra: 1 } });
    assert.equal((await rig.ask(made)).body, 'faster');
    await cut.promise;
    assert.equal(held.length, 1);
  });

  test('checks endpoints over HTTP, and sends nothing to one that fails its check', async () => {
    const made = rig.service('checked');
    const checked = Promise.withResolvers<void>();
    let checks = 0;
    for (const [name, status] of [
      ['ill', 503],
      ['well', 200],
    ] as const) {
      await rig.http(made, `checked-${name}`, (request, response) => {
        if (request.url !== '/healthz') {
          response.end(name);
          return;
        }
        response.writeHead(status).end();
        if (name === 'ill' && ++checks === 3) checked.resolve();
      });
    }
    rig.policy(made, {
      healthChecks: {
        probe: { kind: 'http', path: '/healthz', expectedStatuses: [[200, 299]] },
        intervalMs: 10,
        timeoutMs: 5000,
        healthyThreshold: 1,
        unhealthyThreshold: 2,
      },
    });
    assert.match((await rig.ask(made)).body, /ill|well/);
    await checked.promise;
    for (let i = 0; i < 6; i++) assert.equal((await rig.ask(made)).body, 'well');
  });

  test('sheds what is beyond the limit of what the service bears, the least important first', async () => {
    const made = rig.service('shed');
    const held: ServerResponse[] = [];
    const arrived = Promise.withResolvers<void>();
    await rig.http(made, 'shed-1', (_, response) => {
      held.push(response);
      if (held.length === 2) arrived.resolve();
    });
    const priorities = { header: 'x-priority', rules: [] };
    const loadShedding = { minLimit: 4, maxLimit: 4, minRttWindowMs: 60_000, priorities };
    rig.policy(made, { loadShedding });
    const busy = [rig.ask(made), rig.ask(made)];
    await arrived.promise;
    const low = await rig.ask(made, { headers: { 'x-priority': 'best-effort' } });
    assert.equal(low.status, 503);
    for (const response of held) response.end();
    for (const one of busy) assert.equal((await one).status, 200);
  });

  test('mirrors requests with their bodies, and waits for no mirror', async () => {
    const { made } = await service('mirrored', 200);
    const mirror = rig.service('mirror');
    const copied = Promise.withResolvers<string>();
    await rig.http(mirror, 'mirror-1', (request) => {
      let body = '';
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.once('end', () => copied.resolve(`${request.method} ${request.url} ${body}`));
    });
    const target = backendTo(mirror);
    rig.discovery.push(
      httpRoute(made, 'mirrored', [
        { to: made, filters: [{ kind: 'mirror', target, numerator: 1, denominator: 1 }] },
      ]),
    );
    const answer = await rig.ask(made, { method: 'POST', path: '/x?y', body: 'again' });
    assert.equal(answer.body, 'mirrored-0');
    assert.equal(await copied.promise, 'POST /x?y again');
  });

  test('of a route comes before its service', async () => {
    const { made } = await service('placed', 200);
    const abort = (status: number) => [
      { match: EVERYBODY, percent: 100, action: { kind: 'abort', status } as const },
    ];
    rig.discovery.push(httpRoute(made, 'placed', [{ to: made, name: 'one' }]));
    rig.policy(made, { faults: abort(500) });
    assert.equal((await rig.ask(made)).status, 500);
    const policy = {
      namespace: 'shop',
      name: 'placed-route',
      targets: [{ kind: 'route', route: 'http/shop/placed', rule: 'one' } as const],
      settings: { faults: abort(501) },
    };
    rig.discovery.push({ kind: 'traffic-policy', policy });
    assert.equal((await rig.ask(made)).status, 501);
    rig.discovery.push({ kind: 'traffic-policy-removed', name: 'shop/placed-route' });
    assert.equal((await rig.ask(made)).status, 500);
  });

  test('without one, a connection that nobody takes is tried at another endpoint', async () => {
    const made = rig.service('refused');
    const gone = createServer();
    await rig.endpoint(made, 'refused-0', gone);
    gone.close();
    await once(gone, 'close');
    await rig.http(made, 'refused-1', (_, response) => response.end('there'));
    for (let i = 0; i < 4; i++) {
      assert.equal((await rig.ask(made, { method: 'POST', body: 'x' })).body, 'there');
    }
  });
});
