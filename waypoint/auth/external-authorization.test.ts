import assert from 'node:assert/strict';
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import type { ExternalAuthorizer } from '../../mesh/http-policy.ts';
import { factsOf, providerOf } from '../../mesh/test-http-policies.ts';
import { createLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import {
  ExternalAuthorization,
  type ExternalVerdict,
  type Question,
} from './external-authorization.ts';
import { applyChanges } from './header-changes.ts';
import {
  type GrpcAnswer,
  type SeenCheck,
  serveGrpc,
  serveHttp,
  type TestService,
} from './test-authorizers.ts';

const log = createLog({ component: 'test', level: 'off' });
const NEVER = new AbortController().signal;

const FACTS = factsOf({
  request: {
    method: 'POST',
    path: '/a',
    query: 'x=1&y=2',
    headers: [
      ['authorization', 'Bearer x'],
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['x-user', 'root'],
      ['x-team', 'web'],
    ],
  },
  sni: 'web.shop',
});
const QUESTION: Question = { facts: FACTS, id: 'id-1', protocol: 'HTTP/2', body: undefined };
const BODY =
  (text: string): Question['body'] =>
  (maxBytes) => {
    const bytes = new TextEncoder().encode(text);
    return Promise.resolve({
      bytes: bytes.subarray(0, maxBytes),
      complete: bytes.length <= maxBytes,
    });
  };

type World = {
  readonly clock: ManualClock;
  readonly service: TestService;
  readonly external: ExternalAuthorization;
  readonly targets: { service: string; port: number }[];
  ask(
    provider?: Partial<ExternalAuthorizer>,
    question?: Partial<Question>,
    signal?: AbortSignal,
  ): Promise<ExternalVerdict>;
};

async function using<T>(
  starting: Promise<TestService>,
  protocol: 'grpc' | 'http',
  use: (world: World) => Promise<T>,
): Promise<T> {
  const clock = new ManualClock();
  const service = await starting;
  const targets: World['targets'] = [];
  const external = new ExternalAuthorization({
    clock,
    log,
    connect: (target) => {
      targets.push(target);
      return service.dial();
    },
  });
  try {
    return await use({
      clock,
      service,
      external,
      targets,
      ask: (provider, question, signal = NEVER) =>
        external.ask(providerOf({ protocol, ...provider }), { ...QUESTION, ...question }, signal),
    });
  } finally {
    external.close();
    await service.close();
  }
}
const withGrpc = <T>(answer: GrpcAnswer, use: (world: World) => Promise<T>): Promise<T> =>
  using(serveGrpc(answer), 'grpc', use);
const withHttp = <T>(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  use: (world: World) => Promise<T>,
): Promise<T> => using(serveHttp(listener), 'http', use);

const OK = { status: { code: 0 } };
function refusalOf(verdict: ExternalVerdict) {
  assert.equal(verdict.kind, 'refused');
  if (verdict.kind !== 'refused') throw new Error();
  const { status, grpcStatus, flag, headers, body } = verdict.refusal;
  return { status, grpcStatus, flag, headers, body };
}

describe('over gRPC', () => {
  test('a service is told who asks for what', async () => {
    let seen: SeenCheck | undefined;
    const verdict = await withGrpc(
      (asked, reply) => {
        seen = asked;
        reply(null, OK);
      },
      async ({ ask, targets }) => {
        const answer = await ask();
        assert.deepEqual(targets, [{ service: 'auth/opa.auth.svc.cluster.local', port: 9191 }]);
        return answer;
      },
    );
    assert.deepEqual(verdict, { kind: 'passed', request: FACTS.request, answerChanges: [] });
    const { source, destination, request, tlsSession } = seen?.attributes ?? {};
    assert.equal(source?.principal, 'spiffe://cluster.local/ns/shop/sa/web');
    assert.equal(source?.address.socketAddress.address, '10.0.0.1');
    assert.equal(destination?.address.socketAddress.portValue, 80);
    assert.equal(tlsSession?.sni, 'web.shop');
    const { http } = request ?? {};
    assert.deepEqual(
      [http?.id, http?.method, http?.host, http?.scheme, http?.path, http?.protocol],
      ['id-1', 'POST', 'web.shop', 'http', '/a?x=1&y=2', 'HTTP/2'],
    );
    assert.equal(http?.headers['cookie'], 'a=1; b=2');
    assert.equal(http?.headers[':path'], '/a?x=1&y=2');
    assert.equal(http?.headers['x-team'], 'web');
  });

  test('what it says of headers and parameters is done, but for those that frame the message', async () => {
    const header = (key: string, value: string, more: object = {}) => ({
      header: { key, value },
      ...more,
    });
    const verdict = await withGrpc(
      (_, reply) =>
        reply(null, {
          ...OK,
          okResponse: {
            headers: [
              header('X-User', 'ann'),
              header('x-team', 'db', { append: { value: true } }),
              header('x-new', '1', { appendAction: 1 }),
              header('x-user', 'bob', { appendAction: 1 }),
              header('x-none', '1', { appendAction: 3 }),
              header('host', 'evil.test'),
              header(':path', '/admin'),
              header('content-length', '0'),
              header('x-bad', 'a\r\nb: c'),
            ],
            headersToRemove: ['authorization', 'Host'],
            responseHeadersToAdd: [header('set-cookie', 'a=1'), header('set-cookie', 'b=2')],
            queryParametersToSet: [{ key: 'y', value: 'é' }],
            queryParametersToRemove: ['x'],
          },
        }),
      ({ ask }) => ask(),
    );
    assert.ok(verdict.kind === 'passed');
    assert.deepEqual(verdict.request.headers, [
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['x-team', 'web'],
      ['x-user', 'ann'],
      ['x-team', 'db'],
      ['x-new', '1'],
    ]);
    assert.deepEqual([verdict.request.path, verdict.request.query], ['/a', 'y=%C3%A9']);
    assert.deepEqual(applyChanges([['a', 'b']], verdict.answerChanges), [
      ['a', 'b'],
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
    ]);
  });

  test('a refusal is what it says, 403 where it says nothing', async () => {
    const cases: [object, ReturnType<typeof refusalOf>][] = [
      [
        { status: { code: 7 } },
        { status: 403, grpcStatus: 7, flag: 'UAEX', headers: [], body: '' },
      ],
      [
        {
          status: { code: 16 },
          deniedResponse: {
            status: { code: 302 },
            headers: [{ header: { key: 'Location', value: 'https://id.test' } }],
            body: 'go there',
          },
        },
        {
          status: 302,
          grpcStatus: 7,
          flag: 'UAEX',
          headers: [['location', 'https://id.test']],
          body: 'go there',
        },
      ],
      [
        { status: { code: 16 }, deniedResponse: { status: { code: 401 } } },
        { status: 401, grpcStatus: 16, flag: 'UAEX', headers: [], body: '' },
      ],
      // an answer that is not plainly yes
      [
        { ...OK, deniedResponse: {} },
        { status: 403, grpcStatus: 7, flag: 'UAEX', headers: [], body: '' },
      ],
      [{}, { status: 403, grpcStatus: 7, flag: 'UAEX', headers: [], body: '' }],
      [
        { status: { code: 7 }, okResponse: {} },
        { status: 403, grpcStatus: 7, flag: 'UAEX', headers: [], body: '' },
      ],
    ];
    for (const [answer, refusal] of cases) {
      const verdict = await withGrpc(
        (_, reply) => reply(null, answer),
        ({ ask }) => ask(),
      );
      assert.deepEqual(refusalOf(verdict), refusal, JSON.stringify(answer));
    }
  });

  test('one connection serves many questions, and another one those after it broke', async () => {
    let asked = 0;
    await withGrpc(
      (_, reply) => {
        asked++;
        reply(null, OK);
      },
      async ({ ask, service, clock, external }) => {
        await Promise.all(Array.from({ length: 30 }, () => ask()));
        assert.equal(service.dialled(), 1);
        await clock.advance(5 * 60_000);
        await ask();
        assert.equal(service.dialled(), 2);
        external.retain([]);
        await ask();
        assert.equal(service.dialled(), 3);
        assert.equal(asked, 32);
      },
    );
  });

  test('a service that does not answer in time, or not at all, refuses', async () => {
    const asked = Promise.withResolvers<void>();
    const unanswered = await withGrpc(
      () => asked.resolve(),
      async ({ ask, clock }) => {
        const waiting = ask({ timeoutMs: 600, statusOnError: 503 });
        await asked.promise;
        await clock.advance(600);
        return waiting;
      },
    );
    assert.deepEqual(refusalOf(unanswered), {
      status: 503,
      grpcStatus: 14,
      flag: 'UAEX',
      headers: [],
      body: '',
    });
    const broken = await withGrpc(
      (_, reply) => reply({ code: 14, details: 'not today' }),
      ({ ask }) => ask(),
    );
    assert.equal(refusalOf(broken).status, 403);
    const own = await withGrpc(
      (_, reply) => reply(null, { status: { code: 13 }, errorResponse: { status: { code: 500 } } }),
      ({ ask }) => ask({ statusOnError: 500 }),
    );
    assert.equal(refusalOf(own).status, 500);
  });

  test('where its policy lets requests go on without an answer, they do, as they came', async () => {
    const verdict = await withGrpc(
      (_, reply) => reply({ code: 14 }),
      ({ ask }) => ask({ failOpen: true }),
    );
    assert.deepEqual(verdict, { kind: 'passed', request: FACTS.request, answerChanges: [] });
    // but never past a no
    const denied = await withGrpc(
      (_, reply) => reply(null, { status: { code: 7 } }),
      ({ ask }) => ask({ failOpen: true }),
    );
    assert.equal(refusalOf(denied).status, 403);
  });

  test('a client that has gone ends the question', async () => {
    const asked = Promise.withResolvers<void>();
    await withGrpc(
      () => asked.resolve(),
      async ({ ask, clock }) => {
        const gone = new AbortController();
        const waiting = ask({}, {}, gone.signal);
        await asked.promise;
        gone.abort(new Error('gone'));
        await assert.rejects(waiting, /gone/);
        assert.equal(clock.pending(), 0);
      },
    );
  });

  test('a body is told as far as the provider wants it, in the form it wants', async () => {
    const seen: SeenCheck[] = [];
    await withGrpc(
      (asked, reply) => {
        seen.push(asked);
        reply(null, OK);
      },
      async ({ ask }) => {
        const wanted = { maxBytes: 4, allowPartial: false, asBytes: false };
        await ask({ includeRequestBody: wanted }, { body: BODY('abcd') });
        const long = await ask({ includeRequestBody: wanted }, { body: BODY('abcde') });
        assert.equal(refusalOf(long).status, 413);
        await ask(
          { includeRequestBody: { ...wanted, allowPartial: true, asBytes: true } },
          { body: BODY('abcde') },
        );
        await ask({}, { body: BODY('abcd') });
      },
    );
    const told = seen.map(({ attributes }) => {
      const { body, rawBody } = attributes.request.http;
      return [body, Buffer.from(rawBody).toString()];
    });
    assert.deepEqual(told, [
      ['abcd', ''],
      ['', 'abcd'],
      ['', ''],
    ]);
  });
});

describe('over HTTP', () => {
  test('it is asked with the request’s own line, and the headers that are named', async () => {
    let seen: { line: string; headers: IncomingMessage['headers'] } | undefined;
    const verdict = await withHttp(
      (request, response) => {
        seen = { line: `${request.method} ${request.url}`, headers: request.headers };
        response.end();
      },
      ({ ask }) =>
        ask({
          pathPrefix: '/check',
          includeRequestHeaders: ['x-t*'],
          includeAdditionalHeaders: [
            ['X-From', 'mesh'],
            ['x-team', 'ours'],
          ],
        }),
    );
    assert.deepEqual(verdict, { kind: 'passed', request: FACTS.request, answerChanges: [] });
    assert.equal(seen?.line, 'POST /check/a?x=1&y=2');
    assert.deepEqual(seen?.headers, {
      host: 'web.shop',
      connection: 'close',
      authorization: 'Bearer x',
      'x-from': 'mesh',
      'x-team': 'ours',
      'content-length': '0',
    });
  });

  test('200 is yes, with the headers that the provider lets through', async () => {
    const verdict = await withHttp(
      (_, response) =>
        response
          .writeHead(
            200,
            [
              ['X-User', 'ann'],
              ['x-groups', 'a'],
              ['x-groups', 'b'],
              ['x-secret', '1'],
              ['set-cookie', 'a=1'],
              ['x-envoy-auth-headers-to-remove', 'authorization, cookie'],
            ].flat(),
          )
          .end('ignored'),
      ({ ask }) =>
        ask({
          headersToUpstreamOnAllow: ['x-user', 'x-g*', 'transfer-encoding', 'date'],
          headersToDownstreamOnAllow: ['set-*'],
        }),
    );
    assert.ok(verdict.kind === 'passed');
    const headers = verdict.request.headers.filter(([name]) => name !== 'date');
    assert.deepEqual(headers, [
      ['x-team', 'web'],
      ['x-user', 'ann'],
      ['x-groups', 'a'],
      ['x-groups', 'b'],
    ]);
    assert.deepEqual(applyChanges([], verdict.answerChanges), [['set-cookie', 'a=1']]);
  });

  test('anything else is no, said to the client; 5xx is no answer', async () => {
    const answer = (status: number) => (_: IncomingMessage, response: ServerResponse) =>
      void response
        .writeHead(status, { location: 'https://id.test', 'x-why': 'y', 'x-b': 'z' })
        .end('why');
    for (const status of [201, 204, 302, 401, 403]) {
      const verdict = await withHttp(answer(status), ({ ask }) =>
        ask({ headersToDownstreamOnDeny: ['location', '*-why'] }),
      );
      const refusal = refusalOf(verdict);
      assert.deepEqual([refusal.status, refusal.flag], [status, 'UAEX']);
      assert.deepEqual(refusal.headers, [
        ['location', 'https://id.test'],
        ['x-why', 'y'],
      ]);
    }
    const all = refusalOf(await withHttp(answer(403), ({ ask }) => ask()));
    assert.ok(all.headers.some(([name]) => name === 'x-b'));
    assert.ok(!all.headers.some(([name]) => name === 'connection' || name === 'content-length'));
    assert.equal(all.body, 'why');
    const failed = await withHttp(answer(500), ({ ask }) => ask({ statusOnError: 503 }));
    assert.deepEqual([refusalOf(failed).status, refusalOf(failed).body], [503, '']);
    const open = await withHttp(answer(500), ({ ask }) => ask({ failOpen: true }));
    assert.equal(open.kind, 'passed');
  });

  test('an answer that is too long, broken or none is no answer', async () => {
    const bad: ((request: IncomingMessage, response: ServerResponse) => void)[] = [
      (_, response) => void response.end('x'.repeat(300_000)),
      (_, response) => void response.socket?.destroy(),
      (_, response) => void response.socket?.end('rubbish\r\n\r\n'),
      (_, response) => {
        response
          .writeHead(200, { 'content-length': 10 })
          .write('x', () => response.socket?.destroy());
      },
    ];
    for (const listener of bad) {
      const verdict = await withHttp(listener, ({ ask }) => ask());
      assert.equal(refusalOf(verdict).status, 403);
    }
  });

  test('a body goes along where it is wanted', async () => {
    const bodies: string[] = [];
    await withHttp(
      (request, response) => {
        void request.toArray().then((chunks) => {
          bodies.push(Buffer.concat(chunks).toString());
          response.end();
        });
      },
      async ({ ask }) => {
        const includeRequestBody = { maxBytes: 3, allowPartial: true, asBytes: false };
        await ask({ includeRequestBody }, { body: BODY('abcde') });
        await ask({}, { body: BODY('abcde') });
      },
    );
    assert.deepEqual(bodies, ['abc', '']);
  });

  test('a question that waits too long is given up, with its connection', async () => {
    const asked = Promise.withResolvers<void>();
    await withHttp(
      () => asked.resolve(),
      async ({ ask, clock }) => {
        const waiting = ask({ timeoutMs: 50 });
        await asked.promise;
        await clock.advance(50);
        assert.equal(refusalOf(await waiting).status, 403);
      },
    );
  });
});

test('a way that leads nowhere is no answer either, and one found too late is closed', async () => {
  const clock = new ManualClock();
  const external = new ExternalAuthorization({
    clock,
    log,
    connect: () => Promise.reject(new Error('no endpoint')),
  });
  for (const protocol of ['grpc', 'http'] as const) {
    const verdict = await external.ask(providerOf({ protocol }), QUESTION, NEVER);
    assert.equal(refusalOf(verdict).status, 403);
    assert.ok(verdict.kind === 'refused' && /opa: no endpoint/.test(verdict.refusal.detail));
  }
  await using(
    serveHttp(() => {}),
    'http',
    async ({ service }) => {
      const arrival = Promise.withResolvers<Awaited<ReturnType<TestService['dial']>>>();
      const late = new ExternalAuthorization({
        clock,
        log,
        connect: () => arrival.promise,
      });
      const waiting = late.ask(providerOf({ protocol: 'http', timeoutMs: 10 }), QUESTION, NEVER);
      await clock.advance(10);
      assert.equal((await waiting).kind, 'refused');
      const socket = await service.dial();
      arrival.resolve(socket);
      await clock.advance(0);
      assert.equal(socket.destroyed, true);
    },
  );
});
