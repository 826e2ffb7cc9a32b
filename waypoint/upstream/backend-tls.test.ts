// TLS to backends, over loopback: who is believed, what is agreed upon, and that nothing goes in plain text instead.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createPlain } from 'node:http';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import { describe, test } from 'node:test';
import type { BackendTlsTerms } from '../../mesh/backend-tls.ts';
import { type Service, serviceKey } from '../../mesh/service.ts';
import { type Authority, createAuthority } from '../../sandbox/apiserver/auth/certificates.ts';
import { Rig } from '../test-rig.ts';

type Terms = Partial<Extract<BackendTlsTerms, { kind: 'verify' }>>;

async function open(): Promise<{ rig: Rig; authority: Authority }> {
  return { rig: await Rig.open(), authority: await createAuthority(Date.now()) };
}

function demand(rig: Rig, service: Service, terms: BackendTlsTerms): void {
  const tls = { service: serviceKey(service), port: undefined, terms };
  rig.discovery.push({ kind: 'backend-tls', tls });
}

function verify({ caPem }: Authority, more: Terms = {}): BackendTlsTerms {
  return { kind: 'verify', serverName: 'web.example', names: [], roots: caPem, ...more };
}

/** A backend that shows a certificate for `hosts`, and says which server it was asked for. */
async function secured(rig: Rig, authority: Authority, hosts = ['web.example']) {
  const service = rig.service('web');
  const { certPem: cert, keyPem: key } = await authority.issue({ commonName: 'web', hosts });
  const server = createServer({ cert, key }, ({ socket }, response) => {
    response.end(String((socket as { servername?: string }).servername));
  });
  await rig.endpoint(service, 'web-1', server);
  return service;
}

describe('TLS to a backend', () => {
  test('is spoken where its policy says so, with the server name of the policy', async () => {
    const { rig, authority } = await open();
    try {
      const service = await secured(rig, authority);
      demand(rig, service, verify(authority));
      const { status, body } = await rig.ask(service);
      assert.deepEqual([status, body], [200, 'web.example']);
    } finally {
      await rig.close();
    }
  });

  const refused: readonly (readonly [
    string,
    (authority: Authority, other: Authority) => BackendTlsTerms,
  ])[] = [
    ['of another name', (authority) => verify(authority, { serverName: 'other.example' })],
    ['of an authority that is not believed', (_, other) => verify(other)],
    ['that only the system could believe', (authority) => verify(authority, { roots: undefined })],
    [
      'without any of the names that are asked for',
      (authority) => verify(authority, { names: [{ kind: 'uri', value: 'spiffe://a/b' }] }),
    ],
    ['under terms that cannot be kept', () => ({ kind: 'broken', why: 'no roots' })],
  ];
  for (const [what, termsOf] of refused) {
    test(`a certificate ${what} ends the request with 503`, async () => {
      const { rig, authority } = await open();
      try {
        const service = await secured(rig, authority);
        demand(rig, service, termsOf(authority, await createAuthority(Date.now())));
        assert.equal((await rig.ask(service)).status, 503);
      } finally {
        await rig.close();
      }
    });
  }

  test('names that are asked for take the place of the server name', async () => {
    const { rig, authority } = await open();
    try {
      const service = await secured(rig, authority, ['real.example', '*.wild.example']);
      for (const value of ['real.example', '*.wild.example', 'x.wild.example']) {
        demand(rig, service, verify(authority, { names: [{ kind: 'dns', value }] }));
        const { status, body } = await rig.ask(service);
        assert.deepEqual([status, body], [200, 'web.example']);
      }
    } finally {
      await rig.close();
    }
  });

  test('a backend that speaks no TLS gets nothing in plain text', async () => {
    const { rig, authority } = await open();
    try {
      const service = rig.service('web');
      let asked = 0;
      const server = createPlain((_, response) => {
        asked++;
        response.end();
      });
      await rig.endpoint(service, 'web-1', server);
      demand(rig, service, verify(authority));
      assert.equal((await rig.ask(service)).status, 503);
      assert.equal(asked, 0);
    } finally {
      await rig.close();
    }
  });

  test('HTTP/2 is spoken to who takes it, HTTP/1.1 to who does not', async () => {
    const { rig, authority } = await open();
    try {
      const hosts = ['web.example'];
      const { certPem: cert, keyPem: key } = await authority.issue({ commonName: 'web', hosts });
      const both = rig.service('both', 'unknown');
      const modern = createSecureServer({ cert, key }, ({ httpVersion }, response) => {
        response.end(httpVersion);
      });
      await rig.endpoint(both, 'both-1', modern);
      const old = rig.service('old', 'unknown');
      const only1 = createServer({ cert, key }, ({ httpVersion }, response) => {
        response.end(httpVersion);
      });
      await rig.endpoint(old, 'old-1', only1);
      for (const [service, version] of [
        [both, '2.0'],
        [old, '1.1'],
      ] as const) {
        demand(rig, service, verify(authority));
        const stream = (await rig.http2(service)).request({ ':path': '/', ':authority': 'web' });
        stream.end();
        const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
        let body = '';
        for await (const chunk of stream) body += String(chunk);
        assert.deepEqual([headers[':status'], body], [200, version]);
      }
    } finally {
      await rig.close();
    }
  });

  test('new terms hold for the next request', async () => {
    const { rig, authority } = await open();
    try {
      const service = await secured(rig, authority);
      demand(rig, service, verify(await createAuthority(Date.now())));
      assert.equal((await rig.ask(service)).status, 503);
      demand(rig, service, verify(authority));
      assert.equal((await rig.ask(service)).status, 200);
    } finally {
      await rig.close();
    }
  });
});
