// Policy in force at a waypoint: who gets through to the application, by path, identity, token, and by the word of others.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { createServer as createTcp } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { ExternalAuthorizer, HttpPolicy, PolicyTest } from '../mesh/http-policy.ts';
import type { KeySource, RequestAuthentication } from '../mesh/request-authentication.ts';
import type { RouteFilter } from '../mesh/route.ts';
import { type Service, serviceKey } from '../mesh/service.ts';
import { serveGrpc } from './auth/test-authorizers.ts';
import { ISSUER, jwksOf, jwtRuleOf, makeKey, signToken } from './auth/test-issuer.ts';
import { backendTo, httpRoute, Rig } from './test-rig.ts';

type RigService = ReturnType<Rig['service']>;

const STRANGER = 'spiffe://cluster.local/ns/ops/sa/stranger';
const RBAC = [403, 'RBAC: access denied'] as const;

const rule = (...tests: readonly PolicyTest[]) => ({
  clauses: tests.length === 0 ? [] : [{ part: 'to' as const, anyOf: [tests] }],
});
const path = (value: string, kind: 'exact' | 'prefix' = 'exact'): PolicyTest => ({
  attribute: 'request.path',
  not: false,
  values: [{ kind, value }],
});
const text = (
  attribute: 'source.namespace' | 'request.auth.principal' | 'request.method',
  value: string,
): PolicyTest => ({ attribute, not: false, values: [{ kind: 'exact', value }] });

describe('policy at a waypoint', () => {
  let rig: Rig;
  const opened: { close(): Promise<void> }[] = [];
  before(async () => {
    rig = await Rig.open();
  });
  after(async () => {
    await rig.close();
    await Promise.all(opened.map((one) => one.close()));
  });

  async function app(name: string, listener?: RequestListener): Promise<RigService> {
    const service = rig.service(name);
    await rig.http(service, `${name}-1`, listener ?? ((_, response) => void response.end('in')));
    return service;
  }

  const push = (policy: HttpPolicy): void => rig.discovery.push({ kind: 'http-policy', policy });

  function policyOf(service: Service, rules: HttpPolicy['rules']) {
    const targets = [{ kind: 'service', service: serviceKey(service) }] as const;
    return { namespace: 'shop', name: service.name, targets, rules, dryRun: false };
  }

  const asked = async (...request: Parameters<Rig['ask']>) => {
    const { status, body } = await rig.ask(...request);
    return [status, body] as const;
  };

  test('DENY by path answers 403, and other paths go on', async () => {
    const web = await app('deny');
    push({ ...policyOf(web, [rule(path('/admin', 'prefix'))]), action: 'deny' });
    assert.deepEqual(await asked(web, { path: '/admin/x' }), RBAC);
    assert.deepEqual(await asked(web, { path: '/shop' }), [200, 'in']);
    rig.discovery.push({ kind: 'http-policy-removed', name: 'shop/deny' });
    assert.deepEqual(await asked(web, { path: '/admin/x' }), [200, 'in']);
  });

  test('ALLOW lets in what it matches and nothing else; without rules it lets in nothing', async () => {
    const web = await app('allow');
    const inShop = rule(text('source.namespace', 'shop'), text('request.method', 'GET'));
    push({ ...policyOf(web, [inShop]), action: 'allow' });
    assert.deepEqual(await asked(web), [200, 'in']);
    assert.deepEqual(await asked(web, { method: 'POST' }), RBAC);
    assert.deepEqual(await asked(web, { as: STRANGER }), RBAC);
    push({ ...policyOf(web, []), action: 'allow' });
    assert.deepEqual(await asked(web), RBAC);
  });

  test('a policy of the gateway or its class holds for every service, one of another gateway for none', async () => {
    const web = await app('gateway-wide');
    const deny = { ...policyOf(web, [rule(path('/wide'))]), action: 'deny' } as const;
    for (const [target, status] of [
      [{ kind: 'gateway', gateway: 'shop/waypoint' }, 403],
      [{ kind: 'gateway-class', name: 'ambit-waypoint' }, 403],
      [{ kind: 'gateway', gateway: 'shop/other' }, 200],
      [{ kind: 'gateway-class', name: 'another' }, 200],
    ] as const) {
      push({ ...deny, targets: [target] });
      assert.equal((await rig.ask(web, { path: '/wide' })).status, status, JSON.stringify(target));
    }
    rig.discovery.push({ kind: 'http-policy-removed', name: 'shop/gateway-wide' });
  });

  test('AUDIT and dry run decide nothing, and are told of in log and metrics', async () => {
    const web = await app('audit');
    push({ ...policyOf(web, [rule(path('/seen'))]), action: 'audit' });
    push({ ...policyOf(web, [rule(path('/seen'))]), name: 'dry', action: 'deny', dryRun: true });
    assert.deepEqual(await asked(web, { path: '/seen' }), [200, 'in']);
    const said = rig.lines
      .filter(({ path: at, scope }) => at === '/seen' && scope !== 'access')
      .map(({ message }) => message);
    assert.deepEqual(said, ['An AUDIT policy matched', 'Policies in dry run were evaluated']);
    const metrics = await rig.metrics();
    assert.match(
      metrics,
      /ambit_request_policy_dry_run_total\{policy="shop\/dry",kind="dry_run",action="allow",would_be="deny"\} 1/,
    );
  });

  test('a condition in CEL decides, and one that fails lets nobody in', async () => {
    const web = await app('cel');
    const cel = (expression: string): PolicyTest => ({
      attribute: 'cel',
      not: false,
      values: [expression],
    });
    push({ ...policyOf(web, [rule(cel('request.path.size() < 4'))]), action: 'allow' });
    assert.deepEqual(await asked(web, { path: '/ab' }), [200, 'in']);
    assert.deepEqual(await asked(web, { path: '/abcd' }), RBAC);
    push({ ...policyOf(web, [rule(cel('request.headers["none"] == "x"'))]), action: 'allow' });
    assert.deepEqual(await asked(web), RBAC);
  });

  test('a client of gRPC is told by its own status', async () => {
    const web = rig.service('grpc-denied', 'grpc');
    push({ ...policyOf(web, [rule()]), action: 'deny' });
    const session = await rig.http2(web);
    const stream = session.request({
      ':path': '/a.B/C',
      ':method': 'POST',
      'content-type': 'application/grpc',
    });
    stream.end();
    const [headers] = (await once(stream, 'response')) as [Record<string, string>];
    assert.deepEqual([headers[':status'], headers['grpc-status']], [200, '7']);
  });

  test('a request under way that policy comes to forbid is cut, and no other', async () => {
    const [cut, kept] = [await app('r-cut', slowly), await app('r-kept', slowly)];
    const streams = await Promise.all(
      [cut, kept].map(async (service) => {
        const session = await rig.http2(service);
        const stream = session.request({ ':path': '/' });
        stream.on('error', () => {});
        await once(stream, 'data');
        return stream;
      }),
    );
    const closed = new Promise((resolve) => streams[0]?.once('close', resolve));
    push({ ...policyOf(kept, [rule(path('/other'))]), action: 'deny' });
    push({ ...policyOf(cut, [rule()]), action: 'deny' });
    await closed;
    assert.notEqual(streams[0]?.rstCode, 0);
    assert.equal(streams[1]?.closed, false);
    assert.ok(
      rig.lines.some(({ message }) => message === 'Cut a request that policy came to forbid'),
    );
    streams[1]?.close();
  });

  describe('with tokens', () => {
    const authenticate = (service: Service, keys: KeySource): void => {
      const policy: RequestAuthentication = {
        namespace: 'shop',
        name: service.name,
        targets: [{ kind: 'service', service: serviceKey(service) }],
        rules: [jwtRuleOf(keys, { outputClaimToHeaders: [{ header: 'x-user', claim: 'sub' }] })],
        broken: undefined,
      };
      rig.discovery.push({ kind: 'request-authentication', policy });
    };
    const showUser: RequestListener = ({ headers }, response) =>
      void response.end(`${headers['x-user']} ${headers.authorization}`);
    const bearing = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

    test('a good one tells the application who asks, a bad one ends with 401, none is nobody', async () => {
      const web = await app('jwt', showUser);
      const key = await makeKey('k');
      authenticate(web, { kind: 'inline', jwks: jwksOf(key) });
      const good = await signToken({ key, nowMs: Date.now() });
      assert.deepEqual(await asked(web, bearing(good)), [200, 'ann undefined']);
      assert.deepEqual(await asked(web), [200, 'undefined undefined']);
      assert.deepEqual(await asked(web, { headers: { 'x-user': 'mallory' } }), [
        200,
        'undefined undefined',
      ]);
      const refused = await rig.ask(web, bearing(await signToken({ key, nowMs: 0 })));
      assert.equal(refused.status, 401);
      assert.match(refused.headers['www-authenticate'] ?? '', /^Bearer error="invalid_token"/);
    });

    test('keys are fetched from their issuer through the mesh, once; without them the token is refused', async () => {
      const web = await app('jwt-fetched', showUser);
      const key = await makeKey('k');
      let fetches = 0;
      const issuer = await app('issuer', (_, response) => {
        fetches++;
        response.end(jwksOf(key));
      });
      const uri = `http://${issuer.hostname}/keys`;
      authenticate(web, { kind: 'fetched', uri, timeoutMs: 2000 });
      const token = bearing(await signToken({ key, nowMs: Date.now() }));
      assert.deepEqual(await asked(web, token), [200, 'ann undefined']);
      assert.deepEqual(await asked(web, token), [200, 'ann undefined']);
      assert.equal(fetches, 1);
      authenticate(web, {
        kind: 'fetched',
        uri: `${uri}-away`.replace('issuer', 'none'),
        timeoutMs: 500,
      });
      assert.equal((await rig.ask(web, token)).status, 401);
      assert.equal((await rig.ask(web)).status, 200);
    });

    test('policy goes by what a token says, and by no token that was not verified here', async () => {
      const web = await app('jwt-policy');
      const key = await makeKey('k');
      const ann = text('request.auth.principal', `${ISSUER}/ann`);
      push({ ...policyOf(web, [rule(ann)]), action: 'allow' });
      const token = bearing(await signToken({ key, nowMs: Date.now() }));
      assert.deepEqual(await asked(web, token), RBAC);
      authenticate(web, { kind: 'inline', jwks: jwksOf(key) });
      assert.deepEqual(await asked(web, token), [200, 'in']);
      assert.deepEqual(await asked(web), RBAC);
      const bob = await signToken({ key, nowMs: Date.now(), claims: { sub: 'bob' } });
      assert.deepEqual(await asked(web, bearing(bob)), RBAC);
    });

    test('where a policy cannot be read nobody gets through', async () => {
      const web = await app('jwt-broken');
      const targets = [{ kind: 'service', service: serviceKey(web) }] as const;
      const policy = { namespace: 'shop', name: 'b', targets, rules: [], broken: 'it is new' };
      rig.discovery.push({ kind: 'request-authentication', policy });
      assert.equal((await rig.ask(web)).status, 401);
    });
  });

  describe('that leaves it to somebody else', () => {
    const providerOf = (
      judge: Service,
      parts: Partial<ExternalAuthorizer> = {},
    ): ExternalAuthorizer => ({
      name: judge.name,
      protocol: 'http',
      service: serviceKey(judge),
      port: 80,
      timeoutMs: 2000,
      failOpen: false,
      statusOnError: 403,
      pathPrefix: '',
      includeRequestHeaders: [],
      includeAdditionalHeaders: [],
      includeRequestBody: undefined,
      headersToUpstreamOnAllow: [],
      headersToDownstreamOnAllow: [],
      headersToDownstreamOnDeny: [],
      ...parts,
    });

    test('asks it over HTTP with the body, which the application still gets whole', async () => {
      const web = await app('judged', (request, response) => {
        response.setHeader('x-seen', request.headers['x-judge'] ?? '');
        request.pipe(response);
      });
      const heard: string[] = [];
      const judge = await app('judge', (request, response) => {
        void bodyOf(request).then((body) => {
          heard.push(`${request.method} ${request.url} ${body}`);
          response.setHeader('x-judge', 'yes');
          response.statusCode = request.url === '/no' ? 401 : 200;
          response.end('not you');
        });
      });
      const provider = providerOf(judge, {
        headersToUpstreamOnAllow: ['x-judge'],
        headersToDownstreamOnAllow: ['x-judge'],
        includeRequestBody: { maxBytes: 10, allowPartial: true, asBytes: false },
      });
      push({ ...policyOf(web, [rule()]), action: 'custom', provider });
      const body = `0123456789${'x'.repeat(300_000)}`;
      const yes = await rig.ask(web, { method: 'POST', path: '/yes?a=b', body });
      assert.deepEqual([yes.status, yes.body === body], [200, true]);
      assert.deepEqual([yes.headers['x-seen'], yes.headers['x-judge']], ['yes', 'yes']);
      const small = await rig.ask(web, { method: 'POST', path: '/yes', body: 'abc' });
      assert.deepEqual([small.status, small.body], [200, 'abc']);
      assert.deepEqual(await asked(web, { path: '/no' }), [401, 'not you']);
      assert.deepEqual(heard, ['POST /yes?a=b 0123456789', 'POST /yes abc', 'GET /no ']);
    });

    test('a body that it saw whole still reaches a mirror, too', async () => {
      const web = await app('mirrored', (request, response) => void request.pipe(response));
      const judge = await app('mirrored-judge');
      const copied = Promise.withResolvers<string>();
      const copy = await app('mirrored-copy', (request, response) => {
        void bodyOf(request).then(copied.resolve);
        response.end();
      });
      const mirror: RouteFilter = {
        kind: 'mirror',
        target: backendTo(copy),
        numerator: 1,
        denominator: 1,
      };
      rig.discovery.push(httpRoute(web, 'mirrored', [{ to: web, filters: [mirror] }]));
      const includeRequestBody = { maxBytes: 10, allowPartial: false, asBytes: false };
      const provider = providerOf(judge, { includeRequestBody });
      push({ ...policyOf(web, [rule()]), action: 'custom', provider });
      const headers = { 'transfer-encoding': 'chunked' };
      const answer = await rig.ask(web, { method: 'POST', headers, body: 'abc' });
      assert.deepEqual([answer.status, answer.body], [200, 'abc']);
      assert.equal(await copied.promise, 'abc');
    });

    test('a body longer than it takes whole is refused with 413', async () => {
      const web = await app('too-long');
      const judge = await app('too-long-judge');
      const includeRequestBody = { maxBytes: 10, allowPartial: false, asBytes: false };
      const provider = providerOf(judge, { includeRequestBody });
      push({ ...policyOf(web, [rule()]), action: 'custom', provider });
      assert.equal((await rig.ask(web, { method: 'POST', body: 'x'.repeat(11) })).status, 413);
      assert.equal((await rig.ask(web, { method: 'POST', body: 'x'.repeat(10) })).status, 200);
    });

    test('a client that waits to be told to go on is told so by the waypoint', async () => {
      const web = await app('expecting', (request, response) => void request.pipe(response));
      const judge = await app('expecting-judge');
      const includeRequestBody = { maxBytes: 10, allowPartial: true, asBytes: false };
      const provider = providerOf(judge, { includeRequestBody });
      push({ ...policyOf(web, [rule()]), action: 'custom', provider });
      const socket = await rig.connect(web);
      socket.write(
        'POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n',
      );
      let got = '';
      for await (const chunk of socket) {
        got += String(chunk);
        if (got === 'HTTP/1.1 100 Continue\r\n\r\n') socket.write('ok');
      }
      assert.match(got, /HTTP\/1\.1 200 OK[^]*ok/);
    });

    test('asks it over gRPC', async () => {
      const web = await app('judged-grpc');
      const service = await serveGrpc((seen, reply) => {
        const denied = seen.attributes.request.http.path === '/no';
        reply(
          null,
          denied
            ? { status: { code: 7 }, deniedResponse: { status: { code: 418 }, body: 'no' } }
            : { status: { code: 0 }, okResponse: {} },
        );
      });
      opened.push(service);
      const judge = rig.service('judge-grpc', 'grpc');
      rig.listening(judge, 'judge-grpc-1', service.port);
      const provider = providerOf(judge, { protocol: 'grpc' });
      push({ ...policyOf(web, [rule()]), action: 'custom', provider });
      assert.deepEqual(await asked(web), [200, 'in']);
      assert.deepEqual(await asked(web, { path: '/no' }), [418, 'no']);
    });

    test('is denied when nobody answers, or nobody is known to be asked', async () => {
      const web = await app('unanswered');
      const nobody = rig.service('nobody');
      const base = policyOf(web, [rule()]);
      push({ ...base, action: 'custom', provider: providerOf(nobody) });
      assert.equal((await rig.ask(web)).status, 403);
      push({ ...base, action: 'custom', provider: providerOf(nobody, { failOpen: true }) });
      assert.equal((await rig.ask(web)).status, 200);
      push({ ...base, action: 'custom', provider: { name: 'none', why: 'there is none' } });
      assert.deepEqual(await asked(web), RBAC);
    });

    test('a filter of a route asks before anything comes of the request', async () => {
      const web = await app(
        'filtered',
        ({ headers }, response) => void response.end(headers['x-judge']),
      );
      const judge = await app('filter-judge', (request, response) => {
        response.setHeader('x-judge', 'asked');
        response.statusCode = request.headers['x-pass'] === 'yes' ? 200 : 403;
        response.end();
      });
      const ask: RouteFilter = {
        kind: 'external-auth',
        protocol: 'http',
        target: backendTo(judge),
        pathPrefix: '/check',
        allowedHeaders: ['x-pass'],
        allowedResponseHeaders: ['x-judge'],
        maxBodyBytes: 0,
      };
      rig.discovery.push(httpRoute(web, 'filtered', [{ to: web, filters: [ask] }]));
      assert.deepEqual(await asked(web, { headers: { 'x-pass': 'yes' } }), [200, 'asked']);
      assert.equal((await rig.ask(web)).status, 403);
      const redirect: RouteFilter = {
        kind: 'redirect',
        scheme: undefined,
        hostname: 'elsewhere',
        path: undefined,
        port: undefined,
        status: 302,
      };
      rig.discovery.push(httpRoute(web, 'filtered', [{ to: web, filters: [ask, redirect] }]));
      assert.equal((await rig.ask(web)).status, 403);
      assert.equal((await rig.ask(web, { headers: { 'x-pass': 'yes' } })).status, 302);
      const nobody = { ...ask, target: { kind: 'invalid', why: 'gone' } } as const;
      rig.discovery.push(httpRoute(web, 'filtered', [{ to: web, filters: [nobody] }]));
      assert.equal((await rig.ask(web)).status, 500);
    });
  });

  describe('for bytes that are no HTTP', () => {
    const carried = async (service: RigService): Promise<string> => {
      const socket = await rig.connect(service);
      socket.on('error', () => {});
      let got = '';
      try {
        for await (const chunk of socket) {
          got += String(chunk);
          if (got === 'hello') socket.end();
        }
      } catch {
        return `${got} cut`;
      }
      return got;
    };
    const tcp = async (name: string): Promise<RigService> => {
      const service = rig.service(name, 'tcp');
      const server = createTcp((socket) => {
        socket.on('error', () => {});
        socket.write('hello');
        socket.on('end', () => socket.end());
      });
      await rig.endpoint(service, `${name}-1`, server);
      return service;
    };

    test('what asks of a connection decides; ALLOW by path never lets in, DENY by path always keeps out', async () => {
      const own = text('source.namespace', 'shop');
      for (const [name, action, tests, expected] of [
        ['b-none', 'allow', [own], 'hello'],
        ['b-other', 'allow', [text('source.namespace', 'ops')], ' cut'],
        ['b-allow-l7', 'allow', [path('/')], ' cut'],
        ['b-deny-l7', 'deny', [path('/')], ' cut'],
        ['b-deny-both', 'deny', [path('/'), text('source.namespace', 'ops')], 'hello'],
        ['b-deny', 'deny', [own], ' cut'],
        ['b-audit', 'audit', [own], 'hello'],
      ] as const) {
        const service = await tcp(name);
        push({ ...policyOf(service, [rule(...tests)]), action });
        assert.equal(await carried(service), expected, name);
      }
      const custom = await tcp('b-custom');
      const provider = { name: 'none', why: 'there is none' };
      push({ ...policyOf(custom, [rule(own)]), action: 'custom', provider });
      assert.equal(await carried(custom), ' cut');
    });

    test('an open connection that policy comes to forbid is cut, and no other', async () => {
      const [cut, kept] = [await tcp('b-cut'), await tcp('b-kept')];
      const sockets = await Promise.all([rig.connect(cut), rig.connect(kept)]);
      for (const socket of sockets) socket.on('error', () => {});
      await Promise.all(sockets.map((socket) => once(socket, 'data')));
      const closed = new Promise((resolve) => sockets[0]?.once('close', resolve));
      push({ ...policyOf(cut, [rule()]), action: 'deny' });
      await closed;
      assert.equal(sockets[1]?.destroyed, false);
      sockets[1]?.destroy();
    });
  });
});

/** A first word, and no end. */
const slowly: RequestListener = (_, response) => void response.write('first');

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return body;
}
