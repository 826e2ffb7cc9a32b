import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import { createFetchBody, isOurs } from './fetch-body.ts';

const LIMITS = { maxBytes: 1000 };
const signal = AbortSignal.timeout(10_000);
const anywhere = { isForbidden: () => false };

async function serving<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

describe('a body', () => {
  test('is what a 200 brings', async () => {
    const body = await serving(
      (request, response) => response.end(`${request.method} ${request.url}`),
      (url) => createFetchBody(anywhere)(url, LIMITS, signal),
    );
    assert.equal(new TextDecoder().decode(body), 'GET /keys');
  });

  test('of another status, of a redirect, too long or broken off is none', async () => {
    const bad: [RequestListener, RegExp][] = [
      [(_, response) => response.writeHead(503).end('x'), /503/],
      [(_, response) => response.writeHead(302, { location: 'http://evil.test/' }).end(), /302/],
      [(_, response) => response.end('x'.repeat(1001)), /more than 1000/],
      [
        (_, response) => {
          response.writeHead(200, { 'content-length': 100 }).write('x');
          setImmediate(() => response.destroy());
        },
        /aborted|broke off|socket hang up/,
      ],
    ];
    for (const [listener, why] of bad) {
      await serving(listener, (url) =>
        assert.rejects(createFetchBody(anywhere)(url, LIMITS, signal), why),
      );
    }
  });

  test('that does not come ends with its signal', async () => {
    await serving(
      () => {},
      async (url) => {
        const abort = new AbortController();
        const fetched = createFetchBody(anywhere)(url, LIMITS, abort.signal);
        abort.abort(new Error('too late'));
        await assert.rejects(fetched);
      },
    );
  });
});

describe('where from', () => {
  test('this machine and link-local addresses are not fetched from, by address or by name', async () => {
    await serving(
      (_, response) => response.end('secret'),
      async (url) => {
        const fetch = createFetchBody();
        const named = url.replace('127.0.0.1', 'localhost');
        await assert.rejects(fetch(url, LIMITS, signal), /not fetched from/);
        await assert.rejects(fetch(named, LIMITS, signal), /not fetched from/);
        const odd = url.replace('127.0.0.1', '2130706433');
        await assert.rejects(fetch(odd, LIMITS, signal), /not fetched from/);
      },
    );
    for (const ip of [
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      'fe80::1',
      '0.0.0.0',
      '::',
      '::ffff:127.0.0.1',
    ]) {
      assert.equal(isOurs(parseIp(ip)), true, ip);
    }
    assert.equal(isOurs(parseIp('10.0.0.1')), false);
    await assert.rejects(createFetchBody()('file:///etc/passwd', LIMITS, signal), /not fetched/);
  });

  test('hosts that the mesh knows are reached through it', async () => {
    const asked: [string, number][] = [];
    const body = await serving(
      (request, response) => response.end(request.headers.host),
      (url) =>
        createFetchBody({
          connect: (host, port) => {
            asked.push([host, port]);
            return Promise.resolve(connect(Number(new URL(url).port), '127.0.0.1'));
          },
        })('http://keys.auth.svc:8080/keys', LIMITS, signal),
    );
    assert.deepEqual(asked, [['keys.auth.svc', 8080]]);
    assert.equal(new TextDecoder().decode(body), 'keys.auth.svc:8080');
  });
});
