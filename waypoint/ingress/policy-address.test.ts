// Policy on what comes in from outside: by the Gateway, by the client's address behind trusted proxies, by server name.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseIp } from '../../mesh/address.ts';
import type { HttpPolicy, PolicyTest } from '../../mesh/http-policy.ts';
import { askOn, closed, listener, OneConnection, parent, TestIngress } from './test-ingress.ts';

/** Denies, at the Gateway, what meets the test. */
function deny(edge: TestIngress, ...tests: readonly PolicyTest[]): void {
  const policy: HttpPolicy = {
    namespace: 'shop',
    name: 'deny',
    targets: [{ kind: 'gateway', gateway: 'shop/edge' }],
    rules: [{ clauses: tests.length === 0 ? [] : [{ part: 'from', anyOf: [tests] }] }],
    dryRun: false,
    action: 'deny',
  };
  edge.rig.discovery.push({ kind: 'http-policy', policy });
}

function remoteIp(ip: string, prefixLength = 32): PolicyTest {
  const values = [{ ip: parseIp(ip), prefixLength }];
  return { attribute: 'remote.ip', not: false, values };
}

async function open(trustedHops: number): Promise<TestIngress> {
  const edge = await TestIngress.open({ trustedHops });
  const web = edge.rig.service('web');
  await edge.rig.http(web, 'web-1', (_, response) => void response.end('in'));
  edge.route('r', web, parent('http'));
  edge.route('s', web, parent('https'));
  await edge.listen(
    listener('http', 80),
    listener('https', 443, await edge.certified('https', 'a.example', 'b.example')),
    listener('tcp', 90, { kind: 'tcp' }),
  );
  return edge;
}

function from(edge: TestIngress, ...hops: readonly string[]): Promise<{ status: number }> {
  const headers = hops.length === 0 ? {} : { 'x-forwarded-for': hops.join(', ') };
  return edge.ask(80, 'a.example', { headers });
}

describe('who a client from outside is, to policy', () => {
  test('the client is who connected, whatever it says, where no proxy is trusted', async () => {
    const edge = await open(0);
    try {
      deny(edge, remoteIp('1.2.3.4'));
      assert.equal((await from(edge, '1.2.3.4')).status, 200);
      deny(edge, remoteIp('127.0.0.1'));
      assert.equal((await from(edge, '1.2.3.4')).status, 403);
    } finally {
      await edge.close();
    }
  });

  test('behind one trusted proxy it is whom that one was asked by, and no other', async () => {
    const edge = await open(1);
    try {
      deny(edge, remoteIp('1.2.3.4'));
      assert.equal((await from(edge, '1.2.3.4')).status, 403);
      assert.equal((await from(edge, '9.9.9.9', '1.2.3.4')).status, 403);
      // what it adds before says nothing
      assert.equal((await from(edge, '1.2.3.4', '9.9.9.9')).status, 200);
      // past the proxy: the caller itself
      deny(edge, remoteIp('127.0.0.1'));
      assert.equal((await from(edge)).status, 403);
    } finally {
      await edge.close();
    }
  });

  test('a server name is what the client asked for in TLS', async () => {
    const edge = await open(0);
    try {
      const values = [{ kind: 'exact', value: 'b.example' }] as const;
      deny(edge, { attribute: 'connection.sni', not: false, values });
      for (const [name, status] of [
        ['a.example', 200],
        ['b.example', 403],
      ] as const) {
        const over = new OneConnection(await edge.secured(443, name));
        assert.equal((await askOn(over, name)).status, status);
      }
    } finally {
      await edge.close();
    }
  });

  test('what is denied to everybody is denied to bytes too', async () => {
    const edge = await open(0);
    try {
      const db = edge.rig.service('db', 'tcp');
      edge.streamRoute('tcp', db, parent('tcp'));
      deny(edge);
      await closed(edge.dial(90));
      assert.match(JSON.stringify(edge.rig.lines), /Cannot carry bytes/);
    } finally {
      await edge.close();
    }
  });
});
