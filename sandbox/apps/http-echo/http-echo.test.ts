import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../../runtime/clock.ts';
import { createTcpEcho } from '../echo/raw.ts';
import { ask } from '../http-client/ask.ts';
import type { Answered, Result } from '../http-client/result.ts';
import { readOrder } from '../http-client/words.ts';
import { type Listening, listenOn } from '../listening.ts';
import type { HttpEcho } from './answer.ts';
import { type EchoParts, serveBoth, serveH2c } from './serve.ts';
import { Tries } from './tries.ts';

const PLACE = { pod: 'echo-v1-5d9c-x2x', namespace: 'shop', ip: '127.0.0.1' };

const logged: string[] = [];
const over = new AbortController();
const parts: EchoParts = {
  place: PLACE,
  tries: new Tries(),
  onEcho: ({ method, path }, status) => logged.push(`${method} ${path} ${status}`),
  sleep: (ms) => systemClock.sleep(ms, over.signal).catch(() => {}),
  chance: Math.random,
};

describe('the HTTP echo and its client', () => {
  let both: Listening;
  let h2c: Listening;
  let tcp: Listening;
  before(async () => {
    both = await listenOn(serveBoth(parts), 0);
    h2c = await listenOn(serveH2c(parts), 0);
    tcp = await listenOn(createTcpEcho(PLACE), 0);
  });
  after(async () => {
    over.abort();
    await Promise.all([both.close(0), h2c.close(0), tcp.close(0)]);
  });

  for (const [scheme, proto] of [
    ['http', 'HTTP/1.1'],
    ['h2c', 'HTTP/2.0'],
  ] as const) {
    test(`${scheme}: says the request as it came, line by line`, async () => {
      const words = ['--method=PUT', '-H', 'X-A: 1', '-H', 'x-a: 2', '-H', 'Host: shop.example'];
      const echo = await echoed([`${scheme}://127.0.0.1:${both.port}/a//b?c=d`, ...words]);
      assert.equal(echo.hostname, PLACE.pod);
      assert.equal(echo.namespace, 'shop');
      assert.equal(echo.proto, proto);
      assert.equal(echo.method, 'PUT');
      assert.equal(echo.path, '/a//b?c=d');
      assert.equal(echo.host, 'shop.example');
      assert.match(echo.peer, /^127\.0\.0\.1:\d+$/);
      const lines = echo.headers.filter(([name]) => name.toLowerCase() === 'x-a');
      assert.deepEqual(
        lines.map(([, value]) => value),
        ['1', '2'],
      );
      assert.ok(logged.includes('PUT /a//b?c=d 200'));
    });

    test(`${scheme}: the body is counted`, async () => {
      const echo = await echoed([
        `${scheme}://127.0.0.1:${both.port}/`,
        '--method=POST',
        `--body=${'x'.repeat(100_000)}`,
      ]);
      assert.equal(echo.bodyBytes, 100_000);
    });

    test(`${scheme}: status and headers as the request wishes, redirects not followed`, async () => {
      const answer = await answered([
        `${scheme}://127.0.0.1:${both.port}/status/302?headers=location:/elsewhere`,
        '-H',
        'X-Echo-Set-Header: x-twice:1, x-twice:2',
      ]);
      assert.equal(answer.status, 302);
      assert.deepEqual(valuesOf(answer, 'location'), ['/elsewhere']);
      assert.equal(valuesOf(answer, 'x-twice').join(',').replaceAll(' ', ''), '1,2');
    });

    test(`${scheme}: the first tries of a key fail by status, the next succeeds`, async () => {
      const url = `${scheme}://127.0.0.1:${both.port}/retry?uuid=${scheme}&succeedAfter=2&responseCode=503`;
      const seen: number[] = [];
      for (let i = 0; i < 3; i++) seen.push((await answered([url])).status);
      assert.deepEqual(seen, [503, 503, 200]);
    });

    test(`${scheme}: or by a connection that breaks`, async () => {
      const url = `${scheme}://127.0.0.1:${both.port}/retry?uuid=${scheme}-reset&succeedAfter=1`;
      const [first] = await results([url]);
      assert.equal(first?.ok, false);
      assert.equal((await answered([url])).status, 200);
    });

    test(`${scheme}: many at once, each answered once`, async () => {
      const all = await results([`${scheme}://127.0.0.1:${both.port}/`, '--count=100']);
      assert.equal(all.length, 100);
      assert.ok(all.every((one) => one.ok && one.echo !== undefined));
      const peers = all.map((one) => (one.ok ? one.echo?.peer : ''));
      assert.equal(new Set(peers).size, 100, 'each on a connection of its own');
    });
  }

  test('a request that is not answered in time is a failure that says so', async () => {
    const [only] = await results([`http://127.0.0.1:${both.port}/?delay=1m`, '--timeout=50']);
    assert.deepEqual(only, { ok: false, error: 'no answer within 50 ms' });
  });

  test('a port without a server is a failure that names it', async () => {
    const gone = await listenOn(serveH2c(parts), 0);
    await gone.close(0);
    for (const scheme of ['http', 'h2c', 'grpc', 'ws', 'tcp']) {
      const [only] = await results([`${scheme}://127.0.0.1:${gone.port}/`]);
      assert.ok(only !== undefined && !only.ok);
      assert.match(only.error, /ECONNREFUSED/, scheme);
    }
  });

  test('h2c alone refuses HTTP/1', async () => {
    const [only] = await results([`http://127.0.0.1:${h2c.port}/`]);
    assert.equal(only?.ok, false);
    assert.equal((await echoed([`h2c://127.0.0.1:${h2c.port}/`])).proto, 'HTTP/2.0');
  });

  test('gRPC: a call is answered, its lines unmerged, all calls on one connection', async () => {
    const words = ['-H', 'X-A: 1', '-H', 'x-a: 2', '--count=50'];
    const all = await results([`grpc://127.0.0.1:${h2c.port}`, ...words]);
    const echoes = all.map((one) => (one.ok ? one.echo : undefined));
    assert.equal(new Set(echoes.map((echo) => echo?.peer)).size, 1);
    for (const echo of echoes) {
      assert.equal(echo?.path, '/proto.EchoTestService/Echo');
      assert.equal(echo?.host, `127.0.0.1:${h2c.port}`);
      const lines = echo?.headers.filter(([name]) => name === 'x-a') ?? [];
      assert.deepEqual(
        lines.map(([, value]) => value),
        ['1', '2'],
      );
    }
  });

  test('gRPC: a method that is not there is UNIMPLEMENTED', async () => {
    const answer = await answered([`grpc://127.0.0.1:${h2c.port}/other.Service/Method`]);
    assert.equal(answer.grpc?.status, 12);
    assert.match(answer.grpc?.message ?? '', /There is no method/);
  });

  test('WebSocket: text and binary come back as what they were', async () => {
    const answer = await answered([`ws://127.0.0.1:${both.port}/ws`]);
    assert.equal(answer.status, 101);
    assert.equal(answer.echo?.path, '/ws');
    assert.deepEqual(answer.returned, ['a text message', '000102feff']);
  });

  test('TCP: the bytes come back, and so does the half-close', async () => {
    const answer = await answered([`tcp://127.0.0.1:${tcp.port}`, '--body=hello']);
    assert.equal(answer.echo?.hostname, PLACE.pod);
    assert.deepEqual(answer.returned, ['hello']);
  });
});

async function results(words: readonly string[]): Promise<readonly Result[]> {
  const found: Result[] = [];
  await ask(readOrder(words), (_, result) => found.push(result));
  return found;
}

async function answered(words: readonly string[]): Promise<Answered> {
  const [only] = await results(words);
  assert.ok(only?.ok === true, JSON.stringify(only));
  return only;
}

async function echoed(words: readonly string[]): Promise<HttpEcho> {
  const { echo } = await answered(words);
  assert.ok(echo !== undefined);
  return echo;
}

function valuesOf({ headers }: Answered, name: string): string[] {
  return headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}
