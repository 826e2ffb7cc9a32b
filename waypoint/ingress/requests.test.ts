// Requests from outside through an ingress gateway, over loopback: which listener and route they meet, what the backend is
// told of the client, and how listeners change under open connections.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Service } from '../../mesh/service.ts';
import {
  askHttp2,
  askOn,
  closed,
  listener,
  OneConnection,
  parent,
  TestIngress,
} from './test-ingress.ts';

const HTTP = listener('http', 80);

/** Answers with its name and the headers that it saw. */
async function backend(edge: TestIngress, name: string): Promise<Service> {
  const service = edge.rig.service(name);
  await edge.rig.http(service, `${name}-1`, (request: IncomingMessage, response) => {
    response.end(JSON.stringify({ name, headers: request.headers }));
  });
  return service;
}

function nameIn(body: string): string {
  return (JSON.parse(body) as { name: string }).name;
}

function headersIn(body: string): Record<string, string> {
  return (JSON.parse(body) as { headers: Record<string, string> }).headers;
}

describe('requests through an ingress gateway', () => {
  test('a listener of HTTP leads to the backend of its route', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('http', 'shop.example'));
      await edge.listen(HTTP);
      const answer = await edge.ask(80, 'shop.example');
      assert.equal(answer.status, 200);
      assert.equal(nameIn(answer.body), 'web');
      assert.equal((await edge.ask(80, 'other.example')).status, 404);
    } finally {
      await edge.close();
    }
  });

  test('a listener without routes answers 404: nothing stands behind it by itself', async () => {
    const edge = await TestIngress.open();
    try {
      await edge.listen(HTTP);
      assert.equal((await edge.ask(80, 'shop.example')).status, 404);
    } finally {
      await edge.close();
    }
  });

  test('HTTP/2 by prior knowledge comes to the same port', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('http'));
      await edge.listen(HTTP);
      const session = edge.session(await edge.socket(80), 'http');
      const { status, body } = await askHttp2(session, 'shop.example');
      assert.deepEqual([status, nameIn(body)], [200, 'web']);
    } finally {
      await edge.close();
    }
  });

  test('the backend hears who the client is, and nothing of what the client says of itself', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('http'));
      await edge.listen(HTTP);
      const headers = {
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-client-cert': 'By=me',
        'x-forwarded-for': '1.2.3.4',
      };
      const seen = headersIn((await edge.ask(80, 'shop.example', { headers })).body);
      assert.equal(seen['x-forwarded-for'], '1.2.3.4,127.0.0.1');
      assert.equal(seen['x-forwarded-proto'], 'http');
      assert.equal(seen['x-forwarded-host'], 'shop.example');
      assert.equal(seen['x-forwarded-client-cert'], undefined);
      assert.equal(seen['host'], 'shop.example');
    } finally {
      await edge.close();
    }
  });

  test('the word of a trusted proxy before it is passed on', async () => {
    const edge = await TestIngress.open({ trustedHops: 1 });
    try {
      edge.route('r', await backend(edge, 'web'), parent('http'));
      await edge.listen(HTTP);
      const headers = { 'x-forwarded-proto': 'https' };
      const seen = headersIn((await edge.ask(80, 'shop.example', { headers })).body);
      assert.equal(seen['x-forwarded-proto'], 'https');
    } finally {
      await edge.close();
    }
  });

  test('of listeners on one port only the one whose host name says most answers', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('any', await backend(edge, 'any'), parent('any'));
      edge.route('wild', await backend(edge, 'wild'), parent('wild', '*.bar.com'));
      await edge.listen(
        listener('any', 80),
        listener('wild', 80, { kind: 'http' }, '*.bar.com'),
        // its host is nobody else's, though it has no route
        listener('exact', 80, { kind: 'http' }, 'foo.bar.com'),
      );
      assert.equal(nameIn((await edge.ask(80, 'x.bar.com')).body), 'wild');
      assert.equal(nameIn((await edge.ask(80, 'bar.com:8080')).body), 'any');
      assert.equal((await edge.ask(80, 'foo.bar.com')).status, 404);
    } finally {
      await edge.close();
    }
  });

  test('TLS ends at the listener of its server name, which shows its certificate', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('a', await backend(edge, 'web-a'), parent('a', 'a.example'));
      edge.route('b', await backend(edge, 'web-b'), parent('b', '*.b.example'));
      await edge.listen(
        listener('a', 443, await edge.certified('https', 'a.example'), 'a.example'),
        listener('b', 443, await edge.certified('https', '*.b.example'), '*.b.example'),
      );
      for (const [host, name] of [
        ['a.example', 'web-a'],
        ['x.b.example', 'web-b'],
      ] as const) {
        const over = await edge.secured(443, host);
        const { body } = await askOn(new OneConnection(over), host);
        assert.equal(nameIn(body), name);
        assert.equal(headersIn(body)['x-forwarded-proto'], 'https');
      }
      await assert.rejects(edge.secured(443, 'nobody.example'), /unrecognized.name/i);
    } finally {
      await edge.close();
    }
  });

  test('HTTP/2 is agreed upon in the handshake', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('https'));
      await edge.listen(listener('https', 443, await edge.certified('https', 'a.example')));
      const over = await edge.secured(443, 'a.example', ['h2', 'http/1.1']);
      assert.equal(over.alpnProtocol, 'h2');
      const { status, body } = await askHttp2(edge.session(over, 'https'), 'a.example');
      assert.deepEqual([status, nameIn(body)], [200, 'web']);
    } finally {
      await edge.close();
    }
  });

  test('a request for a host of another listener than the connection is 421, of none 404', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('a', await backend(edge, 'web-a'), parent('a', 'a.example'));
      edge.route('b', await backend(edge, 'web-b'), parent('wild', 'x.b.example'));
      const certificate = await edge.certified('https', 'a.example', '*.b.example');
      await edge.listen(
        listener('a', 443, certificate, 'a.example'),
        listener('wild', 443, certificate, '*.b.example'),
      );
      const toA = edge.session(await edge.secured(443, 'a.example', ['h2']), 'https');
      assert.equal((await askHttp2(toA, 'a.example')).status, 200);
      assert.equal((await askHttp2(toA, 'x.b.example')).status, 421);
      const toB = edge.session(await edge.secured(443, 'x.b.example', ['h2']), 'https');
      assert.equal((await askHttp2(toB, 'x.b.example')).status, 200);
      assert.equal((await askHttp2(toB, 'y.b.example')).status, 404);
    } finally {
      await edge.close();
    }
  });

  test('a new certificate is shown to new connections, and open ones live on', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('https'));
      await edge.listen(listener('https', 443, await edge.certified('https', 'a.example')));
      const old = await edge.secured(443, 'a.example');
      const onOld = new OneConnection(old);
      await askOn(onOld, 'a.example');
      await edge.listen(listener('https', 443, await edge.certified('https', 'a.example')));
      const fresh = await edge.secured(443, 'a.example');
      assert.notEqual(fingerprintOf(old), fingerprintOf(fresh));
      assert.equal((await askOn(onOld, 'a.example')).status, 200);
      assert.equal((await askOn(new OneConnection(fresh), 'a.example')).status, 200);
    } finally {
      await edge.close();
    }
  });

  test('a client resumes its session after a change that is not of its certificate', async () => {
    const edge = await TestIngress.open();
    try {
      const https = listener('https', 443, await edge.certified('https', 'a.example'));
      await edge.listen(https);
      const first = await edge.secured(443, 'a.example');
      const [session] = (await once(first, 'session')) as [Buffer];
      await edge.listen({ ...https }, HTTP);
      const again = await edge.secured(443, 'a.example', undefined, session);
      assert.equal(again.isSessionReused(), true);
    } finally {
      await edge.close();
    }
  });

  test('a port that is no listener’s any more is closed; what is open on it meets nothing', async () => {
    const edge = await TestIngress.open();
    try {
      edge.route('r', await backend(edge, 'web'), parent('http'), parent('more'));
      await edge.listen(HTTP, listener('more', 81));
      const over = new OneConnection(await edge.socket(81));
      assert.equal((await askOn(over, 'a.example')).status, 200);
      await edge.listen(HTTP);
      assert.equal(edge.rig.ingress.openAt(81), undefined);
      assert.equal((await askOn(over, 'a.example')).status, 404);
      assert.equal((await edge.ask(80, 'a.example')).status, 200);
    } finally {
      await edge.close();
    }
  });

  test('an ingress that is told to end serves new connections for a while, then lets those it has end', async () => {
    const edge = await TestIngress.open({ drainNoticeMs: 300 });
    const web = edge.rig.service('web');
    const held = Promise.withResolvers<void>();
    await edge.rig.http(web, 'web-1', ({ url }, response) => {
      if (url === '/slow') void held.promise.then(() => response.end('late'));
      else response.end('at once');
    });
    edge.route('r', web, parent('http'));
    await edge.listen(HTTP);
    const slow = edge.ask(80, 'a.example', { path: '/slow' });
    const ended = edge.rig.close();
    assert.equal((await edge.ask(80, 'a.example')).body, 'at once');
    held.resolve();
    assert.equal((await slow).body, 'late');
    await ended;
    assert.equal(edge.rig.ingress.openAt(80), undefined);
  });

  test('bytes that are no TLS on a port of TLS, and no HTTP on one of HTTP, are refused', async () => {
    const edge = await TestIngress.open();
    try {
      await edge.listen(HTTP, listener('https', 443, await edge.certified('https', 'a.example')));
      const plain = await edge.socket(443);
      plain.write('GET / HTTP/1.1\r\nhost: a.example\r\n\r\n');
      await closed(plain);
      const odd = await edge.socket(80);
      odd.write('\x16\x03\x01\x00\x00\r\n\r\n');
      const [head] = (await once(odd, 'data')) as [Buffer];
      assert.match(head.toString(), /^HTTP\/1\.1 400 /);
    } finally {
      await edge.close();
    }
  });
});

function fingerprintOf(socket: TLSSocket): string {
  return socket.getPeerCertificate().fingerprint256;
}
